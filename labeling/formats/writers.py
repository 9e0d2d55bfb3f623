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
from labeling.formats.split import Split
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
class About:
    """What a file tells besides its rows; `labels` has the name of every label key: first those
    in force, in their order, then the retired."""

    project: str
    name: str
    labels: Mapping[str, str]
    columns: tuple[str, ...]
    taxonomy_version: int

    def as_texts(self) -> dict[str, str]:
        return {"project": self.project, "taxonomy_version": str(self.taxonomy_version)}


def about_of(project: Project, *, split: bool = False) -> About:
    """As the project stands now."""
    taxonomy = project.taxonomies.first()
    place = {pk: n for n, pk in enumerate(taxonomy.label_ids if taxonomy else ())}
    labels = sorted(project.labels.all(), key=lambda one: (place.get(one.pk, len(place)), one.pk))
    return About(
        project=project.slug,
        name=project.name,
        labels={label.key: label.name for label in labels},
        columns=export_columns(split=split),
        taxonomy_version=taxonomy.number if taxonomy else 0,
    )


@dataclass(frozen=True)
class Download:
    """A file on its way: what it is, what it is called, and its content in pieces."""

    content_type: str
    name: str
    blocks: Iterator[bytes]


def download(
    project: Project,
    selection: Selection,
    kind: str,
    *,
    raw: bool = False,
    split: Split | None = None,
) -> Download:
    """The selected tasks in one of FORMATS, to be streamed."""
    rows = export_rows(project, selection=selection, split=split)
    return as_download(about_of(project, split=split is not None), rows, kind, raw=raw)


def as_download(
    about: About, rows: Iterable[Mapping[str, Any]], kind: str, *, raw: bool = False, name: str = ""
) -> Download:
    """`rows` in one of FORMATS; the file is called by `name`, or else by the project."""
    content_type, ending = FORMATS[kind]
    lines = write_rows(about, rows, kind, raw=raw)
    return Download(content_type, f"{name or about.project}.{ending}", blocks(lines))


def write_rows(
    about: About, rows: Iterable[Mapping[str, Any]], kind: str, *, raw: bool = False
) -> Iterator[bytes]:
    """`rows` of `export.export_rows` as a file of one of FORMATS, in pieces, never held whole."""
    if kind == "csv":
        return write_csv(rows, about.columns, raw=raw)
    if kind == "parquet":
        return _parquet(about, rows)
    if kind == "huggingface":
        return write_zip(huggingface_files(about, rows))
    if kind == "jsonl":
        return write_jsonl(rows)
    if kind == "fasttext":
        return fasttext_lines(rows, about.labels)
    if kind in JSON_LISTS:
        return write_json_list(JSON_LISTS[kind](rows, about.labels))
    return write_jsonl(JSON_LINES[kind](rows, about.labels))


# Only who writes Parquet loads its library.
def _parquet(about: About, rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    from labeling.formats.parquet import parquet_schema, write_parquet

    return write_parquet(rows, parquet_schema(about.columns, about.as_texts()))


def huggingface_files(
    about: About, rows: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The files of a data set folder, name and content in pieces; take each whole in its turn."""
    from labeling.formats.huggingface import write_huggingface

    told = about.as_texts() | {"name": about.name}
    return write_huggingface(rows, about.columns, about.labels, told)


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
