"""CSV, written lazily: one row a task, nested values as JSON in their cell."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from labeling.formats.tabular import guard


def write_csv(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, raw: bool = False
) -> Iterator[bytes]:
    """The header, then one record a row, in UTF-8. Texts that a spreadsheet would run as formulas
    get an apostrophe in front (`formats.tabular`), unless `raw`."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    for cells in _cells(rows, columns, raw=raw):
        writer.writerow(cells)
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()


def _cells(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, raw: bool
) -> Iterator[list[Any]]:
    yield list(columns)
    for row in rows:
        yield [_cell(row.get(column), raw=raw) for column in columns]


def _cell(value: Any, *, raw: bool) -> Any:
    if isinstance(value, str):
        return value if raw else guard(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False) if value else ""
    return value
