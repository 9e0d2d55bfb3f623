"""Tasks that an admin gave to a member, or to those of a role, for a while."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.project import Member, Project, Role
from labeling.models.task import Task


class AssignmentQuerySet(models.QuerySet["Assignment"]):
    def live(self) -> AssignmentQuerySet:
        return self.filter(released_at__isnull=True, expires_at__gt=timezone.now())

    def to(self, member: Member) -> AssignmentQuerySet:
        """To the member, or to those of the member's role."""
        return self.filter(Q(member=member) | Q(role=member.role))


class Assignment(models.Model):
    """Tasks given in one go to `member`, or to everybody of `role`. Whoever it is gets them first;
    others get them once they are released, or after `expires_at`."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="assignments")
    member = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.PROTECT, related_name="assignments"
    )
    role = models.CharField(max_length=8, choices=Role.choices, blank=True)
    count = models.PositiveIntegerField(default=0)
    given_by = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(help_text=_("From then on anybody gets what is left."))
    released_at = models.DateTimeField(null=True, blank=True)

    objects = AssignmentQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(member__isnull=False, role="")
                | Q(member__isnull=True, role__in=Role.values),
                name="assignment_to_a_member_or_a_role",
            )
        ]

    def __str__(self) -> str:
        return f"{self.to}: {self.count}"

    @property
    def to(self) -> str:
        """For whom, in words."""
        return str(self.member) if self.member else str(Role(self.role).label)

    @property
    def is_live(self) -> bool:
        return self.released_at is None and self.expires_at > timezone.now()


class AssignedTaskQuerySet(models.QuerySet["AssignedTask"]):
    def live(self) -> AssignedTaskQuerySet:
        return self.filter(ended_at__isnull=True, assignment__expires_at__gt=timezone.now())

    def to_others(self, member: Member) -> AssignedTaskQuerySet:
        return self.exclude(Q(assignment__member=member) | Q(assignment__role=member.role))


class AssignedTask(models.Model):
    """One of the tasks of an assignment. It ends when the member answers it or passes it on."""

    assignment = models.ForeignKey(Assignment, on_delete=models.CASCADE, related_name="assigned")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="assigned")
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = AssignedTaskQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["task"], condition=Q(ended_at__isnull=True), name="assigned_once_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"{self.task_id} of {self.assignment_id}"
