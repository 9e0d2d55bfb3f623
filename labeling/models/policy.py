"""Policies: frozen, versioned rules that turn verdicts into decisions."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.project import Member, Project
from labeling.models.run import Configuration, FrozenModel


class Policy(FrozenModel):
    """`rule` and `evidence` never change; which version is in use does.

    `rule`: {"pool": "mean" | "linear" | "log_linear", "validators": [id, ...],
    "threshold": {"multiclass": t} | {"yes": t, "no": t}}; for a fitted pool "weights"
    ({"<id>": w}), for a log-linear one "temperature" and "floor"; and where they are wanted
    "least_mass" and "stages" ([{"validators": [id, ...], "threshold": {...}}], those of a cascade
    that come before the rule itself).
    `evidence`: what the rule was fitted on (part, rows, hash of the rows, accuracy, coverage).
    `certificate` is empty for a rule that was tuned but not certified.
    """

    class Status(models.TextChoices):
        DRAFT = "draft", _("draft")
        ACTIVE = "active", _("active")
        RETIRED = "retired", _("retired")

    mutable = ("status", "activated_at", "paused_at")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="policies")
    version = models.PositiveIntegerField()
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.DRAFT)
    configuration = models.ForeignKey(
        Configuration, on_delete=models.PROTECT, related_name="policies"
    )
    rule = models.JSONField()
    evidence = models.JSONField(default=dict)
    certificate = models.JSONField(null=True, blank=True)
    created_by = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    activated_at = models.DateTimeField(null=True, blank=True)
    paused_at = models.DateTimeField(
        null=True, blank=True, help_text=_("Since when it accepts nothing, if it is paused.")
    )

    class Meta:
        ordering = ["project", "-version"]
        verbose_name_plural = _("policies")
        constraints = [
            models.UniqueConstraint(fields=["project", "version"], name="policy_version_once"),
            models.UniqueConstraint(
                fields=["project"], condition=Q(status="active"), name="policy_one_active"
            ),
        ]

    def __str__(self) -> str:
        return f"policy v{self.version}"
