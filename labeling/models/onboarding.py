"""The round that new members label before they begin, and the texts that it is made of."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.annotation import Annotation
from labeling.models.project import Member
from labeling.models.task import Task

MAX_EXPLANATION = 2000


class OnboardingTextQuerySet(models.QuerySet["OnboardingText"]):
    def in_use(self) -> OnboardingTextQuerySet:
        return self.filter(dropped_at__isnull=True)

    def chosen(self) -> OnboardingTextQuerySet:
        return self.in_use().filter(chosen_by__isnull=False)


class OnboardingText(models.Model):
    """A task whose answer new members are told: chosen by an expert, or drawn from the part *fit*.

    Kept after it is dropped: whose answer was told once is gold no more.
    """

    task = models.OneToOneField(Task, on_delete=models.CASCADE, related_name="onboarding_text")
    explanation = models.TextField(
        blank=True, max_length=MAX_EXPLANATION, help_text=_("Shown with the answer.")
    )
    chosen_by = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    dropped_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = OnboardingTextQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(explanation="") | Q(chosen_by__isnull=False),
                name="onboarding_text_explained_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_id}"


class OnboardingRound(models.Model):
    """One pass of a member through some of these texts. One is open at a time."""

    class Outcome(models.TextChoices):
        OPEN = "open", _("under way")
        PASSED = "passed", _("passed")
        FAILED = "failed", _("not passed")
        WAIVED = "waived", _("let in by an admin")

    member = models.ForeignKey(Member, on_delete=models.CASCADE, related_name="onboarding_rounds")
    number = models.PositiveSmallIntegerField()
    pass_mark = models.FloatField(help_text=_("Share of right answers that it takes."))
    outcome = models.CharField(max_length=6, choices=Outcome.choices, default=Outcome.OPEN)
    started_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["member", "number"], name="onboarding_round_once"),
            models.UniqueConstraint(
                fields=["member"], condition=Q(outcome="open"), name="onboarding_one_open"
            ),
            models.CheckConstraint(
                condition=Q(outcome="open", finished_at__isnull=True)
                | Q(outcome__in=["passed", "failed", "waived"], finished_at__isnull=False),
                name="onboarding_finished_iff_over",
            ),
            models.CheckConstraint(
                condition=Q(pass_mark__gte=0.0, pass_mark__lte=1.0),
                name="onboarding_pass_mark_is_share",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.member_id}: {self.number}"


class OnboardingItem(models.Model):
    """A text of a round, in its place, with what is shown of it and what became of it."""

    round = models.ForeignKey(OnboardingRound, on_delete=models.CASCADE, related_name="items")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="+")
    revision = models.PositiveIntegerField()
    place = models.PositiveSmallIntegerField()
    visible = models.JSONField(default=dict)
    annotation = models.OneToOneField(
        Annotation, null=True, blank=True, on_delete=models.CASCADE, related_name="onboarding_item"
    )
    is_right = models.BooleanField(null=True, blank=True)

    class Meta:
        ordering = ["round", "place"]
        constraints = [
            models.UniqueConstraint(fields=["round", "task"], name="onboarding_task_once"),
            models.UniqueConstraint(fields=["round", "place"], name="onboarding_place_once"),
            models.CheckConstraint(
                condition=Q(annotation__isnull=True, is_right__isnull=True)
                | Q(annotation__isnull=False, is_right__isnull=False),
                name="onboarding_item_answered_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.round_id}: {self.place}"
