"""Documents from files: JSON lines, a JSON list, or CSV with `id,text`, maybe `title,section`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from labeling.formats.records import read_json_list, read_jsonl, suffix_of
from labeling.formats.tabular import need_columns, read_table

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv")


def read_documents(path: Path, *, raw: bool = False) -> Iterator[object]:
    """Items for the import, one at a time. Raises FileRefused for what is not such a file."""
    suffix = suffix_of(path, SUFFIXES)
    if suffix == ".csv":
        header, rows = read_table(path, raw=raw)
        need_columns(path, header, ("id", "text"))
        yield from rows
    elif suffix == ".json":
        yield from read_json_list(path)
    else:
        yield from read_jsonl(path)
