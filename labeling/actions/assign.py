"""Giving tasks to a member, or to those of a role: these come first to them, and to others only
once they are released. Assignments end, so that no task waits for somebody who never comes."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from functools import partial

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.actions.assigned import end
from labeling.actions.errors import ActionRefused
from labeling.actions.events import record
from labeling.actions.many import Done, check_manages, in_batches, record_each
from labeling.actions.queues import queue_of
from labeling.models import (
    AssignedTask,
    Assignment,
    Lease,
    Member,
    Purpose,
    Role,
    Task,
    TaskStatus,
)

DAYS = 7
MOST_DAYS = 90


def assign(
    *, tasks: Sequence[int], by: Member, to: Member | str, days: int = DAYS
) -> tuple[Assignment, Done]:
    """Give these tasks to a member, or to everybody of a role (its name), for so many days.

    Left as they are: what does not wait for people, what `to` has answered, passed on or is not
    asked of, what is assigned already, and what somebody else has in hand. Raises ActionRefused
    where nothing is left to assign, or nobody is there to get it.
    """
    check_manages(by)
    if not 1 <= days <= MOST_DAYS:
        raise ActionRefused(_("An assignment lasts 1 to %(n)d days.") % {"n": MOST_DAYS})
    eligible = _for_member(to, by) if isinstance(to, Member) else _for_role(to, by)
    until = timezone.now() + datetime.timedelta(days=days)
    assignment = Assignment.objects.create(
        project=by.project,
        member=to if isinstance(to, Member) else None,
        role="" if isinstance(to, Member) else to,
        given_by=by,
        expires_at=until,
    )
    done = in_batches(tasks, by, eligible, partial(_assign, assignment=assignment))
    if not done.changed:
        assignment.delete()
        raise ActionRefused(
            _("None of these tasks waits for %(who)s, free to be assigned.")
            % {"who": assignment.to}
        )
    assignment.count = done.changed
    assignment.save(update_fields=["count"])
    return assignment, done


def _for_member(to: Member, by: Member) -> Q:
    if to.project_id != by.project_id or to.left_at is not None:
        raise ActionRefused(_("This person is not in the project."))
    waiting = queue_of(to, Purpose.LABEL).order_by()
    return Q(pk__in=waiting.values("pk")) & _free_but_for(Q(member=to))


def _for_role(role: str, by: Member) -> Q:
    if role not in Role.values:
        raise ActionRefused(_("There is no such role."))
    if not Member.objects.present().filter(project=by.project_id, role=role).exists():
        raise ActionRefused(_("Nobody in the project has this role."))
    waiting = Q(status=TaskStatus.DEFERRED)
    if role == Role.REGULAR:
        waiting &= Q(expert_only=False)
    return waiting & _free_but_for(Q(member__role=role))


def _free_but_for(them: Q) -> Q:
    """A condition on tasks: assigned to nobody, and in the hands of nobody else."""
    assigned = AssignedTask.objects.live().filter(task=OuterRef("pk"))
    held = Lease.objects.live().filter(task=OuterRef("pk"), purpose=Purpose.LABEL).exclude(them)
    return Q(~Exists(assigned), ~Exists(held))


def _assign(tasks: list[Task], by: Member, *, assignment: Assignment) -> None:
    # What stands open of these has expired.
    end(AssignedTask.objects.filter(task__in=tasks))
    AssignedTask.objects.bulk_create(AssignedTask(assignment=assignment, task=t) for t in tasks)
    to = {"member": assignment.member_id, "role": assignment.role}
    record_each(tasks, by, "assigned", assignment=assignment.pk, **to)


def release(*, tasks: Sequence[int], by: Member) -> Done:
    """These tasks are for everybody again."""
    check_manages(by)
    live = AssignedTask.objects.live().filter(task=OuterRef("pk"))
    return in_batches(tasks, by, Q(Exists(live)), _release)


def _release(tasks: list[Task], by: Member) -> None:
    end(AssignedTask.objects.filter(task__in=tasks))
    record_each(tasks, by, "released")


@transaction.atomic
def release_all(*, assignment: Assignment, by: Member) -> int:
    """Undo an assignment: what is left of it is for everybody again. How many tasks these were."""
    check_manages(by)
    standing = Assignment.objects.filter(pk=assignment.pk, released_at__isnull=True)
    if not standing.update(released_at=timezone.now()):
        raise ActionRefused(_("This was released already."))
    left = assignment.assigned.filter(ended_at__isnull=True)
    tasks = list(Task.objects.filter(pk__in=left.values("task")))
    end(left)
    record_each(tasks, by, "released")
    record(assignment.project, by, "assignment_released", assignment, new={"count": len(tasks)})
    return len(tasks)
