"""What the upstream classifier said."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.label import Label, TaxonomyVersion
from labeling.models.project import Project
from labeling.models.task import Task


class ScoreKind(models.TextChoices):
    LOGITS = "logits", _("logits")
    PROBABILITIES = "probabilities", _("probabilities")


class ModelVersion(models.Model):
    """A version of the upstream classifier, as its predictions name it."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="model_versions")
    name = models.CharField(max_length=200)
    score_kind = models.CharField(max_length=13, choices=ScoreKind.choices)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["project", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="model_version_once"),
            models.CheckConstraint(
                condition=Q(score_kind__in=ScoreKind.values), name="score_kind_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Prediction(models.Model):
    """Scores of one model version for one task revision; immutable.

    `scores` holds little-endian float32 in the order of `taxonomy.label_ids`; NaN is unknown (a
    top-k vector), and `unknown_mass` then bounds the probability of all unknown labels together.
    """

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="predictions")
    revision = models.PositiveIntegerField()
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="predictions"
    )
    taxonomy = models.ForeignKey(TaxonomyVersion, on_delete=models.PROTECT, related_name="+")
    scores = models.BinaryField()
    unknown_mass = models.FloatField(null=True, blank=True)
    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="+")
    confidence = models.FloatField(help_text=_("Softmax probability of the best label."))
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["task", "revision", "model_version"], name="prediction_once"
            ),
            models.CheckConstraint(
                condition=Q(confidence__gte=0.0, confidence__lte=1.0),
                name="prediction_confidence_is_probability",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} {self.label_id} {self.confidence:.3f}"


class HardThreshold(models.Model):
    """Below this top-k variance a task is hard (LRSL eq. 7), for one model version."""

    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.CASCADE, related_name="hard_thresholds"
    )
    k = models.PositiveSmallIntegerField()
    threshold = models.FloatField()
    rows = models.PositiveIntegerField(help_text=_("Validation rows it was fitted on."))
    misclassified = models.PositiveIntegerField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    current = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["model_version"],
                condition=Q(current=True),
                name="hard_threshold_one_current",
            ),
            models.CheckConstraint(
                condition=Q(misclassified__gte=1, misclassified__lte=models.F("rows")),
                name="hard_threshold_from_errors",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model_version}: {self.threshold:.4g} (k={self.k})"
