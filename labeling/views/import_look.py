"""What would become of a file, before anything of it is stored."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labeling.actions.documents import check_documents
from labeling.actions.errors import Detail
from labeling.actions.ingest import Against
from labeling.actions.ingest_file import check_file
from labeling.actions.mappings import outside_names
from labeling.formats.mapping import ColumnMap, read_documents_mapped, read_mapped
from labeling.models import Project

FIRST = 8
LOOKED_AT = 5000
ERRORS_SHOWN = 100
TEXT_SHOWN = 300


@dataclass(frozen=True)
class Look:
    """`errors` are the first hundred of `bad_rows`; of the good rows `unchanged` stand already.
    Of a long file only the first rows are looked at here; a worker looks at all (`more`)."""

    rows: list[dict[str, Any]]
    errors: list[Detail]
    total: int
    bad_rows: int
    created: int | None
    updated: int | None
    unchanged: int | None
    more: bool = False

    @property
    def good(self) -> int:
        return self.total - self.bad_rows


def look_at_predictions(
    project: Project, model_version: str, path: Path, columns: ColumnMap, *, mapping: str = ""
) -> Look:
    def read() -> Iterator[object]:
        return itertools.islice(read_mapped(path, columns), LOOKED_AT)

    against = Against(project, model_version, names=outside_names(project, mapping))
    found = check_file(against=against, read=read)
    rest = read_mapped(path, columns, skip=LOOKED_AT) if found.rows >= LOOKED_AT else iter(())
    return Look(
        rows=_first(read, found.errors, _prediction),
        errors=shown_errors(found.errors),
        total=found.rows,
        bad_rows=found.bad_rows,
        created=found.created,
        updated=found.updated,
        unchanged=found.unchanged,
        more=next(rest, None) is not None,
    )


def look_at_documents(path: Path, columns: Mapping[str, str]) -> Look:
    def read() -> Iterator[object]:
        return read_documents_mapped(path, columns)

    good, errors = check_documents(read())
    return Look(
        rows=_first(read, errors, _document),
        errors=shown_errors(errors),
        total=good + len(errors),
        bad_rows=len(errors),
        created=None,
        updated=None,
        unchanged=None,
    )


def shown_errors(errors: Sequence[Detail]) -> list[Detail]:
    """The first hundred, in texts that a page can hold: half of a surrogate pair cannot be sent."""
    return [
        Detail(short(error.message, 1000), short(error.field), error.index)
        for error in errors[:ERRORS_SHOWN]
    ]


def _first(
    read: Callable[[], Iterator[object]],
    errors: Iterable[Detail],
    shown: Callable[[Mapping[str, Any]], dict[str, Any]],
) -> list[dict[str, Any]]:
    """The first rows, each with its number from 1 and what is wrong with it."""
    wrong = {error.index: short(error.message, 1000) for error in errors}
    return [
        {
            "number": index + 1,
            "error": wrong.get(index, ""),
            **(shown(item) if isinstance(item, Mapping) else {"text": short(item)}),
        }
        for index, item in enumerate(itertools.islice(read(), FIRST))
    ]


def _prediction(item: Mapping[str, Any]) -> dict[str, Any]:
    scores = item.get("logits", item.get("probabilities"))
    kind = "logits" if "logits" in item else "probabilities" if "probabilities" in item else ""
    return {
        "id": short(item.get("external_id")),
        "text": short(item.get("text")),
        "kind": kind,
        "scores": _best(scores),
        "metadata": {short(k): short(v) for k, v in (item.get("metadata") or {}).items()},
    }


def _document(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": short(item.get("id")),
        "title": short(item.get("title")),
        "text": short(item.get("text")),
    }


def _best(scores: object) -> str:
    """The three highest scores, or how many a list has."""
    if isinstance(scores, Mapping):
        numbers = {k: v for k, v in scores.items() if isinstance(v, (int, float))}
        best = sorted(numbers, key=lambda name: -numbers[name])[:3]
        return ", ".join(f"{short(name, 60)} {numbers[name]:.4g}" for name in best)
    if isinstance(scores, list):
        return ", ".join(short(value, 20) for value in scores[:3]) + (" …" if scores[3:] else "")
    return "" if scores is None else short(scores)


def short(value: object, most: int = TEXT_SHOWN) -> str:
    """A value as a text that a page can hold, cut where it is long; nothing for None."""
    text = "" if value is None else str(value).encode("utf-8", "replace").decode()
    return text if len(text) <= most else f"{text[:most]}…"
