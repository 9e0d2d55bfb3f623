"""Rows as JSON texts, in batches that a request takes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from countersign.errors import ClientError

BATCH_BYTES = 8 * 1024 * 1024
Row = Mapping[str, Any]


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
