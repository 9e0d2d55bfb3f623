"""The formats of an export by name, and the one way to write a project in any of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labeling.formats.argilla import argilla_records
from labeling.formats.csv_export import write_csv
from labeling.formats.doccano import doccano_examples
from labeling.formats.export import export_columns, export_rows
from labeling.formats.fasttext import fasttext_lines
from labeling.formats.folder import write_zip
from labeling.formats.jsonl import write_json_list, write_jsonl
from labeling.formats.label_studio import label_studio_tasks
from labeling.formats.prodigy import prodigy_examples
from labeling.formats.selection import Selection
from labeling.models import Project

# Name to content type and ending of the file's name.
FORMATS = {
    "jsonl": ("application/x-ndjson", "jsonl"),
    "csv": ("text/csv; charset=utf-8", "csv"),
    "parquet": ("application/vnd.apache.parquet", "parquet"),
    "huggingface": ("application/zip", "huggingface.zip"),
    "label_studio": ("application/json", "label_studio.json"),
    "argilla": ("application/json", "argilla.json"),
    "doccano": ("application/x-ndjson", "doccano.jsonl"),
    "prodigy": ("application/x-ndjson", "prodigy.jsonl"),
    "fasttext": ("text/plain; charset=utf-8", "fasttext.txt"),
}
BINARY = ("parquet", "huggingface")

JSON_LISTS = {"label_studio": label_studio_tasks, "argilla": argilla_records}
JSON_LINES = {"doccano": doccano_examples, "prodigy": prodigy_examples}

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
    if kind == "huggingface":
        return write_zip(huggingface_files(project, rows))
    if kind == "jsonl":
        return write_jsonl(rows)
    names = label_names(project)
    if kind == "fasttext":
        return fasttext_lines(rows, names)
    if kind in JSON_LISTS:
        return write_json_list(JSON_LISTS[kind](rows, names))
    return write_jsonl(JSON_LINES[kind](rows, names))


def label_names(project: Project) -> dict[str, str]:
    """The name of every label key: first the labels in force, in their order, then the retired."""
    taxonomy = project.taxonomies.first()
    place = {pk: n for n, pk in enumerate(taxonomy.label_ids if taxonomy else ())}
    labels = sorted(project.labels.all(), key=lambda one: (place.get(one.pk, len(place)), one.pk))
    return {label.key: label.name for label in labels}


# Only who writes Parquet loads its library.
def _parquet(project: Project, rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    from labeling.formats.parquet import parquet_schema, write_parquet

    return write_parquet(rows, parquet_schema(export_columns(), _about(project)))


def huggingface_files(
    project: Project, rows: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The files of a data set folder, name and content in pieces; take each whole in its turn."""
    from labeling.formats.huggingface import write_huggingface

    about = _about(project) | {"name": project.name}
    return write_huggingface(rows, export_columns(), label_names(project), about)


def _about(project: Project) -> dict[str, str]:
    taxonomy = project.taxonomies.first()
    return {"project": project.slug, "taxonomy_version": str(taxonomy.number if taxonomy else 0)}


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
