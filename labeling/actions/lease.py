"""Who works on what. Leases order the queue and never hide work.

A claim locks the member's row, then the task's, and counts only then: on PostgreSQL a second
claimer of the same task waits and sees the first one's lease; on SQLite transactions are IMMEDIATE.
"""

from __future__ import annotations

import datetime
import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from labeling import rules
from labeling.actions.answers import current_answers
from labeling.actions.benchmark_reference import EXPERTS_NEEDED
from labeling.actions.queues import (
    assigned_to,
    ordinary_purposes,
    queue_of,
    readable,
    slipped_in,
    some_repeats,
    turn_of,
)
from labeling.actions.shown import fits, shown_under
from labeling.models import (
    BenchmarkAnswer,
    LanguageQueues,
    Lease,
    MachineSeen,
    Member,
    Project,
    Purpose,
    Task,
)

# How often each comes first where several kinds wait, in proportion: order tells nothing.
TURNS = {Purpose.LABEL: 4.0, Purpose.AUDIT: 1.0, Purpose.BENCHMARK: 4.0}
# Settled tasks to choose one at random from.
SLIP_FROM = 1_000
# An expired lease still knows what was shown, should its answer come late.
KEPT_AFTER_EXPIRY = datetime.timedelta(days=7)
# Reading the queue anew after others were faster; far more than annotators who can collide.
TRIES = 50


def next_task(*, member: Member, exclude: Collection[int] = ()) -> Lease | None:
    """The member's own live lease, else a new one on the next task; None if nothing waits.

    `exclude`: ids of tasks that the caller holds already. Tasks in the hands of as many others as
    are needed come last, but they do come.
    """
    found = next_tasks(member=member, count=1, exclude=exclude)
    return found[0] if found else None


def next_tasks(
    *, member: Member, count: int, exclude: Collection[int] = (), turn: int | None = None
) -> list[Lease]:
    """What the member has in hand, in the order in which it is to be answered, and more of the
    queue up to `count`; none for an empty queue. `turn`: what `turn_of` says, where that is known.

    What is beyond the first comes from what others have left room for, so that nobody's stock
    gives a task to more people than it needs.
    """
    leases = _held(member, exclude)
    if not leases:
        _forget_old(member)
    if turn is None and len(leases) < count:
        turn = turn_of(member)
    while turn is not None and len(leases) < count:
        ways: Sequence[HandOut] = (_assigned, _readable, _free)
        if not leases:
            ways = (*ways, _taken)
        in_hand = [*exclude, *(one.task_id for one in leases)]
        lease = _new(member, in_hand, turn=turn + len(in_hand), ways=ways)
        if lease is None:
            break
        leases.append(lease)
    return leases


HandOut = Callable[[Member, str, Collection[int]], Lease | None]


def _new(
    member: Member, exclude: Collection[int], *, turn: int, ways: Sequence[HandOut]
) -> Lease | None:
    """A lease on the next task, for a turn that comes after those of the tasks in `exclude`."""
    purposes = ordinary_purposes(member)
    instead = slipped_in(member, turn)
    if instead is not None and any(_queue(member, one, exclude).exists() for one in purposes):
        lease = _slip_in(member, instead, exclude)
        if lease is not None:
            return lease
    purposes.sort(key=lambda purpose: random.expovariate(TURNS[purpose]))
    for hand_out in ways:
        for purpose in purposes:
            if hand_out is _taken and purpose == Purpose.BENCHMARK:
                continue  # a third answer would be refused
            lease = hand_out(member, purpose, exclude)
            if lease is not None:
                return lease
    return None


def renew(*, member: Member, leases: Collection[int]) -> None:
    """Hold the tasks of these leases (ids) for the project's lease time from now, also where the
    lease had expired: it is still the member's page that shows them."""
    mine = member.leases.filter(pk__in=leases)
    mine.update(expires_at=_expiry(member.project))


def leave(*, member: Member, leases: Collection[int]) -> None:
    """The member's page is gone: the tasks are free for others. What was shown stays known."""
    member.leases.filter(pk__in=leases).live().update(expires_at=timezone.now())


def release(*, lease: Lease) -> None:
    Lease.objects.filter(pk=lease.pk).delete()


def lease_again(*, task: Task, member: Member, purpose: str, visible: dict[str, Any]) -> Lease:
    """Give a task back to a member who took an answer back, showing what was shown before."""
    lease, _made = Lease.objects.update_or_create(
        task=task,
        member=member,
        purpose=purpose,
        defaults={
            "visible": {**visible, "again": True},
            "leased_at": timezone.now(),
            "expires_at": _expiry(member.project),
        },
    )
    return lease


def _held(member: Member, exclude: Collection[int]) -> list[Lease]:
    """The member's live leases that are still wanted, renewed: answers taken back first, then in
    the order in which they were given. Others end on the way; what they showed stays known."""
    found = member.leases.live().exclude(task__in=exclude).select_related("task__project")
    leases = sorted(found, key=lambda one: (not one.visible.get("again"), one.leased_at, one.pk))
    wanted = _still_wanted(member, leases)
    for lease in leases:
        lease.member = member
        if lease not in wanted:
            note_seen(lease)
        elif not fits(lease.visible, lease.task, member, lease.purpose):
            lease.visible = shown_under(lease.task, member, lease.purpose)
            lease.save(update_fields=["visible"])
    leave(member=member, leases=[one.pk for one in leases if one not in wanted])
    if wanted:
        renew(member=member, leases=[one.pk for one in wanted])
    return [one for one in leases if one in wanted]


def _still_wanted(member: Member, leases: Sequence[Lease]) -> set[Lease]:
    wanted = {lease for lease in leases if lease.visible.get("again")}
    for purpose in {lease.purpose for lease in leases}:
        held = {one.task_id: one for one in leases if one.purpose == purpose}
        queued = queue_of(member, purpose).filter(pk__in=held).order_by()
        wanted |= {held[pk] for pk in queued.values_list("pk", flat=True)}
    return wanted


def note_seen(lease: Lease) -> None:
    """Remember that the machines were in view under a lease that goes without an answer."""
    if lease.visible.get("blind") is False:
        see_machines(member=lease.member, task=lease.task)


def see_machines(*, member: Member, task: Task) -> None:
    """The member has machine output on the task's text before their eyes: no blind answer on it
    is theirs to give any more (DESIGN section 3.7)."""
    MachineSeen.objects.get_or_create(member=member, task=task, revision=task.revision)


def see_machines_of(*, member: Member, tasks: Sequence[Task]) -> None:
    """The same of many tasks at once, such as the rows of a list."""
    MachineSeen.objects.bulk_create(
        [MachineSeen(member=member, task=task, revision=task.revision) for task in tasks],
        ignore_conflicts=True,
    )


def _forget_old(member: Member) -> None:
    old = member.leases.filter(expires_at__lt=timezone.now() - KEPT_AFTER_EXPIRY)
    for lease in old.select_related("task", "member"):
        note_seen(lease)
        release(lease=lease)


def _queue(member: Member, purpose: str, exclude: Collection[int]) -> QuerySet[Task]:
    # Nothing is joined: SQLite would begin at the other table, and sort all that wait.
    return queue_of(member, purpose).exclude(pk__in=exclude)


def _slip_in(member: Member, purpose: str, exclude: Collection[int]) -> Lease | None:
    """Any task of this purpose, at random, whoever else has it in hand."""
    repeats = purpose == Purpose.REPEAT
    some = some_repeats(member, most=SLIP_FROM) if repeats else queue_of(member, purpose)
    ids = list(some.exclude(pk__in=exclude).values_list("pk", flat=True)[:SLIP_FROM])
    random.shuffle(ids)
    for pk in ids[:TRIES]:
        task = _queue(member, purpose, exclude).filter(pk=pk).first()
        lease = _claim(task, member, purpose, exclude, mind_others=False) if task else None
        if lease is not None:
            return lease
    return None


def _free(member: Member, purpose: str, exclude: Collection[int]) -> Lease | None:
    """The first task of the queue that others have left room for."""
    return _with_room(member, purpose, exclude, among=Q())


def _assigned(member: Member, purpose: str, exclude: Collection[int]) -> Lease | None:
    """The first of those that are assigned to the member."""
    mine = assigned_to(member) if purpose == Purpose.LABEL else []
    return _with_room(member, purpose, exclude, among=Q(pk__in=mine)) if mine else None


def _readable(member: Member, purpose: str, exclude: Collection[int]) -> Lease | None:
    """The first of those in the member's languages, where these come first."""
    first = member.project.language_queues == LanguageQueues.FIRST and member.languages
    if purpose != Purpose.LABEL or not first:
        return None
    return _with_room(member, purpose, exclude, among=readable(member))


def _with_room(member: Member, purpose: str, exclude: Collection[int], *, among: Q) -> Lease | None:
    for _try in range(TRIES):
        # At most as many tasks are full as others hold leases, so one more is enough.
        held = _held_by_others(member, purpose)
        limit = len(held) + 1
        head = list(_queue(member, purpose, exclude).filter(among)[:limit])
        rooms = _rooms(head, purpose, held, member.project)
        free = [task for task in head if rooms[task.pk] > 0]
        for task in free:
            lease = _claim(task, member, purpose, exclude, mind_others=True)
            if lease is not None:
                return lease
        if not free and len(head) < limit:
            return None
    return None


def _taken(member: Member, purpose: str, exclude: Collection[int]) -> Lease | None:
    """A task that others hold already, the one in the fewest hands first."""
    held = _held_by_others(member, purpose)
    head = list(_queue(member, purpose, exclude)[: held.total() + 1])
    rooms = _rooms(head, purpose, held, member.project)
    for task in sorted(head, key=lambda task: -rooms[task.pk]):
        lease = _claim(task, member, purpose, exclude, mind_others=False)
        if lease is not None:
            return lease
    return None


def _held_by_others(member: Member, purpose: str) -> Counter[int]:
    """Task id to how many others have it in hand for this purpose."""
    live = Lease.objects.live().filter(task__project_id=member.project_id, purpose=purpose)
    return Counter(live.exclude(member=member).values_list("task", flat=True))


def _rooms(
    tasks: Sequence[Task], purpose: str, held: Mapping[int, int], project: Project
) -> dict[int, int]:
    """Task id to how many more people may hold it now, where `held` tells how many others do; of
    what nobody holds, that it is 1 at least: a deferred task waits for somebody, whatever its
    answers say."""
    wanted = dict.fromkeys((task.pk for task in tasks), 1)
    tasks = [task for task in tasks if held.get(task.pk)]
    if purpose == Purpose.LABEL and tasks:
        answers = current_answers(tasks)
        for task in tasks:
            stands = rules.standing(
                answers[task.pk],
                needed=project.answers_needed,
                at_most=project.answers_at_most,
            )
            wanted[task.pk] = max(1, stands.answers_missing)
    elif purpose == Purpose.BENCHMARK and tasks:
        answered = BenchmarkAnswer.objects.filter(item__task__in=tasks, current=True)
        given = dict(answered.values_list("item__task").annotate(n=Count("pk")))
        wanted |= {task.pk: max(1, EXPERTS_NEEDED - given.get(task.pk, 0)) for task in tasks}
    return {pk: count - held.get(pk, 0) for pk, count in wanted.items()}


def has_room(task: Task, member: Member) -> bool:
    """Do others leave the locked task to the member, to be labeled?"""
    held = Counter(
        Lease.objects.live()
        .filter(task=task, purpose=Purpose.LABEL)
        .exclude(member=member)
        .values_list("task", flat=True)
    )
    return _rooms([task], Purpose.LABEL, held, task.project)[task.pk] > 0


@transaction.atomic
def _claim(
    task: Task,
    member: Member,
    purpose: str,
    exclude: Collection[int],
    *,
    mind_others: bool,
) -> Lease | None:
    """A lease, or None if others were faster. Locks first and looks then."""
    Member.objects.select_for_update(no_key=True).get(pk=member.pk)
    held = _held(member, exclude)
    if held:
        return held[0]  # the same member in another window
    Task.objects.select_for_update().get(pk=task.pk)
    waiting = _queue(member, purpose, exclude).select_related("project", "prediction__taxonomy")
    fresh = waiting.filter(pk=task.pk).first()
    if fresh is None:
        return None
    leases = {one.member_id: one for one in Lease.objects.filter(task=fresh, purpose=purpose)}
    before = leases.pop(member.pk, None)
    now = timezone.now()
    others = {fresh.pk: sum(one.expires_at > now for one in leases.values())}
    if mind_others and _rooms([fresh], purpose, others, fresh.project)[fresh.pk] <= 0:
        return None
    lease = before or Lease(member=member, purpose=purpose)
    lease.task, lease.leased_at, lease.expires_at = fresh, now, _expiry(fresh.project)
    # It expired: what is shown stays, so that waiting does not draw blindness again.
    if before is None or not fits(before.visible, fresh, member, purpose):
        lease.visible = shown_under(fresh, member, purpose)
    lease.save()
    return lease


def _expiry(project: Project) -> datetime.datetime:
    return timezone.now() + datetime.timedelta(minutes=project.lease_minutes)
