"""Rows of a Parquet file, as plain values and some at a time. Format: https://parquet.apache.org."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from django.utils.translation import gettext as _

from labeling.formats.records import FileRefused

BATCH = 256
# A few bytes can stand for a great many equal rows, and for one of any length many times over.
MAX_ROWS = 10_000_000
MAX_BATCH_BYTES = 64 * 1024 * 1024
MAX_GROUP_BYTES = 1024 * 1024 * 1024
MAX_COLUMNS = 1000


def parquet_columns(path: Path) -> list[str]:
    """The names of the columns. Raises FileRefused."""
    with _opened(path) as file:
        return list(file.schema_arrow.names)


def read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    """The rows: numbers, texts, truth values, lists and objects as they are, times in ISO 8601.

    Raises FileRefused for what is not such a file, is damaged, or would take too much memory.
    """
    with _opened(path) as file:
        batches = file.iter_batches(batch_size=BATCH)
        number = 0
        while (batch := _next(path, batches, number)) is not None:
            for row in batch:
                number += 1
                yield {name: _plain(path, number, value) for name, value in row.items()}


def _opened(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
        texts = [f.name for f in file.schema_arrow if pa.types.is_string(f.type)]
        # Kept as a dictionary, a text that stands in many rows is held once.
        file = pq.ParquetFile(path, read_dictionary=texts)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _refused(path, _("this is not Parquet, or it is damaged")) from error
    names = file.schema_arrow.names
    if len(names) > MAX_COLUMNS or len(set(names)) < len(names):
        raise _refused(path, _("its columns are too many, or two have one name"))
    if file.metadata.num_rows > MAX_ROWS:
        raise _refused(path, _("it has more than %(n)d rows") % {"n": MAX_ROWS})
    groups = range(file.metadata.num_row_groups)
    if any(file.metadata.row_group(n).total_byte_size > MAX_GROUP_BYTES for n in groups):
        raise _refused(path, _("a row group is too large"))
    return file


def _next(
    path: Path, batches: Iterator[pa.RecordBatch], number: int
) -> list[dict[str, Any]] | None:
    """The next rows, or None after the last."""
    try:
        batch = next(batches, None)
        if batch is None:
            return None
        if sum(_bytes(column) for column in batch.columns) > MAX_BATCH_BYTES:
            raise _refused(path, _("the rows after row %(n)d are too large") % {"n": number})
        rows: list[dict[str, Any]] = batch.to_pylist()
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        why = _("the rows after row %(n)d cannot be read") % {"n": number}
        raise _refused(path, why) from error
    return rows


def _bytes(column: pa.Array) -> int:
    """How much memory the values of a column take as Python has them, about."""
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    lengths = pc.binary_length(column.dictionary).take(column.indices)
    return int(pc.sum(lengths).as_py() or 0)


def _plain(path: Path, number: int, value: Any) -> Any:
    """A value as JSON has it."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, dict):
        return {str(name): _plain(path, number, inner) for name, inner in value.items()}
    if isinstance(value, list):
        if value and all(isinstance(one, tuple) and len(one) == 2 for one in value):  # a map
            return {str(name): _plain(path, number, inner) for name, inner in value}
        return [_plain(path, number, inner) for inner in value]
    why = _("row %(n)d holds a value of the type %(type)s, which is not read")
    raise _refused(path, why % {"n": number, "type": type(value).__name__})


def _refused(path: Path, why: str) -> FileRefused:
    return FileRefused(_("%(file)s: %(why)s.") % {"file": path.name, "why": why})
