"""Rows of predictions from a file: JSON lines, or CSV with a column for each label.

A CSV has the columns `external_id` and `text`. Scores are one column `logits` or `probabilities`
with JSON in its cells, or a column for each label; an empty cell is an unknown score.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from countersign.errors import FileError

JSON_CELLS = ("logits", "probabilities", "metadata", "hidden_metadata", "turns")
MAX_CELL = 16 * 1024 * 1024


def read_rows(path: Path, *, score_kind: str = "logits") -> Iterator[dict[str, Any]]:
    """The rows of `path`, one at a time. `score_kind` says what a CSV's label columns hold.

    Raises `FileError`, also while the rows are read.
    """
    if path.suffix not in (".jsonl", ".ndjson", ".csv"):
        raise FileError(f"{path.name}: the name should end in .jsonl, .ndjson or .csv.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix == ".csv":
                yield from _csv_rows(path, csv.DictReader(file, strict=True), score_kind)
            else:
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        yield _json_row(path, number, line)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise FileError(f"{path.name} is not UTF-8: {error.reason}.") from error


def _json_row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path.name}, line {number}: no JSON: {error}.") from error
    if not isinstance(row, dict):
        raise FileError(f"{path.name}, line {number}: not a JSON object.")
    return row


def _csv_rows(path: Path, reader: csv.DictReader[str], score_kind: str) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(MAX_CELL)
    try:
        header = reader.fieldnames or []
        for name in ("external_id", "text"):
            if name not in header:
                raise FileError(f"{path.name} lacks the column “{name}”.")
        labels = [name for name in header if name not in ("external_id", "text", *JSON_CELLS)]
        for cells in reader:
            if None in cells or None in cells.values():
                raise FileError(
                    f"{path.name}, line {reader.line_num}: not as many cells as the header has."
                )
            yield _item(cells, labels, score_kind)
    except csv.Error as error:
        raise FileError(f"{path.name}, line {reader.line_num}: {error}.") from error


def _item(cells: dict[str, str], labels: list[str], score_kind: str) -> dict[str, Any]:
    row: dict[str, Any] = {"external_id": cells["external_id"], "text": cells["text"]}
    row |= {name: _value(cells[name]) for name in JSON_CELLS if cells.get(name, "").strip()}
    scores = {label: _value(cells[label]) for label in labels if cells[label].strip()}
    if scores:
        row[score_kind] = scores
    return row


def _value(cell: str) -> Any:
    """The JSON value of a cell, or the cell itself for the site to refuse by row."""
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell
