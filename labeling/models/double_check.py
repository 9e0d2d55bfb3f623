"""Answers about which people were asked once more, because certified machines said otherwise."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.annotation import Annotation
from labeling.models.decision import Decision


class DoubleCheck(models.Model):
    """The member was told after the answer that a certified policy had been sure of something else;
    `decision` says of what. What came of it stays open where the member went on without a word."""

    class Outcome(models.TextChoices):
        KEPT = "kept", _("kept the answer")
        CHANGED = "changed", _("gave another one")

    annotation = models.OneToOneField(
        Annotation, on_delete=models.CASCADE, related_name="double_check"
    )
    decision = models.ForeignKey(Decision, on_delete=models.CASCADE, related_name="+")
    outcome = models.CharField(max_length=7, choices=Outcome.choices, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(outcome="", closed_at__isnull=True)
                | Q(outcome__in=["kept", "changed"], closed_at__isnull=False),
                name="double_check_closed_with_an_outcome",
            )
        ]

    def __str__(self) -> str:
        return f"{self.annotation_id}: {self.outcome}"
