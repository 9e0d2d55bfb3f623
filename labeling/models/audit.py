"""What audits found, the alarms they raise, and what is sent back to people."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.annotation import Annotation
from labeling.models.decision import AuditDraw
from labeling.models.label import Label
from labeling.models.policy import Policy
from labeling.models.project import Member, Project


class AuditObservation(models.Model):
    """An expert's blind answer against what the machine had said when it accepted (DESIGN 8.4).

    A regular annotator's answer alone is none: where it agreed with the machine, `probability` is
    the chance with which an expert looked all the same.
    """

    draw = models.ForeignKey(AuditDraw, on_delete=models.CASCADE, related_name="observations")
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="audit_observations")
    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="+")
    annotation = models.ForeignKey(
        Annotation, on_delete=models.PROTECT, related_name="audit_observations"
    )
    wrong = models.BooleanField(help_text=_("Was accepting the label an error?"))
    probability = models.FloatField(help_text=_("With which this draw came to be observed."))
    current = models.BooleanField(default=True)
    observed_at = models.DateTimeField(
        default=timezone.now, help_text=_("When it was observed first; a change keeps its place.")
    )

    class Meta:
        ordering = ["observed_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["draw"], condition=Q(current=True), name="audit_observed_once"
            ),
            models.CheckConstraint(
                condition=Q(probability__gt=0.0, probability__lte=1.0),
                name="audit_observation_probability_positive",
            ),
        ]
        indexes = [models.Index(fields=["policy", "observed_at"], name="audit_observations")]

    def __str__(self) -> str:
        return f"draw {self.draw_id}: {'wrong' if self.wrong else 'right'}"


class Alarm(models.Model):
    """The audits of a policy say that its promise does not hold. Raised once in its life.

    `figures`: {"n", "wrong", "at", "error", "low", "high", "promised", "delta"}; `labels`: those
    most often wrong, [{"label": id, "n", "wrong", "value", "low", "high"}, ...].
    """

    class Did(models.TextChoices):
        NOTHING = "nothing", _("nothing, for the policy decides no more")
        PAUSED = "paused", _("the policy was paused")
        TIGHTENED = "tightened", _("a stricter version took over")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="alarms")
    policy = models.OneToOneField(Policy, on_delete=models.PROTECT, related_name="alarm")
    figures = models.JSONField()
    labels = models.JSONField(default=list)
    did = models.CharField(max_length=9, choices=Did.choices)
    stricter = models.ForeignKey(
        Policy, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    note = models.CharField(max_length=1000, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(did__in=["nothing", "paused", "tightened"]), name="alarm_did_known"
            ),
            models.CheckConstraint(
                condition=Q(did="tightened", stricter__isnull=False)
                | (~Q(did="tightened") & Q(stricter__isnull=True)),
                name="alarm_tightened_names_policy",
            ),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True) | Q(closed_at__isnull=False, note__gt=""),
                name="alarm_closed_says_why",
            ),
        ]

    def __str__(self) -> str:
        return f"alarm of {self.policy}"


class SendBack(models.Model):
    """Accepted tasks of a policy that went back to people in one go, which can be undone."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="send_backs")
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="send_backs")
    labels = models.JSONField(default=list, help_text=_("Ids; all labels where there are none."))
    count = models.PositiveIntegerField(default=0)
    created_by = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    undone_at = models.DateTimeField(null=True, blank=True)
    restored = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Tasks that nobody had touched meanwhile.")
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(undone_at__isnull=True, restored__isnull=True)
                | Q(undone_at__isnull=False, restored__isnull=False),
                name="send_back_undone_says_how_many",
            )
        ]

    def __str__(self) -> str:
        return f"{self.count} tasks of {self.policy} sent back"


class WeekProfile(models.Model):
    """What came in during a week, from a random sample of its predictions.

    `profile`: shares by bin, {"label": {id: share}, "confidence": {...}, "length": {...},
    "script": {...}, "hard": {"hard": share, ...}}.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="week_profiles")
    week = models.DateField(help_text=_("Its Monday."))
    rows = models.PositiveIntegerField()
    profile = models.JSONField()
    computed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-week"]
        constraints = [
            models.UniqueConstraint(fields=["project", "week"], name="week_profile_once")
        ]

    def __str__(self) -> str:
        return f"{self.week}: {self.rows} rows"
