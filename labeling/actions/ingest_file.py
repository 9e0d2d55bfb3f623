"""Files of predictions, of any size: every row is checked, then they are stored part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from django.db import transaction
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused, Detail
from labeling.actions.events import Actor
from labeling.actions.ingest import (
    Against,
    OnChangedText,
    OnError,
    check_rows,
    ingest_part,
    look_up,
    open_source,
    refusal,
)
from labeling.actions.mappings import outside_names
from labeling.models import Project, Run

ERRORS_KEPT = 1000


@dataclass
class FileReport:
    """What became of a file. At most the first thousand `errors` are kept; `bad_rows` counts all.
    Rows are numbered from 0."""

    runs: list[Run] = field(default_factory=list)
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    bad_rows: int = 0
    errors: list[Detail] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return self.created + self.updated + self.unchanged + self.bad_rows

    def add_errors(self, errors: Sequence[Detail]) -> None:
        self.bad_rows += len(errors)
        self.errors.extend(errors[: ERRORS_KEPT - len(self.errors)])


def ingest_file(
    *,
    project: Project,
    model_version: str,
    read: Callable[[], Iterator[object]],
    on_error: OnError = "reject_batch",
    on_changed_text: OnChangedText = "error",
    mapping: str = "",
    by: Actor,
    chunk: int = 1000,
    progress: Callable[[str, int], None] = lambda stage, rows: None,
) -> FileReport:
    """Ingest any number of items in constant memory, `chunk` of them to a transaction.

    `read` opens the items anew each time. With "reject_batch" every row is checked before the first
    is written (ActionRefused then lists up to a thousand mistakes); 8 bytes a row are kept to find
    an external_id that stands there twice. What changes in the database between the two passes
    shows up as row errors. `mapping` names a saved mapping. `progress` is told what is done with
    the rows, and the rows so far.
    """
    report = FileReport()
    against = Against(project, model_version, names=outside_names(project, mapping))
    if on_error == "reject_batch":
        found = check_file(
            against=against,
            read=read,
            on_changed_text=on_changed_text,
            chunk=chunk,
            progress=progress,
        )
        if found.bad_rows:
            raise ActionRefused(refusal(found.bad_rows), found.errors)
    for offset, items in chunks(read(), chunk):
        with transaction.atomic():
            part = ingest_part(
                against=against,
                items=items,
                offset=offset,
                on_changed_text=on_changed_text,
                by=by,
            )
        report.created += part.created
        report.updated += part.updated
        report.unchanged += part.unchanged
        report.add_errors(part.errors)
        if part.run is not None and part.run not in report.runs:
            report.runs.append(part.run)
        progress(_("stored"), report.rows)
    return report


def check_file(
    *,
    against: Against,
    read: Callable[[], Iterator[object]],
    on_changed_text: OnChangedText = "error",
    chunk: int = 1000,
    progress: Callable[[str, int], None] = lambda stage, rows: None,
    keep: Callable[[Sequence[Detail]], None] = lambda errors: None,
) -> FileReport:
    """What would become of the items, and what is wrong with them; nothing is stored. `keep` is
    given all mistakes, those of a chunk at a time."""
    found = FileReport()
    source = open_source(against, lock=False)
    hashes: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
    for offset, items in chunks(read(), chunk):
        rows, errors = check_rows(source, items, offset)
        intake = look_up(source, rows, on_changed_text, errors)
        found.created += len(intake.new)
        found.updated += len(intake.changed)
        found.unchanged += len(intake.unchanged)
        found.add_errors(errors)
        keep(errors)
        hashes.append(np.fromiter((hash(_id_of(item)) for item in items), np.int64, len(items)))
        progress(_("checked"), offset + len(items))
    repeats = _repeats(hashes, chunk)
    found.created -= len(repeats)
    found.add_errors(repeats)
    keep(repeats)
    found.errors.sort(key=lambda detail: detail.index or 0)
    return found


def _id_of(item: object) -> str:
    given = item.get("external_id") if isinstance(item, Mapping) else None
    return given if isinstance(given, str) else ""


def _repeats(hashes: list[np.ndarray[tuple[int], np.dtype[np.int64]]], chunk: int) -> list[Detail]:
    """Rows whose external_id stood in an earlier chunk (within a chunk the parser has said so)."""
    if len(hashes) < 2:
        return []
    every = np.concatenate(hashes)
    order = np.argsort(every, kind="stable")
    same = (every[order][1:] == every[order][:-1]) & (every[order][1:] != hash(""))
    again, before = order[1:][same], order[:-1][same]
    apart = again[again // chunk != before // chunk]
    return [
        Detail(_("This external_id stands in the file twice."), "external_id", int(index))
        for index in np.sort(apart)
    ]


def chunks(
    items: Iterator[object], size: int, *, start: int = 0
) -> Iterator[tuple[int, list[object]]]:
    """Lists of `size` items, each with the number of its first one; that of all is `start`."""
    offset = start
    while batch := list(islice(items, size)):
        yield offset, batch
        offset += len(batch)
