"""Decisions of policies, and the random audit of what they accepted."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.annotation import Annotation
from labeling.models.label import Label
from labeling.models.policy import Policy
from labeling.models.project import Question
from labeling.models.run import Run
from labeling.models.task import Task


class Outcome(models.TextChoices):
    ACCEPT = "accept", _("accepted")
    REJECT = "reject", _("label rejected")
    DEFER = "defer", _("left to people")


class DeferReason(models.TextChoices):
    LOW_CONFIDENCE = "low_confidence", _("not confident enough")
    UNK = "unk", _("the validators think that no candidate fits")
    LOW_MASS = "low_mass", _("a validator wanted to say something else than the options")
    NO_POLICY = "no_policy", _("no policy is active")
    CONFIGURATION_DIFFERS = (
        "configuration_differs",
        _("the active policy was fitted for another configuration"),
    )
    NO_VERDICT = "no_verdict", _("no validator answered")
    VALIDATOR_FAILED = "validator_failed", _("a validator of the policy failed")
    PAUSED = "paused", _("the policy is paused")
    SCRIPT = "script", _("written in a script that the encoder was not trained for")
    BENCHMARK = "benchmark", _("a benchmark task: decided in shadow only")
    BUDGET = "budget", _("the budget of the run was used up")
    ALREADY_DECIDED = "already_decided", _("people have answered it already")
    MACHINE_FAILED = "machine_failed", _("a machine failed again and again")
    CANCELLED = "cancelled", _("the run was cancelled")
    LABELS_CHANGED = "labels_changed", _("the label is not one of the project any more")


class Decision(models.Model):
    """Of one run and policy version for one task revision: accept, reject, or defer and why."""

    class Mode(models.TextChoices):
        LIVE = "live", _("live")
        SHADOW = "shadow", _("shadow")

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="decisions")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="decisions")
    revision = models.PositiveIntegerField()
    policy = models.ForeignKey(
        Policy, null=True, blank=True, on_delete=models.PROTECT, related_name="decisions"
    )
    question = models.CharField(max_length=12, choices=Question.choices)
    outcome = models.CharField(max_length=6, choices=Outcome.choices)
    label = models.ForeignKey(
        Label, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    confidence = models.FloatField(null=True, blank=True)
    reason = models.CharField(max_length=24, choices=DeferReason.choices, blank=True)
    detail = models.TextField(blank=True)
    stage = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text=_("Which stage of a cascade settled it, from 0; empty where none did."),
    )
    mode = models.CharField(max_length=6, choices=Mode.choices, default=Mode.LIVE)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "task", "revision"],
                condition=Q(mode="live"),
                name="decision_live_once_per_run",
            ),
            models.UniqueConstraint(
                fields=["run", "task", "revision", "policy"],
                condition=Q(mode="shadow"),
                name="decision_shadow_once_per_policy",
            ),
            models.CheckConstraint(
                condition=Q(outcome="defer", reason__gt="")
                | Q(
                    outcome__in=["accept", "reject"],
                    reason="",
                    label__isnull=False,
                    policy__isnull=False,
                    confidence__isnull=False,
                ),
                name="decision_accepts_a_label_or_says_why",
            ),
            models.CheckConstraint(
                condition=~Q(outcome="reject") | Q(question="binary"),
                name="decision_rejects_only_when_asked",
            ),
        ]
        indexes = [models.Index(fields=["run", "outcome", "mode"], name="decision_progress")]

    def __str__(self) -> str:
        return f"run {self.run_id} task {self.task_id}: {self.outcome}"


class Rejection(models.Model):
    """A label that is known not to hold for a task: a confident *no* of a policy."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="rejections")
    revision = models.PositiveIntegerField()
    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="+")
    decision = models.ForeignKey(Decision, on_delete=models.CASCADE, related_name="rejections")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "revision", "label"], name="rejection_once")
        ]

    def __str__(self) -> str:
        return f"{self.task_id} not {self.label_id}"


class AuditDraw(models.Model):
    """An accepted task drawn for a blind audit. Stays whatever happens to the task (DESIGN 8.4)."""

    decision = models.OneToOneField(Decision, on_delete=models.PROTECT, related_name="audit_draw")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="audit_draws")
    revision = models.PositiveIntegerField()
    label = models.ForeignKey(
        Label,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("What the machine said, whatever stands now."),
    )
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="audit_draws")
    probability = models.FloatField(help_text=_("Of being drawn."))
    seed = models.CharField(max_length=64)
    check_probability = models.FloatField(
        default=1.0,
        help_text=_(
            "Of an expert's look where a regular annotator agrees with the machine; at 1 an "
            "expert answers at once."
        ),
    )
    first_answer = models.ForeignKey(
        Annotation,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("Of the regular annotator who answered first, if one did."),
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["policy", "created_at"],
                condition=Q(answered_at__isnull=True),
                name="audit_unanswered",
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(check_probability__gt=0.0, check_probability__lte=1.0),
                name="audit_check_probability_positive",
            ),
            models.CheckConstraint(
                condition=Q(probability__gt=0.0, probability__lte=1.0),
                name="audit_probability_positive",
            ),
        ]

    def __str__(self) -> str:
        return f"audit of {self.task_id}"
