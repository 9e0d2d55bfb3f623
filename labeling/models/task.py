"""Tasks: one text to label."""

from __future__ import annotations

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.label import Label
from labeling.models.project import Project, Question


class TaskStatus(models.TextChoices):
    PROCESSING = "processing", _("machines at work")
    DEFERRED = "deferred", _("waiting for people")
    DISPUTED = "disputed", _("waiting for an expert")
    RESOLVED = "resolved", _("resolved")
    ERASED = "erased", _("erased")


class TaskQuerySet(models.QuerySet["Task"]):
    def for_training(self) -> TaskQuerySet:
        """The only source of rows that may train, feed a kNN or serve as few-shot examples.

        The *fit* part of the benchmark, and tasks with a label that stands outside the benchmark;
        never *tune*, *certify* or *test*, nor a text whose normalised form stands there
        (DESIGN 8.1). A label that a machine accepted by itself never trains a machine.
        """
        from labeling.models.benchmark import BenchmarkItem, Part
        from labeling.models.resolution import Resolution, Source

        held_out = BenchmarkItem.objects.filter(
            project_id=OuterRef("project_id"), text_hash=OuterRef("text_hash")
        ).exclude(part=Part.FIT)
        resolved = Resolution.objects.filter(
            task=OuterRef("pk"), current=True, label__isnull=False
        ).exclude(source=Source.AUTO)
        fit = BenchmarkItem.objects.filter(
            task=OuterRef("pk"), part=Part.FIT, reference_label__isnull=False
        )
        standing = self.exclude(status=TaskStatus.ERASED)
        return standing.filter(~Exists(held_out)).filter(Exists(resolved) | Exists(fit))

    def outside_benchmark(self) -> TaskQuerySet:
        return self.filter(benchmark_item__isnull=True)

    def unscored(self) -> TaskQuerySet:
        """Tasks that wait for a prediction: new ones, and those of the benchmark, whose label
        stands already."""
        return self.filter(prediction__isnull=True).filter(
            Q(status=TaskStatus.PROCESSING)
            | (Q(benchmark_item__isnull=False) & ~Q(status=TaskStatus.ERASED))
        )


class Task(models.Model):
    """One text to label. `text` never changes within a revision."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="tasks")
    external_id = models.CharField(max_length=200)
    revision = models.PositiveIntegerField(default=1)
    text = models.TextField()
    text_hash = models.CharField(max_length=64, help_text=_("SHA-256 of the normalised text."))
    metadata = models.JSONField(default=dict, blank=True)
    hidden_metadata = models.JSONField(default=dict, blank=True)
    turns = models.JSONField(
        null=True, blank=True, help_text=_("A conversation: a list of {speaker, text}.")
    )
    status = models.CharField(
        max_length=12, choices=TaskStatus.choices, default=TaskStatus.PROCESSING
    )
    question = models.CharField(
        max_length=12, choices=Question.choices, default=Question.MULTICLASS
    )
    asked_label = models.ForeignKey(
        Label, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    priority = models.FloatField(
        default=0.0, help_text=_("Higher comes first: how much an answer is worth.")
    )
    language = models.CharField(
        max_length=3,
        blank=True,
        default="",
        help_text=_("As the metadata say or the letters tell; empty: unknown."),
    )
    expert_only = models.BooleanField(
        default=False, help_text=_("Regular annotators are not asked, only experts and admins.")
    )
    prediction = models.ForeignKey(
        "labeling.Prediction", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TaskQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "external_id"], name="task_external_id_once_per_project"
            ),
            models.CheckConstraint(
                condition=Q(status__in=TaskStatus.values), name="task_status_known"
            ),
            models.CheckConstraint(
                condition=Q(question=Question.MULTICLASS, asked_label__isnull=True)
                | Q(question=Question.BINARY, asked_label__isnull=False),
                name="task_binary_names_its_label",
            ),
            models.CheckConstraint(condition=Q(revision__gte=1), name="task_revision_from_one"),
        ]
        indexes = [
            # `expert_only` comes last: the queue's order stands, and what is not for the reader is
            # passed over within the index.
            models.Index(
                fields=["project", "status", "-priority", "id", "expert_only"], name="task_queue"
            ),
            models.Index(
                fields=["project", "status", "language", "-priority", "id"], name="task_language"
            ),
            models.Index(fields=["project", "text_hash"], name="task_duplicates"),
            models.Index(fields=["project", "status", "-id"], name="task_browse"),
        ]

    def __str__(self) -> str:
        return self.external_id


class SupersededText(models.Model):
    """The text of an earlier revision, kept because answers and verdicts speak of it."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="superseded_texts")
    revision = models.PositiveIntegerField()
    text = models.TextField()
    replaced_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "revision"], name="superseded_text_once")
        ]

    def __str__(self) -> str:
        return f"{self.task} r{self.revision}"


class Embedding(models.Model):
    """The vector of a text, computed at most once for an encoder.

    `text_hash` is of the very text, not of its normalised form as elsewhere.
    """

    text_hash = models.CharField(max_length=64)
    encoder = models.CharField(max_length=120, help_text=_("Fingerprint of the encoder."))
    vector = models.BinaryField(help_text=_("Packed little-endian float32."))

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["text_hash", "encoder"], name="embedding_once")
        ]

    def __str__(self) -> str:
        return f"{self.text_hash[:12]} {self.encoder}"
