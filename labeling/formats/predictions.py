"""Predictions from files: JSON lines with the items of the contract, or CSV.

A CSV has the columns `external_id` and `text`, optionally `metadata`, `hidden_metadata` and `turns`
(JSON in a cell), and scores: one column for each label, or one column `logits` or `probabilities`
that holds a JSON list or object. An empty score is an unknown one. Parquet has the same columns,
typed: lists, maps or structs in the place of JSON, which is understood, too.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from labeling.formats.records import read_jsonl, suffix_of
from labeling.formats.tabular import need_columns, read_table

SUFFIXES = (".jsonl", ".ndjson", ".csv", ".parquet")
LOGITS = "logits"
PROBABILITIES = "probabilities"
TEXTS = ("external_id", "text")
JSON_CELLS = (LOGITS, PROBABILITIES, "metadata", "hidden_metadata", "turns")


def read_predictions(
    path: Path, *, score_kind: str | None = None, raw: bool = False, skip: int = 0
) -> Iterator[object]:
    """Items for ingest, one at a time. Raises FileRefused for what is not such a file.

    `score_kind` says what label columns hold; without it they are probabilities if the
    first row of them adds up to 1, else logits. `raw` leaves leading apostrophes of cells alone.
    The first `skip` rows are left out.
    """
    suffix = suffix_of(path, SUFFIXES)
    if suffix == ".parquet":
        yield from itertools.islice(_typed(path, score_kind), skip, None)
        return
    if suffix != ".csv":
        yield from read_jsonl(path, skip=skip)
        return
    header, rows = read_table(path, raw=raw)
    need_columns(path, header, TEXTS)
    labels = [name for name in header if name not in (*TEXTS, *JSON_CELLS)]
    first = next(rows, None)
    if first is None:
        return
    kind = score_kind or guess_kind([first[label] for label in labels])
    for row in itertools.islice(itertools.chain([first], rows), skip, None):
        yield _item(row, labels, kind)


def _typed(path: Path, score_kind: str | None) -> Iterator[object]:
    """Items of a Parquet file, whose library only who reads one loads."""
    from labeling.formats.parquet_read import parquet_columns, read_parquet

    header = parquet_columns(path)
    need_columns(path, header, TEXTS)
    labels = [name for name in header if name not in (*TEXTS, *JSON_CELLS)]
    kind = score_kind
    for row in read_parquet(path):
        item: dict[str, object] = {name: row[name] for name in TEXTS}
        if isinstance(row["external_id"], int):
            item["external_id"] = str(row["external_id"])
        for name in JSON_CELLS:
            value = row.get(name)
            if value not in (None, ""):
                item[name] = json_cell(value) if isinstance(value, str) else value
        scores = {label: row[label] for label in labels if row[label] is not None}
        if scores:
            kind = kind or guess_kind([json.dumps(score) for score in scores.values()])
            item[kind] = scores
        yield item


def guess_kind(cells: Sequence[str]) -> str:
    """What a row of label columns holds: probabilities lie in [0, 1] and add up to 1."""
    values = [_number(cell) for cell in cells if cell.strip()]
    numbers = [value for value in values if isinstance(value, float)]
    is_whole = len(numbers) == len(values) > 0 and abs(sum(numbers) - 1.0) <= 1e-3
    return PROBABILITIES if is_whole and min(numbers) >= 0.0 else LOGITS


def _item(row: Mapping[str, str], labels: Sequence[str], kind: str) -> dict[str, object]:
    item: dict[str, object] = {name: row[name] for name in TEXTS}
    item |= {name: json_cell(row[name]) for name in JSON_CELLS if row.get(name, "").strip()}
    scores = {label: _number(row[label]) for label in labels if row[label].strip()}
    if scores:
        item[kind] = scores
    return item


def _number(cell: str) -> float | str:
    """A number, or the cell itself for the import to refuse."""
    try:
        return cell if "_" in cell else float(cell)
    except ValueError:
        return cell


def json_cell(cell: str) -> object:
    """The JSON value in a cell, or the cell itself for the import to refuse."""
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell
