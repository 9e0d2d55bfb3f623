"""The same for many tasks at once: ask people again, or let an expert settle them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.access import Right, has_right
from labeling.actions.assigned import end_of_regulars
from labeling.actions.browse import hidden_from
from labeling.actions.duplicates import withdraw_copies
from labeling.actions.errors import ActionRefused
from labeling.actions.events import event_fields
from labeling.actions.send_back import BATCH, FIRST
from labeling.models import (
    Annotation,
    Event,
    Member,
    Purpose,
    Question,
    Resolution,
    Task,
    TaskStatus,
)

MOST = 5_000
"""Tasks of one request."""


@dataclass(frozen=True)
class Done:
    """How many tasks were changed, and how many left as they were."""

    changed: int
    left: int


def reopen(*, tasks: Sequence[int], by: Member) -> Done:
    """What stands for these tasks is withdrawn and people are asked again, also those who have
    answered: their answers stay in the history and count no more. Tasks on which nothing stands are
    left as they are."""
    return in_batches(tasks, by, Q(status=TaskStatus.RESOLVED), _reopen)


def send_to_expert(*, tasks: Sequence[int], by: Member) -> Done:
    """These tasks go among the disputes, for an expert to settle; what stands for them is
    withdrawn. Answers count on. Tasks at which machines work are left as they are."""
    waiting = Q(status__in=(TaskStatus.RESOLVED, TaskStatus.DEFERRED))
    return in_batches(tasks, by, waiting, _send_to_expert)


def keep_for_experts(*, tasks: Sequence[int], by: Member) -> Done:
    """Regular annotators are not asked of these tasks any more. Answers that they gave count on."""
    check_manages(by)
    return in_batches(tasks, by, Q(expert_only=False), partial(_set_expert_only, expert_only=True))


def open_to_everybody(*, tasks: Sequence[int], by: Member) -> Done:
    """Regular annotators are asked of these tasks again."""
    check_manages(by)
    return in_batches(tasks, by, Q(expert_only=True), partial(_set_expert_only, expert_only=False))


def check_manages(by: Member) -> None:
    """Who works on what is for admins to say."""
    if not has_right(by, Right.MANAGE):
        raise ActionRefused(_("Only admins say who works on what."))


def _set_expert_only(tasks: list[Task], by: Member, *, expert_only: bool) -> None:
    Task.objects.filter(pk__in=[task.pk for task in tasks]).update(expert_only=expert_only)
    if expert_only:
        end_of_regulars(tasks)
    record_each(tasks, by, "kept_for_experts" if expert_only else "opened_to_everybody")


def record_each(tasks: Sequence[Task], by: Member, verb: str, **new: object) -> None:
    """An event in the history of each task."""
    Event.objects.bulk_create(
        Event(**event_fields(by.project, by, verb, task, new=new or None)) for task in tasks
    )


def in_batches(
    tasks: Sequence[int],
    by: Member,
    eligible: Q,
    act: Callable[[list[Task], Member], None],
) -> Done:
    """Batches of their own transactions. Never touched: the benchmark, whose experts decide, and
    what `by` is to label blind."""
    if not has_right(by, Right.REVIEW):
        raise ActionRefused(_("You do not review in this project."))
    if len(tasks) > MOST:
        raise ActionRefused(_("At most %(n)d tasks are changed at once.") % {"n": MOST})
    changed = 0
    for start in range(0, len(tasks), BATCH):
        with transaction.atomic():
            open_to = Task.objects.filter(
                eligible, pk__in=tasks[start : start + BATCH], project_id=by.project_id
            ).filter(~hidden_from(by))
            ids = list(open_to.outside_benchmark().order_by("pk").values_list("pk", flat=True))
            locked = Task.objects.select_for_update(of=("self",)).filter(eligible, pk__in=ids)
            found = list(locked.order_by("pk"))
            act(found, by)
        changed += len(found)
    return Done(changed, len(tasks) - changed)


def _reopen(tasks: list[Task], by: Member) -> None:
    answers = Annotation.objects.current().filter(task__in=tasks, purpose=Purpose.LABEL)
    answers.update(current=False)
    _withdraw(tasks, by, "asked anew", "task_reopened")
    Task.objects.filter(pk__in=[task.pk for task in tasks]).update(
        status=TaskStatus.DEFERRED,
        priority=FIRST,
        question=Question.MULTICLASS,
        asked_label=None,
    )


def _send_to_expert(tasks: list[Task], by: Member) -> None:
    _withdraw(tasks, by, "sent to an expert", "sent_to_expert")
    Task.objects.filter(pk__in=[task.pk for task in tasks]).update(status=TaskStatus.DISPUTED)


def _withdraw(tasks: list[Task], by: Member, reason: str, verb: str) -> None:
    """What stands stands no more, and each task has its event."""
    found = Resolution.objects.current().filter(task__in=tasks)
    standing = {one.task_id: one for one in found}
    copied = list(found.filter(copies__current=True).select_related("task__project").distinct())
    found.update(current=False, withdrawn_at=timezone.now(), withdrawn_reason=reason)
    for original in copied:
        withdraw_copies(original, by=by)
    Event.objects.bulk_create(
        Event(**event_fields(by.project, by, verb, task, old=_summary(standing.get(task.pk))))
        for task in tasks
    )


def _summary(resolution: Resolution | None) -> dict[str, object] | None:
    if resolution is None:
        return None
    return {
        "outcome": resolution.outcome,
        "label": resolution.label_id,
        "source": resolution.source,
    }
