"""Predictions as the outside sends them, read strictly: no row is stored that this lets through
with a wrong number, an unknown label or a text the database cannot hold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from django.conf import settings
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from labeling import scores
from labeling.actions.errors import ActionRefused, Detail
from labeling.models import ScoreKind

MAX_ID = 200
MAX_METADATA_BYTES = 16 * 1024
MAX_TURNS = 500
# Rounded probabilities: all labels must add up to one this closely; some of them, to no more.
WHOLE_SUM_TOLERANCE = 1e-3
PART_SUM_TOLERANCE = 1e-4
FIELDS = frozenset(
    {"external_id", "text", "logits", "probabilities", "metadata", "hidden_metadata", "turns"}
)
_NUMBERS = {int, float}


class BadRow(Exception):
    """One row cannot be taken; `field` says where and the message why, in one sentence."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field

    def detail(self, index: int) -> Detail:
        return Detail(self.message, self.field, index)


@dataclass(frozen=True)
class OutsideNames:
    """Ids of labels by what an outside system calls them, from the saved mapping `mapping`;
    `retired` are names of it whose label is no more."""

    mapping: str
    labels: Mapping[str, int]
    retired: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Columns:
    """Where scores go: `position` by any name of a label, in a vector of `size` labels; a plain
    list of scores goes to `order`. `outside` are the names that came before the project's own."""

    position: Mapping[str, int]
    size: int
    order: NDArray[np.intp]
    outside: OutsideNames | None = None


@dataclass(slots=True)
class Row:
    """One good item. `scores` has shape (C,), NaN where unknown; it and `kind` may be None."""

    index: int
    external_id: str
    text: str
    kind: str | None
    scores: scores.FloatArray | None
    metadata: dict[str, Any] | None
    hidden_metadata: dict[str, Any] | None
    turns: list[dict[str, str]] | None


def columns_for(
    label_ids: Sequence[int],
    names: Mapping[str, int],
    labels: object | None,
    outside: OutsideNames | None = None,
) -> Columns:
    """The columns of a batch whose lists follow `labels` (default: all labels, in taxonomy order).
    Names of `outside` come before `names`, those whose label is no more among them.

    Raises ActionRefused naming every label that is unknown or stands there twice.
    """
    place = {label_id: position for position, label_id in enumerate(label_ids)}
    known = dict(names)
    if outside is not None:
        known |= outside.labels
        known = {name: pk for name, pk in known.items() if name not in outside.retired}
    position = {name: place[label_id] for name, label_id in known.items() if label_id in place}
    columns = Columns(position, len(label_ids), np.arange(len(label_ids)), outside)
    if labels is None:
        return columns
    if not isinstance(labels, Sequence) or isinstance(labels, (str, bytes)) or not labels:
        raise ActionRefused(_("“labels” is a list of label names."), [])
    order: list[int] = []
    problems: list[Detail] = []
    for index, name in enumerate(labels):
        found = position.get(name) if isinstance(name, str) else None
        if found is None:
            problems.append(Detail(_unknown_label(name, columns), "labels", index))
        elif found in order:
            problems.append(Detail(_label_twice(name), "labels", index))
        else:
            order.append(found)
    if problems:
        raise ActionRefused(_("The order of the scores has mistakes."), problems)
    return replace(columns, order=np.asarray(order, dtype=np.intp))


def parse_items(
    items: Sequence[object], columns: Columns, *, offset: int = 0
) -> tuple[list[Row], list[Detail]]:
    """The good rows and one sentence for every bad one. Row numbers start at `offset`."""
    rows: list[Row] = []
    errors: list[Detail] = []
    seen: set[str] = set()
    for index, item in enumerate(items, start=offset):
        try:
            row = _parse_item(item, columns, index)
            if row.external_id in seen:
                raise BadRow(_("This external_id stands in the batch twice."), "external_id")
        except BadRow as bad:
            errors.append(bad.detail(index))
        else:
            seen.add(row.external_id)
            rows.append(row)
    return rows, errors


def _parse_item(item: object, columns: Columns, index: int) -> Row:
    if not isinstance(item, Mapping):
        raise BadRow(_("An item is an object with external_id and text."))
    unknown = item.keys() - FIELDS
    if unknown:
        name = min(str(field) for field in unknown)
        raise BadRow(_("There is no field of this name."), name[:MAX_ID])
    kind, vector = _read_scores(item, columns)
    return Row(
        index=index,
        external_id=read_id(item.get("external_id")),
        text=read_text(item.get("text")),
        kind=kind,
        scores=vector,
        metadata=read_object(item.get("metadata"), "metadata"),
        hidden_metadata=read_object(item.get("hidden_metadata"), "hidden_metadata"),
        turns=read_turns(item.get("turns")),
    )


def read_id(value: object, field: str = "external_id") -> str:
    """An identifier: one line of 1 to 200 characters, or BadRow."""
    if not isinstance(value, str) or not value.strip():
        raise BadRow(_("Every row needs an identifier that is a text and not empty."), field)
    if len(value) > MAX_ID:
        raise BadRow(
            _("An identifier has at most %(most)d characters; this one has %(n)d.")
            % {"most": MAX_ID, "n": len(value)},
            field,
        )
    if not value.isprintable():
        raise BadRow(_("An identifier is one line without control characters."), field)
    return value


def read_text(value: object, field: str = "text", most: int | None = None) -> str:
    """A text with something in it that both databases can hold, or BadRow."""
    if not isinstance(value, str) or not value.strip():
        raise BadRow(_("The text is missing or empty."), field)
    limit = settings.TEXT_MAX_LENGTH if most is None else most
    if len(value) > limit:
        raise BadRow(
            _("The text has %(n)d characters; at most %(most)d are taken.")
            % {"n": len(value), "most": limit},
            field,
        )
    check_storable(value, field)
    return value


def check_storable(value: str, field: str) -> None:
    """Refuse what is no Unicode text (half of a surrogate pair) or what PostgreSQL cannot store."""
    if "\x00" in value:
        raise BadRow(_("The text holds a NUL character, which cannot be stored."), field)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadRow(
            _("The text holds half of a surrogate pair, which is not a character."), field
        ) from None


def read_object(value: object, field: str) -> dict[str, Any] | None:
    """A JSON object of at most 16 KB, or None where there is none."""
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise BadRow(_("This is not an object with named values."), field)
    try:
        written = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        raise BadRow(_("This object cannot be written as plain JSON."), field) from None
    if b"\\u0000" in written.replace(b"\\\\", b""):  # the escape, not a backslash and a word
        raise BadRow(_("The text holds a NUL character, which cannot be stored."), field)
    if len(written) > MAX_METADATA_BYTES:
        raise BadRow(
            _("This object takes %(n)d bytes; at most %(most)d are taken.")
            % {"n": len(written), "most": MAX_METADATA_BYTES},
            field,
        )
    return value


def read_turns(value: object) -> list[dict[str, str]] | None:
    """Turns of a conversation, or None where there are none; else BadRow."""
    if value is None:
        return None
    if not isinstance(value, list) or not 0 < len(value) <= MAX_TURNS:
        raise BadRow(
            _("“turns” is a list of 1 to %(most)d turns, each with speaker and text.")
            % {"most": MAX_TURNS},
            "turns",
        )
    turns = []
    for turn in value:
        if not isinstance(turn, Mapping) or set(turn) != {"speaker", "text"}:
            raise BadRow(_("Every turn is an object with speaker and text."), "turns")
        turns.append(
            {"speaker": read_id(turn["speaker"], "turns"), "text": read_text(turn["text"], "turns")}
        )
    read_text("".join(turn["text"] for turn in turns), "turns")
    return turns


def _read_scores(
    item: Mapping[str, object], columns: Columns
) -> tuple[str | None, scores.FloatArray | None]:
    given = [kind for kind in ScoreKind.values if item.get(kind) is not None]
    if not given:
        return None, None
    if len(given) > 1:
        raise BadRow(_("Send logits or probabilities, not both."), "logits")
    kind = given[0]
    raw = item[kind]
    if isinstance(raw, list):
        if len(raw) != len(columns.order):
            raise BadRow(
                _("There are %(want)d labels but %(n)d scores.")
                % {"want": len(columns.order), "n": len(raw)},
                kind,
            )
        places: Any = columns.order
        numbers = _numbers(raw, kind)
    elif isinstance(raw, Mapping):
        places = _places(raw, columns, kind)
        numbers = _numbers(list(raw.values()), kind)
    else:
        raise BadRow(_("Scores are a list of numbers, or an object of label and number."), kind)
    if kind == ScoreKind.PROBABILITIES:
        _check_probabilities(numbers, whole=len(numbers) == columns.size)
    vector = np.full(columns.size, np.nan, dtype=np.float32)
    with np.errstate(over="ignore"):
        vector[places] = numbers
    if np.isinf(vector).any():
        raise BadRow(_("A score is too large a number."), kind)
    return kind, vector


def _places(raw: Mapping[Any, object], columns: Columns, kind: str) -> list[int]:
    if not raw:
        raise BadRow(_("No label has a score."), kind)
    places: list[int] = []
    for name in raw:
        place = columns.position.get(name)
        if place is None:
            raise BadRow(_unknown_label(name, columns), kind)
        places.append(place)
    if len(set(places)) < len(places):
        twice = next(
            name for name, place in zip(raw, places, strict=True) if places.count(place) > 1
        )
        raise BadRow(_label_twice(twice), kind)
    return places


def _numbers(values: list[object], kind: str) -> NDArray[np.float64]:
    if not set(map(type, values)) <= _NUMBERS:
        raise BadRow(_("Every score is a number."), kind)
    try:
        numbers = np.array(values, dtype=np.float64)
    except OverflowError:
        raise BadRow(_("A score is too large a number."), kind) from None
    if not np.isfinite(numbers).all():
        raise BadRow(_("A score is not finite (NaN or infinity)."), kind)
    return numbers


def _check_probabilities(numbers: NDArray[np.float64], *, whole: bool) -> None:
    field = ScoreKind.PROBABILITIES.value
    if (numbers < 0.0).any():
        raise BadRow(_("A probability is negative."), field)
    total = float(numbers.sum())
    if whole and abs(total - 1.0) > WHOLE_SUM_TOLERANCE:
        raise BadRow(
            _("The probabilities of all labels add up to %(sum).4f instead of 1.") % {"sum": total},
            field,
        )
    if total > 1.0 + (WHOLE_SUM_TOLERANCE if whole else PART_SUM_TOLERANCE):
        raise BadRow(
            _("The probabilities add up to %(sum).4f, which is above 1.") % {"sum": total}, field
        )


def _unknown_label(name: object, columns: Columns) -> str:
    words = {"name": str(name)[:MAX_ID]}
    if columns.outside is None:
        return _("The project has no label “%(name)s”.") % words
    words["mapping"] = columns.outside.mapping
    if name in columns.outside.retired:
        return (
            _("The label that the mapping “%(mapping)s” gives to “%(name)s” was retired or split.")
            % words
        )
    return _("Neither the mapping “%(mapping)s” nor the project has a label “%(name)s”.") % words


def _label_twice(name: object) -> str:
    return _("The label “%(name)s” stands there twice, perhaps under two names.") % {
        "name": str(name)[:MAX_ID]
    }
