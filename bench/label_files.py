"""Files of labels by several workers: CSV with the columns that each benchmark names."""

from __future__ import annotations

import csv
from pathlib import Path

from bench.common import say
from labeling.statistics.ratings import Ratings


def read_columns(path: Path, *columns: str) -> list[tuple[str, ...]]:
    """The named columns of a CSV, row by row; ends the program in words if they are not there."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            rows = list(csv.DictReader(handle))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SystemExit(f"{path} cannot be read: {error}") from error
    if not rows or not set(columns) <= set(rows[0]):
        raise SystemExit(f"{path} needs rows with the columns {', '.join(columns)}.")
    if any(row[column] in (None, "") for row in rows for column in columns):
        raise SystemExit(f"{path} has a row without a value in {', '.join(columns)}.")
    return [tuple(row[column] for column in columns) for row in rows]


def read_ratings(path: Path, who: str = "worker") -> Ratings:
    """The labels in `path`, each (task, worker) once; says how many repeats were left out."""
    ratings = Ratings.of((t, w, label) for t, w, label in read_columns(path, "task", who, "label"))
    repeats = ratings.repeats
    if repeats.rows:
        say(
            f"{path.name}: {repeats.rows} rows repeat a task and {who}; the first label counts. "
            f"{repeats.rows - repeats.same} of them say something else."
        )
    return ratings
