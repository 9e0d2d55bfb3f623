"""What a checked batch of predictions writes, in a fixed number of queries a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from django.db.models import OuterRef, Subquery
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from labeling import rules, scores
from labeling.actions import runs
from labeling.actions.events import Actor, event_fields
from labeling.actions.ingest_parse import Row
from labeling.actions.resolve import withdraw
from labeling.language import language_given
from labeling.models import (
    Event,
    Lease,
    ModelVersion,
    PlanRow,
    Prediction,
    Project,
    Question,
    Resolution,
    Run,
    ScoreKind,
    Stage,
    SupersededText,
    Task,
    TaskStatus,
    TaxonomyVersion,
)

WRITE_BATCH = 500


@dataclass(slots=True)
class _Scored:
    """A row with scores; `task` is None where it is new, for that is made when it is written."""

    row: Row
    task: Task | None
    plan: bool


@dataclass
class Intake:
    """The good rows of a batch, sorted by what has to be done with them."""

    new: list[Row] = field(default_factory=list)
    revised: list[tuple[Row, Task]] = field(default_factory=list)
    scored: list[_Scored] = field(default_factory=list)
    metadata: list[Task] = field(default_factory=list)
    unchanged: list[int] = field(default_factory=list)
    unscored: int = 0
    reopened: list[int] = field(default_factory=list)
    changed: set[int] = field(default_factory=set)
    standing: Prediction | None = None

    @property
    def anything(self) -> bool:
        return bool(self.new or self.changed)

    def counts(self) -> dict[str, int | str]:
        return {
            "created": len(self.new),
            "updated": len(self.changed),
            "unchanged": len(self.unchanged),
        }

    def add_new(self, row: Row) -> None:
        self.new.append(row)
        self._add_scores(row, None, plan=True)

    def add_revised(self, row: Row, task: Task) -> None:
        self.revised.append((row, task))
        self.changed.add(task.pk)
        self._add_scores(row, task, plan=True)

    def add_scored(self, row: Row, task: Task, *, in_benchmark: bool) -> None:
        """Newer scores for a known text. What is resolved, or waits for an expert, keeps its state
        and is not decided again; benchmark tasks are, in shadow."""
        open_to_machines = task.status in (TaskStatus.PROCESSING, TaskStatus.DEFERRED)
        if open_to_machines and not in_benchmark:
            self.reopened.append(task.pk)
        self.changed.add(task.pk)
        self._add_scores(row, task, plan=open_to_machines or in_benchmark)

    def _add_scores(self, row: Row, task: Task | None, *, plan: bool) -> None:
        if row.scores is None:
            self.unscored += 1
        else:
            self.scored.append(_Scored(row, task, plan))

    def note_metadata(self, row: Row, task: Task) -> None:
        """Metadata that are given anew take the place of the old ones."""
        given = {"metadata": row.metadata, "hidden_metadata": row.hidden_metadata}
        differ = {
            name: value
            for name, value in given.items()
            if value is not None and value != getattr(task, name)
        }
        for name, value in differ.items():
            setattr(task, name, value)
        if differ:
            task.language = language_given(task.text, task.metadata)
            self.metadata.append(task)
            self.changed.add(task.pk)

    def leave(self, task: Task, standing: Prediction | None) -> None:
        if task.pk not in self.changed:
            self.unchanged.append(task.pk)
        self.standing = standing or self.standing

    def standing_run(self) -> Run | None:
        """The run that has a batch which was sent before."""
        if self.standing is None:
            return None
        row = PlanRow.objects.filter(task=self.standing.task_id, prediction=self.standing)
        found = row.select_related("run").order_by("-run_id").first()
        return found.run if found else None


def write(
    intake: Intake,
    project: Project,
    model_version: ModelVersion | None,
    taxonomy: TaxonomyVersion,
    *,
    by: Actor,
) -> Run | None:
    """Write `intake`; returns the last run that took tasks of it. Call inside a transaction."""
    new = [_new_task(project, row) for row in intake.new]
    Task.objects.bulk_create(new, batch_size=WRITE_BATCH)
    if intake.revised:
        _revise(project, intake.revised, by)
    if intake.metadata:
        Task.objects.bulk_update(
            intake.metadata, ["metadata", "hidden_metadata", "language"], batch_size=WRITE_BATCH
        )
    if not intake.scored or model_version is None:
        return None
    matrix = np.stack([one.row.scores for one in intake.scored if one.row.scores is not None])
    made = {task.external_id: task for task in new}
    scored = [one.task or made[one.row.external_id] for one in intake.scored]
    predictions = predictions_of(scored, matrix, model_version, taxonomy)
    Prediction.objects.bulk_create(predictions, batch_size=WRITE_BATCH)
    make_current([prediction.task_id for prediction in predictions], model_version)
    for start in range(0, len(intake.reopened), WRITE_BATCH):
        ids = intake.reopened[start : start + WRITE_BATCH]
        Task.objects.filter(pk__in=ids, status=TaskStatus.DEFERRED).update(
            status=TaskStatus.PROCESSING
        )
    wanted = [p for p, one in zip(predictions, intake.scored, strict=True) if one.plan]
    return plan_predictions(wanted, model_version, taxonomy, by)


def _new_task(project: Project, row: Row) -> Task:
    metadata = row.metadata or {}
    return Task(
        project=project,
        external_id=row.external_id,
        text=row.text,
        text_hash=rules.text_hash(row.text),
        language=language_given(row.text, metadata),
        metadata=metadata,
        hidden_metadata=row.hidden_metadata or {},
        turns=row.turns,
    )


def predictions_of(
    tasks: Sequence[Task],
    matrix: NDArray[np.floating],
    model_version: ModelVersion,
    taxonomy: TaxonomyVersion,
) -> list[Prediction]:
    """A prediction of every task, not stored yet; `matrix` has shape (tasks, labels)."""
    best = np.nanargmax(matrix, axis=1)
    chances = scores.probabilities(matrix, model_version.score_kind)
    confidence = np.clip(chances[np.arange(len(matrix)), best], 0.0, 1.0)
    unknown = unknown_mass(matrix, model_version.score_kind)
    return [
        Prediction(
            task=task,
            revision=task.revision,
            model_version=model_version,
            taxonomy=taxonomy,
            scores=scores.pack(vector),
            unknown_mass=None if np.isnan(mass) else float(mass),
            label_id=taxonomy.label_ids[place],
            confidence=float(sure),
        )
        for task, vector, mass, place, sure in zip(
            tasks, matrix, unknown, best, confidence, strict=True
        )
    ]


def unknown_mass(matrix: NDArray[np.floating], kind: str) -> NDArray[np.float64]:
    """Bound on the probability of all unknown labels together, shape (n,); NaN for whole vectors.

    Of probabilities what is left to 1. Of logits, which come as the top k: no unknown logit is
    above the lowest known one, so m unknown labels have at most m·exp(lowest) of the softmax.
    """
    values = np.asarray(matrix, dtype=np.float64)
    missing = np.isnan(values).sum(axis=1)
    if kind == ScoreKind.PROBABILITIES:
        bound = np.clip(1.0 - np.nansum(values, axis=1), 0.0, 1.0)
    else:
        powers = np.exp(values - np.nanmax(values, axis=1, keepdims=True))
        rest = missing * np.nanmin(powers, axis=1)
        bound = rest / (np.nansum(powers, axis=1) + rest)
    return np.where(missing > 0, bound, np.nan)


def make_current(task_ids: list[int], model_version: ModelVersion) -> None:
    """Let the prediction of this model version be the current one of the tasks."""
    own = Prediction.objects.filter(
        task=OuterRef("pk"), revision=OuterRef("revision"), model_version=model_version
    )
    for start in range(0, len(task_ids), WRITE_BATCH):
        Task.objects.filter(pk__in=task_ids[start : start + WRITE_BATCH]).update(
            prediction=Subquery(own.values("pk")[:1])
        )


def _revise(project: Project, revised: list[tuple[Row, Task]], by: Actor) -> None:
    """New texts for known tasks: what stood on the old ones is withdrawn, the old ones are kept."""
    tasks = [task for _row, task in revised]
    SupersededText.objects.bulk_create(
        [SupersededText(task=task, revision=task.revision, text=task.text) for task in tasks],
        batch_size=WRITE_BATCH,
    )
    standing = Resolution.objects.current().filter(task__in=tasks)
    resolved = set(standing.values_list("task_id", flat=True))
    for task in tasks:
        if task.pk in resolved:
            withdraw(task=task, reason="new text", by=by, status=TaskStatus.PROCESSING)
    Lease.objects.filter(task__in=tasks).delete()
    sentence = _("The text was replaced by a new revision.")
    PlanRow.objects.unfinished().filter(task__in=tasks).update(
        stage=Stage.DONE, claimed_by="", claimed_until=None, failure=sentence
    )
    for row, task in revised:
        task.revision += 1
        task.text, task.text_hash = row.text, rules.text_hash(row.text)
        task.turns = row.turns
        task.metadata = task.metadata if row.metadata is None else row.metadata
        task.language = language_given(task.text, task.metadata)
        if row.hidden_metadata is not None:
            task.hidden_metadata = row.hidden_metadata
        task.status, task.prediction = TaskStatus.PROCESSING, None
        task.question, task.asked_label = Question.MULTICLASS, None
    fields = ["revision", "text", "text_hash", "turns", "metadata", "hidden_metadata"]
    fields += ["language", "status", "prediction", "question", "asked_label"]
    Task.objects.bulk_update(tasks, fields, batch_size=100)
    Event.objects.bulk_create(
        [
            Event(
                **event_fields(
                    project,
                    by,
                    "text_revised",
                    task,
                    old={"revision": task.revision - 1},
                    new={"revision": task.revision},
                )
            )
            for task in tasks
        ],
        batch_size=WRITE_BATCH,
    )


def plan_predictions(
    predictions: list[Prediction],
    model_version: ModelVersion,
    taxonomy: TaxonomyVersion,
    by: Actor,
) -> Run | None:
    """Plan the predictions' tasks in the open run of their configuration, and in as many more as
    they need."""
    run: Run | None = None
    left = predictions
    configuration = runs.configuration_for(model_version) if left else None
    while left and configuration is not None:
        run = runs.open_run(configuration=configuration, taxonomy=taxonomy, by=by)
        if run.plan_rows.filter(task__in=[one.task_id for one in left]).exists():
            # A run takes a task once, and there it stands with an earlier text.
            runs.close_run(run)
            run = runs.open_run(configuration=configuration, taxonomy=taxonomy, by=by)
        room = runs.RUN_TASKS - run.planned
        runs.add_to_plan(run, left[:room])
        left = left[room:]
    return run
