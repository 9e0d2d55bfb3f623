"""What people say of a task without answering it: flags for the experts, and skips."""

from __future__ import annotations

from django.db import models
from django.db.models import OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.annotation import Purpose
from labeling.models.project import Member
from labeling.models.task import Task


class SkipReason(models.TextChoices):
    LATER = "later", _("not now: give it to me later")
    LANGUAGE = "language", _("I do not read this language well enough")
    INVOLVED = "involved", _("it concerns me or somebody I know")
    DISTRESSING = "distressing", _("I would rather not read this")


class SkipQuerySet(models.QuerySet["Skip"]):
    def current(self) -> SkipQuerySet:
        return self.filter(current=True)

    def keeping(self, member: Member) -> QuerySet[Skip]:
        """For a subquery over tasks: skips that keep a task from `member` now."""
        return self.current().filter(
            Q(until__isnull=True) | Q(until__gt=timezone.now()),
            task=OuterRef("pk"),
            revision=OuterRef("revision"),
            member=member,
        )


class Skip(models.Model):
    """A member passed a task on, for a while or for good. No answer: the task waits on, for others
    at once. `purpose` and `visible` are those of the lease, should the skip be taken back."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="skips")
    revision = models.PositiveIntegerField()
    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="skips")
    reason = models.CharField(max_length=11, choices=SkipReason.choices)
    until = models.DateTimeField(
        null=True, blank=True, help_text=_("When it comes back; empty: it goes to others.")
    )
    purpose = models.CharField(max_length=10, choices=Purpose.choices)
    visible = models.JSONField(default=dict)
    current = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = SkipQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["task", "revision", "member"],
                condition=Q(current=True),
                name="skip_one_current",
            ),
            models.CheckConstraint(
                condition=Q(reason="later", until__isnull=False)
                | (Q(reason__in=["language", "involved", "distressing"]) & Q(until__isnull=True)),
                name="skip_for_a_known_reason",
            ),
        ]
        indexes = [models.Index(fields=["member", "-id"], name="skip_of_member")]

    def __str__(self) -> str:
        return f"{self.member_id} on {self.task_id}: {self.reason}"


class FlagQuerySet(models.QuerySet["Flag"]):
    def open(self) -> FlagQuerySet:
        return self.filter(closed_at__isnull=True)


class Flag(models.Model):
    """A member's mark for the experts, with a short note; closed once it is dealt with."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="flags")
    revision = models.PositiveIntegerField()
    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="flags")
    note = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    objects = FlagQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["task", "revision", "member"],
                condition=Q(closed_at__isnull=True),
                name="flag_one_open",
            ),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True, closed_by__isnull=True)
                | Q(closed_at__isnull=False, closed_by__isnull=False),
                name="flag_closed_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.member_id} flags {self.task_id}"
