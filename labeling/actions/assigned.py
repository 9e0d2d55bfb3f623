"""What ends an assignment of tasks before its time."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Q, QuerySet
from django.utils import timezone

from labeling.actions.events import Actor, record
from labeling.models import AssignedTask, Member, Role, Task


def end_of_task(*, member: Member, task: Task) -> None:
    """The member answered the task or passed it on: others may have it."""
    end(AssignedTask.objects.filter(task=task, assignment__member=member))


def end_of_member(*, member: Member, by: Actor, experts_alone: bool = False) -> None:
    """The member left, or, with `experts_alone`, is no expert any more: what they cannot answer is
    for others again."""
    mine = AssignedTask.objects.filter(assignment__member=member, ended_at__isnull=True)
    if experts_alone:
        mine = mine.filter(task__expert_only=True)
    n = end(mine)
    if n:
        record(member.project, by, "assignments_ended", member, new={"count": n})


def end_of_regulars(tasks: Sequence[Task]) -> None:
    """These tasks are kept for experts now, so no regular annotator's assignment holds on them."""
    regular = Q(assignment__member__role=Role.REGULAR) | Q(assignment__role=Role.REGULAR)
    end(AssignedTask.objects.filter(regular, task__in=tasks))


def end(rows: QuerySet[AssignedTask]) -> int:
    return rows.filter(ended_at__isnull=True).update(ended_at=timezone.now())
