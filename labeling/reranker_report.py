"""What a training measured of a reranker: the shape of `RerankerReport.content`, read strictly.

A job writes it, the page shows it. Numbers that could not be measured are null, never NaN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

MAX_HEAT_LABELS = 100
ORIGIN = "origin"


class ReportError(ValueError):
    """The content is not a report; the message says where, in one sentence."""


@dataclass(frozen=True)
class Measured:
    """One way to rerank on the validation rows; `nll` is the mean negative log-likelihood."""

    accuracy: float
    nll: float
    hard_accuracy: float | None = None
    nll_interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Point:
    """With `variance` as the threshold: who is hard, how many are right, how long it takes."""

    variance: float
    hard_share: float
    accuracy: float
    seconds: float | None = None


@dataclass(frozen=True)
class Curve:
    """The marginal effect of the variance threshold (LRSL, figures 4 and 10)."""

    model_version: str
    k: int
    threshold: float | None
    rows: int
    points: Sequence[Point]


@dataclass(frozen=True)
class Heat:
    """Cosines between labels before and after fine-tuning, (n, n) in the order of `label_ids`."""

    label_ids: Sequence[int]
    before: Sequence[Sequence[float]]
    after: Sequence[Sequence[float]]


@dataclass(frozen=True)
class Report:
    """A reranker as its training left it; `validation` is by mode, `ORIGIN` among them."""

    mode: str
    training_rows: int
    validation_rows: int
    settings: Mapping[str, Any]
    validation: Mapping[str, Measured]
    curves: Sequence[Curve] = ()
    heat: Heat | None = None


def read_report(content: object) -> Report:
    """`content` as a report, or ReportError. Keys that it does not know are left aside."""
    top = _mapping(content, "content")
    validation = {
        mode: _measured(row, f"validation.{mode}")
        for mode, row in _mapping(top.get("validation"), "validation").items()
    }
    if ORIGIN not in validation:
        raise ReportError(_("“validation” says nothing of the classifier alone (“origin”)."))
    curves = _list(top.get("curves", []), "curves")
    heat = top.get("heat")
    return Report(
        mode=_text(top.get("mode"), "mode"),
        training_rows=_count(top.get("training_rows"), "training_rows"),
        validation_rows=_count(top.get("validation_rows"), "validation_rows"),
        settings=_mapping(top.get("settings", {}), "settings"),
        validation=validation,
        curves=[_curve(one, f"curves[{place}]") for place, one in enumerate(curves)],
        heat=None if heat is None else _heat(heat),
    )


def _measured(value: object, where: str) -> Measured:
    row = _mapping(value, where)
    interval = row.get("nll_interval")
    bounds = None if interval is None else _numbers(interval, f"{where}.nll_interval", 2)
    return Measured(
        accuracy=_share(row.get("accuracy"), f"{where}.accuracy"),
        nll=_number(row.get("nll"), f"{where}.nll"),
        hard_accuracy=_known(_share, row, "hard_accuracy", where),
        nll_interval=None if bounds is None else (bounds[0], bounds[1]),
    )


def _curve(value: object, where: str) -> Curve:
    row = _mapping(value, where)
    points = [
        Point(
            variance=_number(point.get("variance"), f"{where}.points.variance"),
            hard_share=_share(point.get("hard_share"), f"{where}.points.hard_share"),
            accuracy=_share(point.get("accuracy"), f"{where}.points.accuracy"),
            seconds=_known(_number, point, "seconds", f"{where}.points"),
        )
        for point in (
            _mapping(one, f"{where}.points") for one in _list(row.get("points"), f"{where}.points")
        )
    ]
    return Curve(
        model_version=_text(row.get("model_version"), f"{where}.model_version"),
        k=_count(row.get("k"), f"{where}.k"),
        threshold=_known(_number, row, "threshold", where),
        rows=_count(row.get("rows"), f"{where}.rows"),
        points=sorted(points, key=lambda point: point.variance),
    )


def _heat(value: object) -> Heat:
    row = _mapping(value, "heat")
    ids = [_count(one, "heat.label_ids") for one in _list(row.get("label_ids"), "heat.label_ids")]
    if len(ids) > MAX_HEAT_LABELS:
        raise ReportError(_("“heat” has more than %(most)d labels.") % {"most": MAX_HEAT_LABELS})
    return Heat(ids, _square(row, "before", len(ids)), _square(row, "after", len(ids)))


def _square(row: Mapping[str, Any], name: str, size: int) -> list[list[float]]:
    where = f"heat.{name}"
    rows = _list(row.get(name), where)
    if len(rows) != size:
        raise _wrong(where)
    return [_numbers(one, where, size) for one in rows]


def _known(read: Any, row: Mapping[str, Any], name: str, where: str) -> float | None:
    """What `read` makes of `row[name]`, or None where nothing was measured."""
    value = row.get(name)
    return None if value is None else float(read(value, f"{where}.{name}"))


def _numbers(value: object, where: str, size: int) -> list[float]:
    found = [_number(one, where) for one in _list(value, where)]
    if len(found) != size:
        raise _wrong(where)
    return found


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _wrong(where)
    return float(value)


def _share(value: object, where: str) -> float:
    found = _number(value, where)
    if not 0.0 <= found <= 1.0:
        raise _wrong(where)
    return found


def _count(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _wrong(where)
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise _wrong(where)
    return value


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(where)
    return value


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(where)
    return value


def _wrong(where: str) -> ReportError:
    return ReportError(_("“%(where)s” is missing or has a wrong value.") % {"where": where})
