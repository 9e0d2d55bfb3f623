"""Rows as JSON texts, in batches that a request takes, and what became of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from countersign.errors import ClientError

BATCH_BYTES = 8 * 1024 * 1024
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RowError:
    """Why one row was not stored: its number among all rows that were sent, from 0."""

    row: int
    field: str
    message: str


@dataclass(slots=True)
class Pushed:
    """What became of the rows that were sent, and the numbers of the runs they are in. `errors` are
    at least the first thousand of those `refused`."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    runs: list[int] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    refused: int = 0


def batches(rows: Iterable[Row], most: int) -> Iterator[list[str]]:
    """Rows as JSON texts, in lists of at most `most` and about `BATCH_BYTES`."""
    held: list[str] = []
    size = 0
    for number, row in enumerate(rows):
        try:
            text = json.dumps(row, allow_nan=False, default=_plain)
        except (TypeError, ValueError) as error:
            raise ClientError(f"Row {number} cannot be sent as JSON: {error}.") from error
        if held and (len(held) >= most or size + len(text) > BATCH_BYTES):
            yield held
            held, size = [], 0
        held.append(text)
        size += len(text)
    if held:
        yield held


def _plain(value: Any) -> Any:
    """Arrays and numbers of numpy and torch as Python's own."""
    if callable(getattr(value, "tolist", None)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")
