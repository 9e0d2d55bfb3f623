"""Predictions come in: tasks, score vectors and plan rows, in one transaction a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from labeling import dispatch, scores
from labeling.actions.errors import ActionRefused, Detail
from labeling.actions.events import Actor, record
from labeling.actions.ingest_parse import (
    BadRow,
    Columns,
    OutsideNames,
    Row,
    columns_for,
    parse_items,
    read_id,
)
from labeling.actions.ingest_write import Intake, write
from labeling.actions.mappings import names_today, outside_names
from labeling.actions.taxonomy import current_taxonomy, label_names
from labeling.models import (
    Artifact,
    BenchmarkItem,
    ModelVersion,
    Prediction,
    Project,
    Run,
    Stage,
    Task,
    TaskStatus,
    TaxonomyVersion,
)

OnError = Literal["reject_batch", "skip_row"]
OnChangedText = Literal["error", "revise"]
LOOK_UP = 500  # ids in one query; SQLite bounds their number


@dataclass(frozen=True)
class IngestReport:
    """What became of a batch. `run` is the last run that took tasks of it, or has them already."""

    run: Run | None
    created: int
    updated: int
    unchanged: int
    errors: list[Detail]


@dataclass(frozen=True)
class Against:
    """Whose predictions a batch holds. `labels` is the order of plain lists of scores (default: the
    taxonomy's), `names` those of a saved mapping, which come before the project's own."""

    project: Project
    model_version: str
    labels: Sequence[str] | None = None
    names: OutsideNames | None = None


@dataclass
class Source:
    """What every batch of one model version is read against. `kind` is that of its scores, None
    until the first scored row of a new model version says it."""

    project: Project
    taxonomy: TaxonomyVersion
    columns: Columns
    name: str
    model_version: ModelVersion | None
    kind: str | None
    has_classifier: bool
    earlier: dict[int, list[int]] = field(default_factory=dict)

    def label_ids(self, taxonomy_id: int) -> list[int]:
        """The label order of an earlier taxonomy version, read once."""
        if taxonomy_id not in self.earlier:
            self.earlier[taxonomy_id] = TaxonomyVersion.objects.get(pk=taxonomy_id).label_ids
        return self.earlier[taxonomy_id]


def ingest_predictions(
    *,
    project: Project,
    model_version: str,
    items: Sequence[object],
    labels: Sequence[str] | None = None,
    mapping: str = "",
    on_error: OnError = "reject_batch",
    on_changed_text: OnChangedText = "error",
    by: Actor,
) -> IngestReport:
    """Store the predictions of one batch and plan their tasks.

    Items are mappings of `external_id`, `text`, at most one of `logits` and `probabilities` (a list
    in the order of `labels`, by default the taxonomy's, or an object of label and number), and
    optionally `metadata`, `hidden_metadata`, `turns`. Sending the same batch again changes nothing.
    `mapping` names a saved mapping; what it does not know is read as the project's own names.

    Raises ActionRefused with one Detail a bad row where `on_error` is "reject_batch"; then nothing
    is stored. With "skip_row" the good rows are kept and the report lists the bad ones.
    """
    with transaction.atomic():
        names = outside_names(project, mapping)
        source = open_source(Against(project, model_version, labels, names))
        return _ingest(source, items, 0, on_error, on_changed_text, by)


def ingest_part(
    *,
    against: Against,
    items: Sequence[object],
    offset: int,
    on_changed_text: OnChangedText = "error",
    by: Actor,
) -> IngestReport:
    """Store the good rows of a part of a file, whose first row has the number `offset`, and list
    the bad ones. Call inside a transaction."""
    return _ingest(open_source(against), items, offset, "skip_row", on_changed_text, by)


def refusal(bad_rows: int) -> str:
    """That nothing was stored, because so many rows are bad."""
    return ngettext(
        "%(n)d row has a mistake, so nothing was stored.",
        "%(n)d rows have mistakes, so nothing was stored.",
        bad_rows,
    ) % {"n": bad_rows}


def open_source(against: Against, *, lock: bool = True) -> Source:
    """What a batch is read against; `lock` (in a transaction) makes batches of a project wait for
    one another, so that two of them do not both create a task."""
    project = against.project
    if lock:
        # no_key: rows that refer to the project can still be written meanwhile.
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    try:
        name = read_id(against.model_version, "model_version")
    except BadRow as bad:
        raise ActionRefused(
            _("Name the model version that the scores come from."), [Detail(bad.message, bad.field)]
        ) from None
    taxonomy = current_taxonomy(project)
    standing = ModelVersion.objects.filter(project=project, name=name).first()
    return Source(
        project=project,
        taxonomy=taxonomy,
        columns=columns_for(
            taxonomy.label_ids,
            label_names(project),
            against.labels,
            names_today(project, against.names) if against.names else None,
        ),
        name=name,
        model_version=standing,
        kind=standing.score_kind if standing else None,
        has_classifier=project.artifacts.filter(
            kind=Artifact.Kind.CLASSIFIER, active=True
        ).exists(),
    )


def _ingest(
    source: Source,
    items: Sequence[object],
    offset: int,
    on_error: OnError,
    on_changed_text: OnChangedText,
    by: Actor,
) -> IngestReport:
    rows, errors = check_rows(source, items, offset)
    intake = look_up(source, rows, on_changed_text, errors)
    errors.sort(key=lambda detail: detail.index or 0)
    if errors and on_error == "reject_batch":
        raise ActionRefused(refusal(len(errors)), errors)
    if intake.scored and source.model_version is None:
        source.model_version = ModelVersion.objects.create(
            project=source.project, name=source.name, score_kind=source.kind or ""
        )
    run = write(intake, source.project, source.model_version, source.taxonomy, by=by)
    if intake.anything:
        counts = intake.counts() | {"errors": len(errors), "model_version": source.name}
        if source.columns.outside is not None:
            counts["mapping"] = source.columns.outside.mapping
        record(source.project, by, "predictions_ingested", run or source.project, new=counts)
    if run is not None:
        dispatch.nudge(Stage.RERANK)
    if intake.unscored:
        dispatch.classify(source.project.pk)
    return IngestReport(
        run=run or intake.standing_run(),
        created=len(intake.new),
        updated=len(intake.changed),
        unchanged=len(intake.unchanged),
        errors=errors,
    )


def check_rows(
    source: Source, items: Sequence[object], offset: int
) -> tuple[list[Row], list[Detail]]:
    """Rows that are right by themselves, and as scores of this model version."""
    rows, errors = parse_items(items, source.columns, offset=offset)
    good: list[Row] = []
    for row in rows:
        if source.kind is None:
            source.kind = row.kind
        if row.kind is None and not source.has_classifier:
            message = _("Without scores only a project with an embedded classifier takes a text.")
            errors.append(Detail(message, "logits", row.index))
        elif row.kind is not None and row.kind != source.kind:
            message = _("The scores of this model version are %(kind)s.") % {"kind": source.kind}
            errors.append(Detail(message, row.kind, row.index))
        else:
            good.append(row)
    return good, errors


def look_up(
    source: Source, rows: list[Row], on_changed_text: OnChangedText, errors: list[Detail]
) -> Intake:
    """Sort the rows by what has to be done with them, given what stands; adds to `errors`."""
    intake = Intake()
    for start in range(0, len(rows), LOOK_UP):
        part = rows[start : start + LOOK_UP]
        standing = _Standing(source, [row.external_id for row in part])
        for row in part:
            try:
                standing.sort(row, intake, revise=on_changed_text == "revise")
            except BadRow as bad:
                errors.append(bad.detail(row.index))
    return intake


class _Standing:
    """Tasks, predictions and benchmark places that stand already for some external ids."""

    def __init__(self, source: Source, external_ids: Sequence[str]) -> None:
        self.source = source
        tasks = Task.objects.filter(project=source.project, external_id__in=external_ids)
        self.tasks = {task.external_id: task for task in tasks}
        ids = [task.pk for task in self.tasks.values()]
        self.predictions = {
            (prediction.task_id, prediction.revision): prediction
            for prediction in Prediction.objects.filter(
                task__in=ids, model_version=source.model_version
            )
        }
        items = BenchmarkItem.objects.filter(task__in=ids)
        self.benchmark = set(items.values_list("task_id", flat=True))

    def sort(self, row: Row, intake: Intake, *, revise: bool) -> None:
        task = self.tasks.get(row.external_id)
        if task is None:
            intake.add_new(row)
            return
        if task.status == TaskStatus.ERASED:
            raise BadRow(
                _("The text of this task was erased, so it is not taken again."), "external_id"
            )
        if task.text != row.text or (row.turns is not None and task.turns != row.turns):
            self._sort_changed(row, task, intake, revise=revise)
            return
        intake.note_metadata(row, task)
        standing = self.predictions.get((task.pk, task.revision))
        if row.scores is None or (standing is not None and self._same(row.scores, standing)):
            intake.leave(task, standing)
        elif standing is not None:
            raise BadRow(
                _("The model version “%(name)s” gave other scores to this text before.")
                % {"name": self.source.name},
                row.kind or "",
            )
        else:
            intake.add_scored(row, task, in_benchmark=task.pk in self.benchmark)

    def _sort_changed(self, row: Row, task: Task, intake: Intake, *, revise: bool) -> None:
        if not revise:
            raise BadRow(
                _("This external_id is known with another text; a task's text does not change."),
                "text",
            )
        if task.pk in self.benchmark:
            raise BadRow(_("This task is part of the benchmark, so its text stays."), "text")
        intake.add_revised(row, task)

    def _same(self, vector: scores.FloatArray, standing: Prediction) -> bool:
        if standing.taxonomy_id == self.source.taxonomy.pk:
            return scores.pack(vector) == bytes(standing.scores)
        label_ids = self.source.label_ids(standing.taxonomy_id)
        old = dict(zip(label_ids, scores.unpack(standing.scores), strict=True))
        aligned = [old.get(label_id, np.nan) for label_id in self.source.taxonomy.label_ids]
        return np.array_equal(vector, np.asarray(aligned, np.float32), equal_nan=True)
