"""Accepted labels that people picked for an audit."""

from __future__ import annotations

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.annotation import Annotation
from labeling.models.decision import AuditDraw, Decision
from labeling.models.label import Label
from labeling.models.pool import PoolDraw
from labeling.models.project import Member
from labeling.models.resolution import Resolution
from labeling.models.task import Task


class AuditPickQuerySet(models.QuerySet["AuditPick"]):
    def waiting(self) -> AuditPickQuerySet:
        """Unanswered, where the machine's label still stands and no draw of the same text waits:
        draws are answered in their own turn, so that no pick changes when one is observed."""
        standing = Resolution.objects.current().filter(decision=OuterRef("decision"))
        waiting = {
            "task": OuterRef("task"),
            "revision": OuterRef("revision"),
            "answered_at__isnull": True,
        }
        pools = PoolDraw.objects.filter(**waiting, pool__closed_at__isnull=True)
        drawn = Exists(AuditDraw.objects.filter(**waiting)) | Exists(pools)
        return self.filter(Exists(standing), ~drawn, answered_at__isnull=True)


class AuditPick(models.Model):
    """An accepted label that somebody picked for an audit: no draw, and so in no estimate.

    `wrong` is an expert's blind answer against the label that the machine had accepted.
    """

    decision = models.OneToOneField(Decision, on_delete=models.PROTECT, related_name="audit_pick")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="audit_picks")
    revision = models.PositiveIntegerField()
    label = models.ForeignKey(
        Label,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("What the machine said, whatever stands now."),
    )
    picked_by = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="+")
    annotation = models.ForeignKey(
        Annotation, null=True, blank=True, on_delete=models.PROTECT, related_name="audit_picks"
    )
    wrong = models.BooleanField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    answered_at = models.DateTimeField(null=True, blank=True)

    objects = AuditPickQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(answered_at__isnull=True, wrong__isnull=True, annotation__isnull=True)
                | Q(answered_at__isnull=False, wrong__isnull=False, annotation__isnull=False),
                name="audit_pick_answered_whole",
            )
        ]

    def __str__(self) -> str:
        return f"{self.task_id} picked"
