"""A frozen set of accepted labels, and the random rows of it that experts look at."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.annotation import Annotation
from labeling.models.label import Label
from labeling.models.policy import Policy
from labeling.models.project import Member, Project
from labeling.models.resolution import Resolution
from labeling.models.task import Task


class Pool(models.Model):
    """What machines had accepted at one moment, to be certified as it was then.

    `rows`: ids of the resolutions in order, as little-endian 64-bit numbers; `rows_hash` is the
    SHA-256 of these bytes. The seed puts the rows in an order, and draws are made in that order.
    """

    class Method(models.TextChoices):
        FIXED = "fixed", _("a number of rows fixed beforehand")
        SEQUENCE = "sequence", _("row by row, and looking is allowed")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="pools")
    policy = models.ForeignKey(
        Policy,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="pools",
        help_text=_("Only what this policy accepted; what any accepted without one."),
    )
    method = models.CharField(max_length=8, choices=Method.choices)
    alpha = models.FloatField(help_text=_("The share of wrong labels that is to be kept."))
    delta = models.FloatField()
    size = models.PositiveIntegerField(help_text=_("Labels in the pool."))
    sample_size = models.PositiveIntegerField(
        help_text=_("Rows drawn; more can be drawn only where looking is allowed.")
    )
    seed = models.CharField(max_length=64)
    rows = models.BinaryField()
    rows_hash = models.CharField(max_length=64)
    created_by = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    certified_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When the certificate came to hold, if it does.")
    )
    closed_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When experts were asked no more.")
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(method__in=["fixed", "sequence"]), name="pool_method_known"
            ),
            models.CheckConstraint(
                condition=Q(alpha__gt=0.0, alpha__lt=1.0, delta__gt=0.0, delta__lt=1.0),
                name="pool_levels_in_range",
            ),
            models.CheckConstraint(
                condition=Q(sample_size__gte=1, sample_size__lte=F("size")),
                name="pool_sample_within",
            ),
        ]

    def __str__(self) -> str:
        return f"pool {self.pk}"


class PoolDraw(models.Model):
    """A row of the pool that was drawn. `wrong` is an expert's blind answer against the label as it
    was frozen, whatever stands now (DESIGN 8.6)."""

    pool = models.ForeignKey(Pool, on_delete=models.CASCADE, related_name="draws")
    place = models.PositiveIntegerField(help_text=_("In the order of drawing, from 0 on."))
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="pool_draws")
    revision = models.PositiveIntegerField()
    resolution = models.ForeignKey(Resolution, on_delete=models.CASCADE, related_name="pool_draws")
    label = models.ForeignKey(
        Label, on_delete=models.PROTECT, related_name="+", help_text=_("As it was frozen.")
    )
    annotation = models.ForeignKey(
        Annotation, null=True, blank=True, on_delete=models.PROTECT, related_name="pool_draws"
    )
    wrong = models.BooleanField(null=True, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["pool", "place"]
        constraints = [
            models.UniqueConstraint(fields=["pool", "place"], name="pool_draw_place_once"),
            models.UniqueConstraint(fields=["pool", "task"], name="pool_draw_task_once"),
            models.CheckConstraint(
                condition=Q(answered_at__isnull=True, wrong__isnull=True, annotation__isnull=True)
                | Q(answered_at__isnull=False, wrong__isnull=False, annotation__isnull=False),
                name="pool_draw_answered_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} of {self.pool}"
