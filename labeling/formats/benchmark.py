"""Benchmark answers from files.

JSON holds the payload of the contract, `{"part", "sampling", "items"}`; JSON lines and CSV hold the
items alone, and CSV has a column for each of their fields (`labels` and `conf` as JSON lists).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.utils.translation import gettext as _

from labeling.formats.predictions import json_cell
from labeling.formats.records import FileRefused, read_json, read_jsonl, suffix_of
from labeling.formats.tabular import need_columns, read_table

SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv")
JSON_CELLS = ("labels", "conf", "unk")


@dataclass(frozen=True)
class BenchmarkFile:
    """The items of a file, and the part and sampling where the file names them."""

    items: list[object]
    part: str | None = None
    sampling: str | None = None


def read_benchmark(path: Path, *, raw: bool = False) -> BenchmarkFile:
    """The answers in a file. Raises FileRefused for what is not such a file."""
    suffix = suffix_of(path, SUFFIXES)
    if suffix == ".csv":
        return BenchmarkFile(list(_table(path, raw=raw)))
    if suffix != ".json":
        return BenchmarkFile(list(read_jsonl(path)))
    payload = read_json(path)
    if isinstance(payload, list):
        return BenchmarkFile(payload)
    items = payload.get("items") if isinstance(payload, Mapping) else None
    if not isinstance(items, list):
        raise FileRefused(
            _("%(file)s should hold an object with part, sampling and items.") % {"file": path.name}
        )
    part, sampling = payload.get("part"), payload.get("sampling")
    return BenchmarkFile(
        items,
        part if isinstance(part, str) else None,
        sampling if isinstance(sampling, str) else None,
    )


def _table(path: Path, *, raw: bool) -> Iterator[object]:
    header, rows = read_table(path, raw=raw)
    need_columns(path, header, ("external_id", "expert"))
    for row in rows:
        given = {name: cell for name, cell in row.items() if cell.strip()}
        yield {
            name: json_cell(cell) if name in JSON_CELLS else cell for name, cell in given.items()
        }
