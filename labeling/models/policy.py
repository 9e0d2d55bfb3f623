"""Policies: frozen, versioned rules that turn verdicts into decisions."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.benchmark import BenchmarkItem
from labeling.models.project import Member, Project
from labeling.models.run import Configuration, FrozenModel


class Policy(FrozenModel):
    """`rule` and `evidence` never change; which version is in use does.

    `rule`: {"pool": "mean" | "linear" | "log_linear", "validators": [id, ...],
    "threshold": {"multiclass": t} | {"yes": t, "no": t}}; for a fitted pool "weights"
    ({"<id>": w}), for a log-linear one "temperature" and "floor"; and where they are wanted
    "least_mass" and "stages" ([{"validators": [id, ...], "threshold": {...}}], those of a cascade
    that come before the rule itself), "scorer", "calibration" and "groups" (see
    `labeling.actions.confidence`).
    `evidence`: what the rule was fitted on (part, rows, hash of the rows, accuracy, coverage).
    `certificate` is empty for a rule that was tuned but not certified.
    """

    class Status(models.TextChoices):
        DRAFT = "draft", _("draft")
        ACTIVE = "active", _("active")
        RETIRED = "retired", _("retired")

    mutable = ("status", "activated_at", "paused_at", "void_reason")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="policies")
    version = models.PositiveIntegerField()
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.DRAFT)
    configuration = models.ForeignKey(
        Configuration, on_delete=models.PROTECT, related_name="policies"
    )
    rule = models.JSONField()
    evidence = models.JSONField(default=dict)
    certificate = models.JSONField(null=True, blank=True)
    void_reason = models.TextField(
        blank=True, help_text=_("Why the certificate holds no more, in words.")
    )
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

    @property
    def is_certified(self) -> bool:
        return self.certificate is not None and not self.void_reason


class DeltaLedger(models.Model):
    """What has been spent of the confidence of one set of certifying rows, across policies."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="ledgers")
    opened_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"ledger {self.pk}"


class LedgerRow(models.Model):
    """A certifying row and the one ledger that it is in: it is never fresh again."""

    ledger = models.ForeignKey(DeltaLedger, on_delete=models.CASCADE, related_name="rows")
    item = models.OneToOneField(BenchmarkItem, on_delete=models.CASCADE, related_name="ledger_row")

    def __str__(self) -> str:
        return f"{self.item_id} in {self.ledger_id}"


class DeltaTest(FrozenModel):
    """One test on the rows of a ledger: number j may spend 6 delta / (pi^2 j^2). Whether it held
    is all that is kept of one that did not: how many errors there were would tell how to choose
    better on the same rows."""

    ledger = models.ForeignKey(DeltaLedger, on_delete=models.CASCADE, related_name="tests")
    number = models.PositiveIntegerField()
    policy = models.OneToOneField(Policy, on_delete=models.CASCADE, related_name="delta_test")
    delta = models.FloatField()
    spent = models.FloatField()
    held = models.BooleanField()
    rows_hash = models.CharField(max_length=64)
    item_ids = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["ledger", "number"]
        constraints = [
            models.UniqueConstraint(fields=["ledger", "number"], name="delta_test_once"),
            models.CheckConstraint(
                condition=Q(number__gte=1, delta__gt=0.0, delta__lt=1.0)
                & Q(spent__gt=0.0, spent__lte=models.F("delta")),
                name="delta_test_spends_part_of_delta",
            ),
        ]

    def __str__(self) -> str:
        return f"test {self.number} of {self.ledger}"
