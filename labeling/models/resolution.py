"""The label that stands for a task, and how it came about."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.annotation import UnkReason
from labeling.models.audit import SendBack
from labeling.models.decision import Decision
from labeling.models.label import Label
from labeling.models.project import Member
from labeling.models.task import Task


class Source(models.TextChoices):
    """Strongest first; `labeling.rules.SOURCE_STRENGTH` gives the order as numbers."""

    OVERRIDE = "override", _("override by an expert")
    ADJUDICATED = "adjudicated", _("adjudicated")
    AUDIT = "audit", _("audit correction")
    BENCHMARK = "benchmark", _("benchmark")
    AGREEMENT = "agreement", _("agreement of people")
    SINGLE = "single", _("one person")
    IMPORTED = "imported", _("imported")
    DUPLICATE = "duplicate", _("same text as another task")
    AUTO = "auto", _("accepted by the policy")


class ResolutionQuerySet(models.QuerySet["Resolution"]):
    def current(self) -> ResolutionQuerySet:
        return self.filter(current=True)


class Resolution(models.Model):
    """What stands for a task. `unk` and `conf` are outcomes of people only."""

    class Outcome(models.TextChoices):
        LABEL = "label", _("a label")
        UNK = "unk", _("nobody can choose")
        CONF = "conf", _("several labels fit")

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="resolutions")
    revision = models.PositiveIntegerField()
    outcome = models.CharField(max_length=5, choices=Outcome.choices, default=Outcome.LABEL)
    label = models.ForeignKey(
        Label, null=True, blank=True, on_delete=models.PROTECT, related_name="resolutions"
    )
    conf_labels = models.ManyToManyField(Label, blank=True, related_name="+")
    unk_reason = models.CharField(max_length=12, choices=UnkReason.choices, blank=True)
    source = models.CharField(max_length=11, choices=Source.choices)
    decision = models.OneToOneField(
        Decision, null=True, blank=True, on_delete=models.PROTECT, related_name="resolution"
    )
    member = models.ForeignKey(
        Member,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="resolutions",
        help_text=_("Who settled it, where one person did."),
    )
    original = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="copies",
        help_text=_("The label of another task with the same text, from which it comes."),
    )
    send_back = models.ForeignKey(
        SendBack,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="resolutions",
        help_text=_("With which it was taken back last, if it was."),
    )
    current = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_reason = models.CharField(max_length=200, blank=True)

    objects = ResolutionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["task"], condition=Q(current=True), name="resolution_one_current"
            ),
            models.CheckConstraint(
                condition=Q(source__in=Source.values), name="resolution_source_known"
            ),
            models.CheckConstraint(
                condition=Q(source="auto", decision__isnull=False, outcome="label")
                | (~Q(source="auto") & Q(decision__isnull=True)),
                name="resolution_auto_has_decision_and_label",
            ),
            models.CheckConstraint(
                condition=Q(original__isnull=True) | Q(source="duplicate"),
                name="resolution_only_duplicates_have_an_original",
            ),
            models.CheckConstraint(
                condition=Q(outcome="label", label__isnull=False)
                | (~Q(outcome="label") & Q(label__isnull=True)),
                name="resolution_label_iff_label",
            ),
            models.CheckConstraint(
                condition=Q(current=True, withdrawn_at__isnull=True)
                | Q(current=False, withdrawn_at__isnull=False, withdrawn_reason__gt=""),
                name="resolution_withdrawn_says_when_and_why",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_id}: {self.label or self.outcome} ({self.source})"
