"""The formats of an export by name, and the one way to write a project in any of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labeling.formats.argilla import argilla_records
from labeling.formats.csv_export import write_csv
from labeling.formats.export import export_columns, export_rows
from labeling.formats.jsonl import write_json_list, write_jsonl
from labeling.formats.label_studio import label_studio_tasks
from labeling.formats.selection import Selection
from labeling.models import Project

# Name to content type and ending of the file's name.
FORMATS = {
    "jsonl": ("application/x-ndjson", "jsonl"),
    "csv": ("text/csv; charset=utf-8", "csv"),
    "parquet": ("application/vnd.apache.parquet", "parquet"),
    "label_studio": ("application/json", "label_studio.json"),
    "argilla": ("application/json", "argilla.json"),
}

BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True)
class Download:
    """A file on its way: what it is, what it is called, and its content in pieces."""

    content_type: str
    name: str
    blocks: Iterator[bytes]


def download(project: Project, selection: Selection, kind: str, *, raw: bool = False) -> Download:
    """The selected tasks in one of FORMATS, to be streamed."""
    content_type, ending = FORMATS[kind]
    lines = write_rows(project, export_rows(project, selection=selection), kind, raw=raw)
    return Download(content_type, f"{project.slug}.{ending}", blocks(lines))


def write_rows(
    project: Project, rows: Iterable[Mapping[str, Any]], kind: str, *, raw: bool = False
) -> Iterator[bytes]:
    """`rows` of `export.export_rows` as a file of one of FORMATS, in pieces, never held whole."""
    if kind == "csv":
        return write_csv(rows, export_columns(), raw=raw)
    if kind == "parquet":
        return _parquet(project, rows)
    names = dict(project.labels.values_list("key", "name"))
    if kind == "label_studio":
        return write_json_list(label_studio_tasks(rows, names))
    if kind == "argilla":
        return write_json_list(argilla_records(rows, names))
    return write_jsonl(rows)


def _parquet(project: Project, rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    # Only who writes Parquet loads its library.
    from labeling.formats.parquet import parquet_schema, write_parquet

    taxonomy = project.taxonomies.first()
    about = {"project": project.slug, "taxonomy_version": str(taxonomy.number if taxonomy else 0)}
    return write_parquet(rows, parquet_schema(export_columns(), about))


def blocks(lines: Iterable[bytes], size: int = BLOCK_BYTES) -> Iterator[bytes]:
    """The lines in pieces of about `size` bytes: a write for every row would cost more than it."""
    held: list[bytes] = []
    length = 0
    for line in lines:
        held.append(line)
        length += len(line)
        if length >= size:
            yield b"".join(held)
            held, length = [], 0
    if held:
        yield b"".join(held)
