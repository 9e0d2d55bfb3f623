"""What waits for a member, by purpose. Queries only; `lease` hands out."""

from __future__ import annotations

import datetime
import hashlib
import random
from typing import Any

from django.conf import settings
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from labeling.access import Right, has_right
from labeling.actions.benchmark_reference import EXPERTS_NEEDED
from labeling.actions.onboarding_texts import in_onboarding
from labeling.models import (
    Annotation,
    AssignedTask,
    Assignment,
    Assistance,
    AuditDraw,
    AuditPick,
    BenchmarkAnswer,
    BenchmarkItem,
    LanguageQueues,
    Lease,
    MachineSeen,
    Member,
    Note,
    OnboardingText,
    PoolDraw,
    Project,
    Purpose,
    ReferenceOutcome,
    Resolution,
    Role,
    Skip,
    Task,
    TaskStatus,
)

SLIPPED_IN = (Purpose.GOLD, Purpose.REPEAT)
"""Purposes that come in the place of an ordinary task now and then."""


MOST_ASSIGNED = 500
"""Assigned tasks of a member that are looked at, to choose the next of."""


def queue_of(member: Member, purpose: str) -> QuerySet[Task]:
    """Tasks that wait for the member for this purpose, first come first, but for those that the
    member passed on; none while an onboarding round comes before."""
    if in_onboarding(member):
        return Task.objects.none()
    waiting: QuerySet[Task] = {
        Purpose.LABEL: waiting_for,
        Purpose.AUDIT: audits_for,
        Purpose.BENCHMARK: benchmark_for,
        Purpose.GOLD: gold_for,
        Purpose.REPEAT: repeats_for,
    }[Purpose(purpose)](member)
    waiting = waiting.exclude(status=TaskStatus.ERASED)
    if not has_right(member, Right.REVIEW):
        waiting = waiting.filter(expert_only=False)
    if purpose == Purpose.LABEL:
        waiting = _not_for_others(waiting, member)
    return waiting.filter(~Exists(Skip.objects.keeping(member)))


def _not_for_others(waiting: QuerySet[Task], member: Member) -> QuerySet[Task]:
    """Without what is assigned to others, and, where only languages that one reads come, without
    other languages. One condition at a time: PostgreSQL makes joins of these, and of conditions
    within one another a look at every task."""
    waiting = waiting.filter(~Exists(_assigned_to_others(member)))
    if member.project.language_queues == LanguageQueues.ONLY and member.languages:
        mine = assigned_to(member)
        waiting = waiting.filter(readable(member) | Q(pk__in=mine) if mine else readable(member))
    return waiting


def _assigned_to_others(member: Member) -> QuerySet[AssignedTask]:
    return AssignedTask.objects.live().filter(task=OuterRef("pk")).to_others(member)


def for_others(member: Member) -> Q:
    """A condition on tasks that wait to be labeled: others are asked, and not the member."""
    others = Q(Exists(_assigned_to_others(member)))
    if not has_right(member, Right.REVIEW):
        others |= Q(expert_only=True)
    if member.project.language_queues == LanguageQueues.ONLY and member.languages:
        others |= ~readable(member) & ~Q(pk__in=assigned_to(member))
    return others


def readable(member: Member) -> Q:
    """A condition on tasks: the member reads their language, or it is unknown."""
    return Q(language__in=["", *member.languages])


def assigned_to(member: Member) -> list[int]:
    """Ids of waiting tasks that are assigned to the member or to those of the member's role: those
    first assigned, and no more than are handed out for a while."""
    live = Assignment.objects.live().to(member).filter(project=member.project_id)
    ids = list(live.values_list("pk", flat=True))
    if not ids:
        return []
    rows = AssignedTask.objects.filter(assignment__in=ids, ended_at__isnull=True)
    rows = rows.filter(task__status=TaskStatus.DEFERRED).order_by("pk")
    return list(rows.values_list("task", flat=True)[:MOST_ASSIGNED])


def waiting_for(member: Member) -> QuerySet[Task]:
    """Deferred tasks whose present question the member has not answered, in queue order."""
    return (
        Task.objects.filter(project_id=member.project_id, status=TaskStatus.DEFERRED)
        .filter(~Exists(BenchmarkItem.objects.filter(task=OuterRef("pk"), draw__isnull=False)))
        .filter(~Exists(_own_answers(member)))
        .order_by("-priority", "pk")
    )


def _own_answers(member: Member) -> QuerySet[Annotation]:
    """What the member has said to the question, or was told in a round."""
    said = Q(asked_label__isnull=True) | Q(asked_label=OuterRef("asked_label"))
    said &= Q(revision=OuterRef("revision"), question=OuterRef("question"), current=True)
    return Annotation.objects.filter(
        Q(purpose=Purpose.LABEL) & said | Q(purpose=Purpose.ONBOARDING),
        task=OuterRef("pk"),
        member=member,
    )


def audits_for(member: Member) -> QuerySet[Task]:
    """Tasks with an audit that wants the member's answer, on which the member never acted: a
    regular annotator's first where the policy's audits begin so, then an expert's. What has waited
    for too long goes to an expert at once, and so do what was picked by hand and draws of frozen
    pools, these in their order."""
    # By the policy's project: to find them by that of their tasks would be a look at every task.
    open_draws = AuditDraw.objects.filter(
        policy__project_id=member.project_id, revision=F("task__revision"), answered_at__isnull=True
    )
    if has_right(member, Right.REVIEW):
        days = datetime.timedelta(days=member.project.audit_days)
        open_draws = open_draws.filter(
            Q(check_probability__gte=1.0)
            | Q(first_answer__isnull=False)
            | Q(created_at__lt=timezone.now() - days)
        )
        return _audits_and_pools(member, open_draws)
    open_draws = open_draws.filter(check_probability__lt=1.0, first_answer__isnull=True)
    return untouched(Task.objects.filter(pk__in=open_draws.values("task")), member).order_by("pk")


def _audits_and_pools(expert: Member, open_draws: QuerySet[AuditDraw]) -> QuerySet[Task]:
    pools = PoolDraw.objects.filter(
        pool__project_id=expert.project_id,
        pool__closed_at__isnull=True,
        pool__certified_at__isnull=True,
        answered_at__isnull=True,
        revision=F("task__revision"),
    )
    picks = AuditPick.objects.waiting().filter(
        picked_by__project_id=expert.project_id, revision=F("task__revision")
    )
    # One list of few ids: of conditions beside one another a database makes a look at every task.
    rows: list[QuerySet[Any]] = [open_draws, picks, pools]
    first, *others = (some.order_by().values("task") for some in rows)
    tasks = Task.objects.filter(pk__in=first.union(*others))
    place = Subquery(pools.filter(task=OuterRef("pk")).order_by("place").values("place")[:1])
    return untouched(tasks, expert).order_by(place.asc(nulls_first=True), "pk")


def benchmark_for(member: Member) -> QuerySet[Task]:
    """Drawn texts that want another expert, on which the member never acted."""
    if not has_right(member, Right.REVIEW):
        return Task.objects.none()
    answered = (
        BenchmarkAnswer.objects.filter(item=OuterRef("pk"), current=True)
        .order_by()
        .values("item")
        .annotate(n=Count("expert", distinct=True))
        .filter(n__gte=EXPERTS_NEEDED)
    )
    items = BenchmarkItem.objects.filter(
        ~Exists(answered),
        project_id=member.project_id,
        draw__isnull=False,
        reference=ReferenceOutcome.OPEN,
    )
    return untouched(Task.objects.filter(pk__in=items.values("task")), member).order_by("pk")


def untouched(tasks: QuerySet[Task], member: Member) -> QuerySet[Task]:
    """Those of `tasks` that the member never answered, settled, or saw machine output on: their
    answer to these is a blind one."""
    mine = {"task": OuterRef("pk"), "member": member}
    # Under a lease for another purpose the machines may be, or may have been, in view.
    looked = Lease.objects.filter(**mine, visible__blind=False)
    return tasks.filter(
        ~Exists(Annotation.objects.filter(**mine)),
        ~Exists(Resolution.objects.filter(**mine)),
        ~Exists(MachineSeen.objects.filter(**mine)),
        ~Exists(looked),
    )


def withheld_from(member: Member) -> Q:
    """A condition on tasks: what machines said of them is kept from the member, who is to answer
    them blind. So it is on texts that wait for experts of the benchmark, whoever these may be, and
    on what the member has in hand."""
    waiting = BenchmarkItem.objects.filter(
        task=OuterRef("pk"), draw__isnull=False, reference=ReferenceOutcome.OPEN
    )
    in_hand = Lease.objects.live().filter(task=OuterRef("pk"), member=member, visible__blind=True)
    return Q(Exists(waiting)) | Q(Exists(in_hand))


def gold_for(member: Member) -> QuerySet[Task]:
    """Settled benchmark tasks on which the member never acted, and whose answer nobody is told in
    onboarding rounds."""
    told = OnboardingText.objects.filter(task=OuterRef("task"))
    items = BenchmarkItem.objects.filter(~Exists(told), project_id=member.project_id).exclude(
        reference=ReferenceOutcome.OPEN
    )
    return untouched(Task.objects.filter(pk__in=items.values("task")), member).order_by("pk")


def repeats_for(member: Member) -> QuerySet[Task]:
    """Tasks that the member answered some time ago, and not a second time since. Who was told by
    a note what the answer should have been would only repeat the note."""
    before = timezone.now() - datetime.timedelta(days=member.project.repeat_after_days)
    mine = Annotation.objects.current().filter(
        member=member, revision=F("task__revision"), task__project_id=member.project_id
    )
    first = mine.filter(purpose=Purpose.LABEL, created_at__lte=before)
    again = Annotation.objects.filter(member=member, task=OuterRef("pk"), purpose=Purpose.REPEAT)
    told = Note.objects.filter(member=member, annotation__task=OuterRef("pk"))
    tasks = Task.objects.filter(pk__in=first.values("task"))
    return tasks.filter(~Exists(again), ~Exists(told)).order_by("pk")


def some_repeats(member: Member, *, most: int) -> QuerySet[Task]:
    """Some of `repeats_for`: what was answered from a random moment on, and what was first. Of a
    member with a hundred thousand answers, not all are looked at."""
    before = timezone.now() - datetime.timedelta(days=member.project.repeat_after_days)
    old = Annotation.objects.filter(
        member=member, purpose=Purpose.LABEL, created_at__lte=before
    ).order_by("created_at")
    first = old.values_list("created_at", flat=True).first()
    if first is None:
        return Task.objects.none()
    moment = first + random.random() * (before - first)
    later = old.filter(created_at__gte=moment).values_list("task", flat=True)[:most]
    earlier = old.filter(created_at__lt=moment).values_list("task", flat=True)[:most]
    return repeats_for(member).filter(pk__in={*later, *earlier})


def slips_in(project: Project) -> bool:
    """May settled and repeated tasks be served unnoticed? They are blind, so some ordinary task
    has to be, too, or none may be helped by machines."""
    return project.blind_share > 0 or project.assistance != Assistance.SHOWN


def slipped_in(member: Member, turn: int) -> str | None:
    """The purpose that takes the member's turn number `turn` away from ordinary tasks, if one does.

    It follows from a secret of the installation, so that it is the same whenever it is asked and
    nobody can foresee it.
    """
    project = member.project
    if member.role != Role.REGULAR or not slips_in(project):
        return None
    drawn = f"{settings.SECRET_KEY}:{member.pk}:{turn}".encode()
    chance = int.from_bytes(hashlib.sha256(drawn).digest()[:8]) / 2**64
    if chance < project.gold_share:
        return Purpose.GOLD
    return Purpose.REPEAT if chance < project.gold_share + project.repeat_share else None


def served_blind(member: Member, task_id: int) -> bool:
    """Is this ordinary task among the share that is blind to the member? By a secret of the
    installation, so that it is the same whenever it is asked, whatever page asks."""
    drawn = f"{settings.SECRET_KEY}:blind:{member.pk}:{task_id}".encode()
    chance = int.from_bytes(hashlib.sha256(drawn).digest()[:8]) / 2**64
    return chance < member.project.blind_share


def turn_of(member: Member) -> int:
    """How many tasks of the queue the member has answered or skipped."""
    answers = Annotation.objects.filter(member=member, purpose__in=Purpose.queued())
    skips = member.skips.order_by()
    return answers.order_by().values("pk").union(skips.values("pk"), all=True).count()


def left_for(member: Member, *, up_to: int, turn: int | None = None) -> int:
    """How many tasks wait for the member, whatever their purpose; counting ends at `up_to`.
    `turn`: what `turn_of` says, where that is known.

    Tasks that will be slipped in are counted before they come, so that the number goes down by one
    with every answer and does not tell which were.
    """
    purposes = ordinary_purposes(member)
    ordinary = sum(queue_of(member, purpose)[:up_to].count() for purpose in purposes)
    if not ordinary:
        return int(member.leases.live().filter(purpose__in=SLIPPED_IN).exists())
    if ordinary >= up_to or member.role != Role.REGULAR:
        return min(ordinary, up_to)
    there = {purpose: queue_of(member, purpose)[:up_to].count() for purpose in SLIPPED_IN}
    total, turn = 0, turn_of(member) if turn is None else turn
    while ordinary and total < up_to:
        purpose = slipped_in(member, turn + total)
        if purpose is not None and there[Purpose(purpose)]:
            there[Purpose(purpose)] -= 1
        else:
            ordinary -= 1
        total += 1
    return total


def ordinary_purposes(member: Member) -> list[Purpose]:
    """What the member's queue holds by itself."""
    if has_right(member, Right.REVIEW):
        return [Purpose.LABEL, Purpose.AUDIT, Purpose.BENCHMARK]
    return [Purpose.LABEL, Purpose.AUDIT] if slips_in(member.project) else [Purpose.LABEL]
