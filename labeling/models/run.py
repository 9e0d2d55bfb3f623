"""Configurations, runs, their plan, and what the machines put in order."""

from __future__ import annotations

import datetime

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.label import TaxonomyVersion
from labeling.models.prediction import Prediction
from labeling.models.project import Member, Project
from labeling.models.task import Task


class Frozen(Exception):
    """An attempt to change what is frozen once used."""


class FrozenModel(models.Model):
    """Rows whose content never changes after the first save; only `mutable` fields may."""

    mutable: tuple[str, ...] = ()

    class Meta:
        abstract = True

    def save(self, *args: object, **kwargs: object) -> None:
        if self.pk is not None and not self._state.adding:
            wanted = kwargs.get("update_fields")
            names = set(wanted) if isinstance(wanted, (list, tuple, set, frozenset)) else None
            if names is None or not names <= set(self.mutable):
                raise Frozen(
                    f"{type(self).__name__} {self.pk} is frozen: make a new one instead of "
                    f"changing it (only {', '.join(self.mutable) or 'nothing'} may change)."
                )
        super().save(*args, **kwargs)  # type: ignore[arg-type]


class Artifact(models.Model):
    """Something a job trained or built, in a folder of its own, and which one is in use."""

    class Kind(models.TextChoices):
        CLASSIFIER = "classifier", _("embedded classifier")
        RERANKER = "reranker", _("reranker")
        KNN = "knn", _("nearest labeled texts")
        CROSS_ENCODER = "cross_encoder", _("cross-encoder")
        DOCUMENT_INDEX = "document_index", _("document index")
        DOCUMENT_RERANKER = "document_reranker", _("reranker of documents")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="artifacts")
    kind = models.CharField(max_length=24, choices=Kind.choices)
    version = models.PositiveIntegerField()
    path = models.CharField(max_length=500, help_text=_("Below the artifacts folder."))
    digest = models.CharField(max_length=64)
    data_hash = models.CharField(max_length=64)
    info = models.JSONField(default=dict)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["project", "kind", "-version"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "kind", "version"], name="artifact_version_once"
            ),
            models.UniqueConstraint(
                fields=["project", "kind"],
                condition=Q(active=True),
                name="artifact_one_active_per_kind",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} v{self.version}"


class Configuration(FrozenModel):
    """Everything that shapes a verdict, found by the hash of its content."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="configurations")
    content_hash = models.CharField(max_length=64)
    content = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "content_hash"], name="configuration_once_per_content"
            )
        ]

    def __str__(self) -> str:
        return self.content_hash[:12]


class Run(FrozenModel):
    """One configuration applied to a set of tasks. Its plan only grows while it is open."""

    class Kind(models.TextChoices):
        VALIDATE = "validate", _("validate")
        DECIDE = "decide", _("decide again")

    class Status(models.TextChoices):
        OPEN = "open", _("open")
        CLOSED = "closed", _("no new tasks")
        COMPLETED = "completed", _("completed")

    mutable = (
        "status",
        "closed_at",
        "completed_at",
        "planned",
        "note",
        "budget_stopped_at",
        "paused_at",
        "cancelled_at",
    )

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="runs")
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.VALIDATE)
    configuration = models.ForeignKey(Configuration, on_delete=models.PROTECT, related_name="runs")
    taxonomy = models.ForeignKey(TaxonomyVersion, on_delete=models.PROTECT, related_name="runs")
    source_run = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="decided_again_by"
    )
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.OPEN)
    planned = models.PositiveIntegerField(default=0)
    note = models.TextField(blank=True, help_text=_("What a reader should know, in words."))
    budget_stopped_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When the budget first kept an LLM from being asked.")
    )
    created_by = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    closed_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    paused_at = models.DateTimeField(
        null=True, blank=True, help_text=_("Since when nothing of it is begun.")
    )
    cancelled_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When what was left of it went to people.")
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["configuration"],
                condition=Q(status="open", kind="validate"),
                name="run_one_open_per_configuration",
            ),
            models.CheckConstraint(
                condition=Q(kind="validate", source_run__isnull=True)
                | Q(kind="decide", source_run__isnull=False),
                name="run_decide_names_its_source",
            ),
            models.CheckConstraint(
                condition=Q(status="completed", completed_at__isnull=False)
                | (~Q(status="completed") & Q(completed_at__isnull=True)),
                name="run_completed_has_time",
            ),
            models.CheckConstraint(
                condition=Q(paused_at__isnull=True) | Q(status="closed", cancelled_at__isnull=True),
                name="run_paused_takes_no_tasks",
            ),
            models.CheckConstraint(
                condition=Q(cancelled_at__isnull=True) | ~Q(status="open"),
                name="run_cancelled_takes_no_tasks",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(paused_at__isnull=False), name="run_paused")
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.kind}"


class Stage(models.TextChoices):
    """Where a task stands in its run."""

    RERANK = "rerank", _("rerank")
    RETRIEVE = "retrieve", _("retrieve documents")
    VALIDATE = "validate", _("validate")
    DECIDE = "decide", _("decide")
    ASSIST = "assist", _("gather documents for people")
    REASON = "reason", _("ask LLMs for reasons")
    DONE = "done", _("done")

    @classmethod
    def working(cls) -> list[Stage]:
        """The stages at which there is something to do, in order."""
        return [stage for stage in cls if stage != cls.DONE]


class PlanRowQuerySet(models.QuerySet["PlanRow"]):
    def due(self, now: datetime.datetime) -> PlanRowQuerySet:
        """Rows that a worker may claim at `now`; none of a run that is paused."""
        # A subquery, no join: a joined condition would leave the WHERE of a conditional UPDATE.
        paused = Run.objects.filter(paused_at__isnull=False)
        return (
            self.filter(due_at__lte=now)
            .filter(Q(claimed_until__isnull=True) | Q(claimed_until__lt=now))
            .exclude(run__in=paused)
        )

    def unfinished(self) -> PlanRowQuerySet:
        return self.exclude(stage=Stage.DONE)


class PlanRow(models.Model):
    """One task of one run: what is to be done next, when, and who is doing it."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="plan_rows")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="plan_rows")
    revision = models.PositiveIntegerField()
    prediction = models.ForeignKey(Prediction, on_delete=models.CASCADE, related_name="+")
    stage = models.CharField(max_length=8, choices=Stage.choices, default=Stage.RERANK)
    due_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveSmallIntegerField(default=0)
    claimed_by = models.CharField(max_length=80, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    failure = models.TextField(blank=True, help_text=_("The last failure, in words."))

    objects = PlanRowQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "task"], name="plan_row_once_per_run"),
            models.CheckConstraint(condition=Q(stage__in=Stage.values), name="plan_stage_known"),
        ]
        indexes = [
            models.Index(
                fields=["stage", "due_at", "id"],
                condition=~Q(stage="done"),
                name="plan_due",
            ),
            models.Index(fields=["run", "stage"], name="plan_progress"),
            models.Index(fields=["claimed_by"], condition=~Q(claimed_by=""), name="plan_claims"),
        ]

    def __str__(self) -> str:
        return f"run {self.run_id} task {self.task_id}: {self.stage}"


class StageTiming(models.Model):
    """Seconds of work and tasks done, by stage of a run (added up by every worker)."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="timings")
    stage = models.CharField(max_length=8, choices=Stage.choices)
    tasks = models.PositiveIntegerField(default=0)
    seconds = models.FloatField(default=0.0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "stage"], name="timing_once")]

    def __str__(self) -> str:
        return f"run {self.run_id} {self.stage}: {self.seconds:.1f} s"


class Ranking(models.Model):
    """Candidates of one task in one run: the best labels after reranking, in order."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="rankings")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="rankings")
    revision = models.PositiveIntegerField()
    hard = models.BooleanField(null=True, help_text=_("Unknown without a fitted threshold."))
    variance = models.FloatField(null=True, blank=True, help_text=_("Top-k variance, eq. 7."))
    flagged_script = models.BooleanField(
        default=False, help_text=_("In a script that the encoder was not trained for.")
    )
    candidates = models.JSONField(
        help_text=_(
            "[[label id, probability after reranking, probability before, cosine of text and label "
            "in the semantic map or null], ...]"
        )
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "task", "revision"], name="ranking_once")
        ]

    def __str__(self) -> str:
        return f"run {self.run_id} task {self.task_id}"


class Heartbeat(models.Model):
    """A worker process that takes from a queue and is alive, told by itself."""

    worker = models.CharField(max_length=200)
    queue = models.CharField(max_length=20)
    beaten_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["worker", "queue"], name="heartbeat_once_per_queue")
        ]

    def __str__(self) -> str:
        return f"{self.worker} ({self.queue})"
