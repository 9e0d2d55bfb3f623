"""Who works on what. Leases order the queue and never hide work.

A claim locks the member's row, then the task's, and counts only then: on PostgreSQL a second
claimer of the same task waits and sees the first one's lease; on SQLite transactions are IMMEDIATE.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from labeling import rules, scores
from labeling.access import Right, has_right
from labeling.actions.answers import current_answers
from labeling.models import (
    Annotation,
    Answer,
    Assistance,
    AuditDraw,
    Lease,
    Member,
    Project,
    Purpose,
    Question,
    Ranking,
    Rejection,
    Resolution,
    Task,
    TaskStatus,
)

CANDIDATES = 5
# How often an expert's next task is an audit while both kinds wait, so that order tells nothing.
AUDIT_TURN = 0.2
# An expired lease still knows what was shown, should its answer come late.
KEPT_AFTER_EXPIRY = datetime.timedelta(days=7)
# Reading the queue anew after others were faster; far more than annotators who can collide.
TRIES = 50


def next_task(*, member: Member, exclude: Collection[int] = ()) -> Lease | None:
    """The member's own live lease, else a new one on the next task; None if nothing waits.

    `exclude`: ids of tasks that the caller holds already. Tasks in the hands of as many others as
    are needed come last, but they do come.
    """
    held = _held(member, exclude)
    if held is not None:
        return held
    member.leases.filter(expires_at__lt=timezone.now() - KEPT_AFTER_EXPIRY).delete()
    purposes = [Purpose.LABEL]
    if has_right(member, Right.REVIEW):
        first = 0 if random.random() < AUDIT_TURN else 1
        purposes.insert(first, Purpose.AUDIT)
    for hand_out in (_free, _taken):
        for purpose in purposes:
            lease = hand_out(member, purpose, exclude)
            if lease is not None:
                return lease
    return None


def renew(*, lease: Lease) -> Lease:
    """Hold the task for the project's lease time from now."""
    lease.expires_at = _expiry(lease.member.project)
    Lease.objects.filter(pk=lease.pk).update(expires_at=lease.expires_at)
    return lease


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


def waiting_for(member: Member) -> QuerySet[Task]:
    """Deferred tasks whose present question the member has not answered, in queue order."""
    return (
        Task.objects.filter(project_id=member.project_id, status=TaskStatus.DEFERRED)
        .filter(~Exists(_own_answers(member)))
        .order_by("-priority", "pk")
    )


def left_for(member: Member, *, up_to: int) -> int:
    """How many tasks wait for the member, audits among them; counting ends at `up_to`."""
    left = waiting_for(member)[:up_to].count()
    if has_right(member, Right.REVIEW):
        left += _audits_for(member)[:up_to].count()
    return min(left, up_to)


def _own_answers(member: Member) -> QuerySet[Annotation]:
    return Annotation.objects.filter(
        Q(asked_label__isnull=True) | Q(asked_label=OuterRef("asked_label")),
        task=OuterRef("pk"),
        revision=OuterRef("revision"),
        question=OuterRef("question"),
        member=member,
        purpose=Purpose.LABEL,
        current=True,
    )


def _audits_for(member: Member) -> QuerySet[Task]:
    """Tasks with an unanswered audit draw on which the member never acted."""
    open_draws = AuditDraw.objects.filter(
        task__project_id=member.project_id, revision=F("task__revision"), answered_at__isnull=True
    )
    acted = Annotation.objects.filter(task=OuterRef("pk"), member=member)
    settled = Resolution.objects.filter(task=OuterRef("pk"), member=member)
    return (
        Task.objects.filter(pk__in=open_draws.values("task"))
        .filter(~Exists(acted), ~Exists(settled))
        .order_by("pk")
    )


def _held(member: Member, exclude: Collection[int]) -> Lease | None:
    """The member's newest live lease that is still wanted; others are dropped on the way."""
    leases = member.leases.live().exclude(task__in=exclude).order_by("-leased_at", "-pk")
    for lease in leases.select_related("task__project", "member__project"):
        if not _still_wanted(lease):
            release(lease=lease)
            continue
        if not _fits(lease.visible, lease.task, lease.purpose):
            lease.visible = _visible(lease.task, lease.purpose)
            lease.save(update_fields=["visible"])
        return renew(lease=lease)
    return None


def _still_wanted(lease: Lease) -> bool:
    if lease.visible.get("again"):
        return True
    if lease.purpose == Purpose.AUDIT:
        return _audits_for(lease.member).filter(pk=lease.task_id).exists()
    return waiting_for(lease.member).filter(pk=lease.task_id).exists()


def _queue(member: Member, purpose: str, exclude: Collection[int]) -> QuerySet[Task]:
    waiting = _audits_for(member) if purpose == Purpose.AUDIT else waiting_for(member)
    return waiting.exclude(pk__in=exclude).select_related("project")


def _free(member: Member, purpose: str, exclude: Collection[int]) -> Lease | None:
    """The first task of the queue that others have left room for."""
    for _try in range(TRIES):
        # At most as many tasks are full as others hold leases, so one more is enough.
        limit = _others(member, purpose).values("task").distinct().count() + 1
        head = list(_queue(member, purpose, exclude)[:limit])
        rooms = _rooms(head, member, purpose)
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
    limit = _others(member, purpose).count() + 1
    head = list(_queue(member, purpose, exclude)[:limit])
    rooms = _rooms(head, member, purpose)
    for task in sorted(head, key=lambda task: -rooms[task.pk]):
        lease = _claim(task, member, purpose, exclude, mind_others=False)
        if lease is not None:
            return lease
    return None


def _others(member: Member, purpose: str) -> QuerySet[Lease]:
    live = Lease.objects.live().filter(task__project_id=member.project_id, purpose=purpose)
    return live.exclude(member=member)


def _rooms(tasks: Sequence[Task], member: Member, purpose: str) -> dict[int, int]:
    """Task id to how many more people may hold it now. Not below 1 minus the leases of others: a
    deferred task waits for somebody, whatever its answers say."""
    held = _others(member, purpose).filter(task__in=tasks).values("task")
    leases = dict(held.annotate(n=Count("pk")).values_list("task", "n"))
    wanted = dict.fromkeys((task.pk for task in tasks), 1)
    if purpose == Purpose.LABEL:
        answers = current_answers(tasks)
        for task in tasks:
            stands = rules.standing(
                answers[task.pk],
                needed=task.project.answers_needed,
                at_most=task.project.answers_at_most,
            )
            wanted[task.pk] = max(1, stands.answers_missing)
    return {pk: count - leases.get(pk, 0) for pk, count in wanted.items()}


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
    if held is not None:
        return held  # the same member in another window
    Task.objects.select_for_update().get(pk=task.pk)
    fresh = _queue(member, purpose, exclude).filter(pk=task.pk).first()
    if fresh is None or (mind_others and _rooms([fresh], member, purpose)[fresh.pk] <= 0):
        return None
    lease, made = Lease.objects.get_or_create(
        task=fresh,
        member=member,
        purpose=purpose,
        defaults={"expires_at": _expiry(fresh.project), "visible": _visible(fresh, purpose)},
    )
    if not made:
        # It expired: what is shown stays, so that waiting does not draw blindness again.
        if not _fits(lease.visible, fresh, purpose):
            lease.visible = _visible(fresh, purpose)
        lease.leased_at, lease.expires_at = timezone.now(), _expiry(fresh.project)
        lease.save(update_fields=["visible", "leased_at", "expires_at"])
    return lease


def _expiry(project: Project) -> datetime.datetime:
    return timezone.now() + datetime.timedelta(minutes=project.lease_minutes)


def _question(task: Task, purpose: str) -> tuple[str, int | None]:
    """An audit always asks openly: to ask whether a label holds would tell the machine's."""
    if purpose == Purpose.AUDIT:
        return str(Question.MULTICLASS), None
    return str(task.question), task.asked_label_id


def _fits(visible: dict[str, Any], task: Task, purpose: str) -> bool:
    asked = (visible.get("question"), visible.get("asked_label"))
    return visible.get("revision") == task.revision and asked == _question(task, purpose)


def _visible(task: Task, purpose: str) -> dict[str, Any]:
    """What a lease shows, drawn once: candidates in the order shown, and what stands beside."""
    project = task.project
    blind = purpose == Purpose.AUDIT or random.random() < project.blind_share
    candidates = candidate_ids(task)
    if blind:
        random.shuffle(candidates)
    question, asked = _question(task, purpose)
    assisted = not blind and project.assistance == Assistance.SHOWN
    return {
        "revision": task.revision,
        "question": question,
        "asked_label": asked,
        "candidates": candidates,
        "blind": blind,
        "scores": assisted and project.show_scores,
        "documents": assisted,
        "verdicts": assisted,
        "reasoning": assisted,
        "rejected": [] if blind else _rejected(task),
    }


def candidate_ids(task: Task) -> list[int]:
    """Active labels of the newest ranking of the present text, else the classifier's best."""
    ranking = newest_ranking(task)
    if ranking is not None:
        ids = [int(entry[0]) for entry in ranking.candidates]
    elif task.prediction is not None and task.prediction.revision == task.revision:
        vector = np.nan_to_num(scores.unpack(task.prediction.scores), nan=-np.inf)
        order = np.argsort(-vector, kind="stable")[:CANDIDATES]
        ids = [int(task.prediction.taxonomy.label_ids[place]) for place in order]
    else:
        return []
    active = set(task.project.labels.active().filter(pk__in=ids).values_list("pk", flat=True))
    return [label_id for label_id in ids if label_id in active][:CANDIDATES]


def newest_ranking(task: Task) -> Ranking | None:
    return task.rankings.filter(revision=task.revision).order_by("-run_id").first()


def _rejected(task: Task) -> list[int]:
    """Labels known not to hold: confident noes of a policy, and noes that people agreed on."""
    machine = Rejection.objects.filter(task=task, revision=task.revision)
    people = (
        Annotation.objects.current()
        .filter(task=task, revision=task.revision, purpose=Purpose.LABEL, answer=Answer.NO)
        .order_by()
        .values("asked_label")
        .annotate(n=Count("pk"))
        .filter(n__gte=F("task__project__answers_needed"))
    )
    said_no = people.values_list("asked_label", flat=True)
    return sorted({*machine.values_list("label", flat=True), *filter(None, said_no)})
