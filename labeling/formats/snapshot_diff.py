"""What differs between two snapshots: both are sorted by task, so they are read side by side."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from labeling.formats.snapshot import Line, checked_lines
from labeling.formats.tabular import guard
from labeling.formats.writers import Download, blocks
from labeling.models import Snapshot

ADDED, REMOVED, ERASED = "added", "removed", "erased"
CHANGES = (ADDED, REMOVED, "label", "status", "source", "text", ERASED)
"""The names of what may have happened to a task, in the order in which they are told."""
SHOWN = ("revision", "label_key", "outcome", "conf_labels", "unk_reason", "status", "source")
COLUMNS = (
    "external_id",
    "changes",
    "label_before",
    "label_after",
    "status_before",
    "status_after",
    "source_before",
    "source_after",
    "revision_before",
    "revision_after",
)


@dataclass(frozen=True)
class Change:
    """A task that is not the same in both; `before` and `after` have its SHOWN columns."""

    external_id: str
    changes: tuple[str, ...]
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        return {
            "external_id": self.external_id,
            "changes": list(self.changes),
            "before": self.before,
            "after": self.after,
        }


@dataclass
class Comparison:
    """Two snapshots of one project. `counts` is right once all of `changes()` was taken.

    Raises SnapshotDamaged before the first change if one of the files is not what was kept.
    """

    before: Snapshot
    after: Snapshot
    counts: Counter[str] = field(default_factory=Counter)
    same: int = 0

    def __post_init__(self) -> None:
        self._lines = checked_lines(self.before), checked_lines(self.after)

    def changes(self) -> Iterator[Change]:
        """In the order of the tasks. Tasks of which one side has only a tombstone are counted as
        erased and not told: nothing is known of them."""
        for old, new in side_by_side(*self._lines):
            kinds = _kinds(old, new)
            if not kinds:
                self.same += 1
                continue
            self.counts.update(kinds)
            if kinds != (ERASED,):
                rows = [line["row"] if line else None for line in (old, new)]
                named = rows[1] or rows[0]
                assert named is not None, "one of them has the task"
                yield Change(named["external_id"], kinds, _shown(rows[0]), _shown(rows[1]))

    def counted(self) -> dict[str, int]:
        return {"same": self.same, **{name: self.counts[name] for name in CHANGES}}


def side_by_side(
    before: Iterator[Line], after: Iterator[Line]
) -> Iterator[tuple[Line | None, Line | None]]:
    """The lines of both by task; None where one has no line of it."""
    old, new = next(before, None), next(after, None)
    while old is not None or new is not None:
        if new is None or (old is not None and old["task"] < new["task"]):
            yield old, None
            old = next(before, None)
        elif old is None or new["task"] < old["task"]:
            yield None, new
            new = next(after, None)
        else:
            yield old, new
            old, new = next(before, None), next(after, None)


def _kinds(old: Line | None, new: Line | None) -> tuple[str, ...]:
    if any(line is not None and "row" not in line for line in (old, new)):
        return (ERASED,)
    if old is None:
        return (ADDED,)
    if new is None:
        return (REMOVED,)
    was, is_ = old["row"], new["row"]
    found = [name for name in ("status", "source") if was[name] != is_[name]]
    if said(was) != said(is_):
        found.insert(0, "label")
    if was["revision"] != is_["revision"]:
        found.append("text")
    return tuple(found)


def said(row: Mapping[str, Any]) -> str:
    """What stands, in one cell: the label's key, several of them, or why nobody could choose."""
    if row["outcome"] == "unk":
        return f"unk: {row['unk_reason'] or ''}"
    if row["outcome"] == "conf":
        return " + ".join(sorted(row["conf_labels"]))
    return row["label_key"] or ""


def _shown(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return {name: row[name] for name in SHOWN} if row is not None else None


def write_json(comparison: Comparison) -> Iterator[bytes]:
    """One JSON object, a change a line; the counts come last, since only then are they known."""
    numbers = {"since": comparison.before.number, "snapshot": comparison.after.number}
    yield json.dumps(numbers).encode()[:-1] + b', "changes": [\n'
    between = b""
    for change in comparison.changes():
        yield between + json.dumps(change.as_json(), ensure_ascii=False).encode()
        between = b",\n"
    yield b'\n], "counts": ' + json.dumps(comparison.counted()).encode() + b"}\n"


def write_csv(comparison: Comparison) -> Iterator[bytes]:
    """A header, then one record a change. What a spreadsheet would run has an apostrophe in
    front."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for change in comparison.changes():
        sides = [change.before, change.after]
        labels = [said(side) if side else "" for side in sides]
        rest = [
            side[name] if side else ""
            for name in ("status", "source", "revision")
            for side in sides
        ]
        cells = [change.external_id, " ".join(change.changes), *labels, *rest]
        writer.writerow([guard(cell) if isinstance(cell, str) else cell for cell in cells])
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue().encode()


def changes_download(before: Snapshot, after: Snapshot, kind: str) -> Download:
    """All changes as JSON or CSV, to be streamed. Raises SnapshotDamaged."""
    comparison = Comparison(before, after)
    name = f"{after.project.slug}-changes-{before.number}-{after.number}.{kind}"
    if kind == "csv":
        return Download("text/csv; charset=utf-8", name, blocks(write_csv(comparison)))
    return Download("application/json", name, blocks(write_json(comparison)))
