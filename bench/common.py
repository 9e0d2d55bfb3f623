"""What the benchmarks share: reading data sets, saying what goes on, one JSON object at the end."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Row = dict[str, str]


def read_rows(path: Path) -> list[Row]:
    """Rows of a CSV with the columns text and category; ends the program in words if it is not."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            rows = list(csv.DictReader(handle))
    except OSError as error:
        raise SystemExit(f"{path} cannot be read: {error}") from error
    if not rows or not {"text", "category"} <= set(rows[0]):
        raise SystemExit(f"{path} needs rows with the columns text and category.")
    return [{"text": row["text"], "category": row["category"]} for row in rows]


def write_rows(path: Path, rows: Sequence[Row]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, fieldnames=["text", "category"])
        writer.writeheader()
        writer.writerows(rows)
    return path


def say(sentence: str) -> None:
    """Progress, on standard error: standard output holds the result alone."""
    print(sentence, file=sys.stderr, flush=True)


@contextmanager
def timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    """Note the seconds of the block under `what`, and say that it goes on."""
    say(f"{what} ...")
    started = time.monotonic()
    yield
    seconds[what] = round(time.monotonic() - started, 2)


def ticker(what: str, every: float = 5.0) -> Callable[[int, int], None]:
    """A progress callback that says how far `what` is, at most every few seconds."""
    last = time.monotonic()

    def tick(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= every:
            last = time.monotonic()
            say(f"  {what}: {done} of {total}")

    return tick


def report(result: dict[str, Any], *, as_json: bool) -> None:
    """One JSON object, or the same as lines for people."""
    if as_json:
        print(json.dumps(result, ensure_ascii=False))
        return
    for name, value in result.items():
        print(f"{name:<24} {json.dumps(value, ensure_ascii=False)}")
