"""A project of another annotation tool comes in: texts, predictions, people and their answers."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

from django.db import transaction

from labeling import dispatch
from labeling.actions.errors import ActionRefused, Detail
from labeling.actions.events import Actor, record
from labeling.actions.foreign_check import Checker, KnownTask
from labeling.actions.foreign_settle import settle
from labeling.actions.foreign_write import Writer, Written
from labeling.actions.ingest import OnError, refusal
from labeling.actions.ingest_file import ERRORS_KEPT
from labeling.actions.ingest_parse import BadRow
from labeling.actions.projects import create_project
from labeling.actions.taxonomy import (
    current_specs,
    current_taxonomy,
    label_names,
    parse_labels,
    set_labels,
)
from labeling.formats.foreign.base import ForeignTask, Lost
from labeling.models import Project, Run, ScoreKind, Stage

CHUNK = 500

Read = Callable[[], Iterator[ForeignTask | BadRow]]
"""Reads the file anew each time; a row that cannot be read comes as what is wrong with it."""


@dataclass
class ProjectImport:
    """What became of a file. `lost` counts what it says and the project has no place for, by
    `formats.foreign.base.Lost`; at most the first thousand `errors` are kept."""

    rows: int = 0
    bad_rows: int = 0
    errors: list[Detail] = field(default_factory=list)
    new_labels: list[str] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    written: Written = field(default_factory=Written)
    runs: list[Run] = field(default_factory=list)

    def add_error(self, error: Detail) -> None:
        self.bad_rows += 1
        if len(self.errors) < ERRORS_KEPT:
            self.errors.append(error)

    def left_out(self) -> list[tuple[str, int]]:
        """What the file says and the project has no place for, in words, with how often."""
        return [(str(Lost(kind).label), n) for kind, n in sorted(self.lost.items()) if n]


def import_project(
    *,
    project: Project,
    read: Read,
    tool: str,
    add_labels: bool = False,
    on_error: OnError = "reject_batch",
    by: Actor,
    preview: bool = False,
) -> ProjectImport:
    """Store what a file of another tool says, all of it or, with "skip_row", the good rows.

    A label that the file says stands does so as *imported*, where nothing stands yet; where it
    says none, answers that are all alike do. People become members without an account. With
    `add_labels` the label set grows by the labels that the project lacks (certificates then end).
    Importing a file again changes nothing. A `preview` stores nothing and refuses nothing.

    Raises ActionRefused with one Detail a bad row where `on_error` is "reject_batch".
    """
    with transaction.atomic():
        # As ingest does: two imports at once shall not both create a task.
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        report = ProjectImport()
        if add_labels:
            report.new_labels = _add_labels(project, labels_in(read), by)
        _store(project, read, tool, by, report)
        if preview:
            transaction.set_rollback(True)
        elif report.bad_rows and on_error == "reject_batch":
            raise ActionRefused(refusal(report.bad_rows), report.errors)
    return report


def create_from_file(
    *, slug: str, name: str, read: Read, tool: str, on_error: OnError, by: str
) -> tuple[Project, ProjectImport]:
    """A new project with the label set that the file uses, and the file in it; or neither."""
    with transaction.atomic():
        specs = parse_labels(labels_in(read))
        project = create_project(slug=slug, name=name, labels=specs, by=None)
        report = import_project(project=project, read=read, tool=tool, on_error=on_error, by=by)
        report.new_labels = [spec.name for spec in specs]
    return project, report


def labels_in(read: Read) -> list[dict[str, str]]:
    """Every label that the file names, with its key where the file tells it, in its order."""
    keys: dict[str, str] = {}
    said: dict[str, None] = {}
    for task in read():
        if isinstance(task, ForeignTask):
            keys = {**task.names, **keys}
            said |= dict.fromkeys(task.labels())
    named = set(keys.values())
    return [
        {"key": label, "name": keys[label]} if label in keys else {"name": label}
        for label in said
        if label in keys or label not in named
    ]


def _add_labels(project: Project, found: list[dict[str, str]], by: Actor) -> list[str]:
    """Add the labels that the project knows by no name; the names of those added."""
    known = label_names(project)
    new = [one for one in found if not {one["name"], one.get("key", one["name"])} & known.keys()]
    if new:
        standing = [asdict(spec) for spec in current_specs(project)]
        set_labels(project=project, specs=parse_labels([*standing, *new]), by=by)
    return [one["name"] for one in new]


def _store(project: Project, read: Read, tool: str, by: Actor, report: ProjectImport) -> None:
    taxonomy = current_taxonomy(project)
    logits = project.model_versions.filter(score_kind=ScoreKind.LOGITS)
    checker = Checker(
        {name: pk for name, pk in label_names(project).items() if pk in taxonomy.label_ids},
        not_scored=frozenset(logits.values_list("name", flat=True)),
        allow_conf=project.allow_conf,
    )
    writer = Writer(project, taxonomy, tool=tool, by=by)
    rows = enumerate(read())
    while some := list(itertools.islice(rows, CHUNK)):
        report.rows += len(some)
        for error in writer.store(_good(some, checker, report)):
            report.add_error(error)
    settled = settle(project=project, taxonomy=taxonomy, touched=writer.touched, by=by)
    report.written, report.lost, report.runs = writer.written, checker.lost, settled.runs
    report.written.resolved += settled.resolved
    report.errors.sort(key=lambda detail: detail.index or 0)
    _tell(project, report, tool, by)
    if settled.runs:
        dispatch.nudge(Stage.RERANK)
    if settled.unscored:
        dispatch.classify(project.pk)


def _good(
    some: list[tuple[int, ForeignTask | BadRow]], checker: Checker, report: ProjectImport
) -> list[KnownTask]:
    good = []
    for index, task in some:
        try:
            if isinstance(task, BadRow):
                raise task
            good.append(checker.check(index, task))
        except BadRow as bad:
            report.add_error(bad.detail(index))
    return good


def _tell(project: Project, report: ProjectImport, tool: str, by: Actor) -> None:
    written = asdict(report.written)
    if any(written[name] for name in written if name != "known"):
        counts = {**written, "tool": tool, "errors": report.bad_rows, "lost": dict(report.lost)}
        record(project, by, "project_imported", project, new=counts)
