"""Rounds of new members: drawn, answered, passed or not, and what an admin may do about it."""

from __future__ import annotations

import math
import random

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.events import Actor, record
from labeling.actions.onboarding_texts import (
    UNFINISHED,
    in_onboarding,
    is_right,
    tellable,
    truths_of,
)
from labeling.actions.queues import untouched
from labeling.actions.shown import shown_under
from labeling.models import (
    Annotation,
    Member,
    OnboardingItem,
    OnboardingRound,
    OnboardingText,
    Purpose,
    Role,
    Task,
)

Outcome = OnboardingRound.Outcome
# Texts of a kind to choose from at random.
DRAW_FROM = 1_000


def last_round(member: Member) -> OnboardingRound | None:
    return member.onboarding_rounds.order_by("-number").first()


def next_item(of: OnboardingRound) -> OnboardingItem | None:
    """The text of an open round that comes next."""
    left = _asked(of.member).filter(round=of)
    return left.select_related("task__project").order_by("place").first()


def needed(of: OnboardingRound, answered: int) -> int:
    """How many of the answers have to be right."""
    return math.ceil(of.pass_mark * answered - 1e-9)


@transaction.atomic
def begin(*, member: Member) -> OnboardingRound:
    """The member's round: the one under way, else a new one with texts they have not seen."""
    Member.objects.select_for_update(no_key=True).get(pk=member.pk)
    if not in_onboarding(member):
        raise ActionRefused(_("There is no onboarding round for you."))
    last = last_round(member)
    if last is not None and last.outcome == Outcome.OPEN:
        if next_item(last) is not None:
            return last
        _close(last)  # the texts that were left are not asked any more
        if not in_onboarding(member):
            return last
    return _new_round(member, member)


@transaction.atomic
def ask_again(*, member: Member, by: Actor) -> OnboardingRound:
    """Have a member label another round before anything else."""
    Member.objects.select_for_update(no_key=True).get(pk=member.pk)
    if member.left_at is not None or member.role != Role.REGULAR or member.is_simulated:
        raise Conflict(_("Only regular annotators who are here label such rounds."))
    if not member.project.onboarding_tasks:
        raise ActionRefused(_("The project has no onboarding round: its settings say so."))
    last = last_round(member)
    if last is not None and last.outcome == Outcome.OPEN:
        raise Conflict(_("%(name)s has a round under way.") % {"name": member.name})
    return _new_round(member, by)


@transaction.atomic
def let_in(*, member: Member, by: Actor) -> None:
    """Let a member label without having passed."""
    Member.objects.select_for_update(no_key=True).get(pk=member.pk)
    if not in_onboarding(member):
        raise Conflict(_("%(name)s is not kept by a round.") % {"name": member.name})
    waived = {"outcome": Outcome.WAIVED, "finished_at": timezone.now()}
    last = last_round(member)
    if last is None:
        mark = member.project.onboarding_pass_mark
        OnboardingRound.objects.create(member=member, number=1, pass_mark=mark, **waived)
    else:
        OnboardingRound.objects.filter(pk=last.pk, outcome__in=UNFINISHED).update(**waived)
    record(member.project, by, "onboarding_waived", member)


def awaits(member: Member, task: Task) -> bool:
    """Is the task one that the member's open round still asks?"""
    return _asked(member).filter(task=task).exists()


def take_answer(annotation: Annotation) -> None:
    """Note in the open round whether an answer, just stored, was right, and close a whole one."""
    asked = _asked(annotation.member).select_related("round__member__project")
    found = asked.get(task=annotation.task_id)
    truths = truths_of(annotation.member.project, [annotation.task_id])
    found.annotation = annotation
    found.is_right = is_right(annotation, truths[annotation.task_id])
    found.save(update_fields=["annotation", "is_right"])
    if next_item(found.round) is None:
        _close(found.round)


def _asked(member: Member) -> QuerySet[OnboardingItem]:
    """What the member's open round still asks: no text that was replaced meanwhile, and none whose
    answer may not be told any more."""
    return OnboardingItem.objects.filter(
        round__member=member,
        round__outcome=Outcome.OPEN,
        annotation__isnull=True,
        task__revision=F("revision"),
        task__in=tellable(member.project),
    )


def _close(done: OnboardingRound) -> None:
    answers = list(done.items.filter(annotation__isnull=False).values_list("is_right", flat=True))
    right = sum(bool(one) for one in answers)
    passed = bool(answers) and right >= needed(done, len(answers))
    done.outcome = Outcome.PASSED if passed else Outcome.FAILED
    done.finished_at = timezone.now()
    done.save(update_fields=["outcome", "finished_at"])
    said = {"round": done.number, "right": right, "of": len(answers), "outcome": done.outcome}
    member = done.member
    record(member.project, member, "onboarding_finished", member, new=said)


def _new_round(member: Member, by: Actor) -> OnboardingRound:
    tasks = _draw(member)
    if not tasks:
        raise ActionRefused(_("There is no further text for a round. An admin can let you in."))
    last = last_round(member)
    made = OnboardingRound.objects.create(
        member=member,
        number=last.number + 1 if last else 1,
        pass_mark=member.project.onboarding_pass_mark,
    )
    OnboardingText.objects.bulk_create(
        [OnboardingText(task=task) for task in tasks], ignore_conflicts=True
    )
    OnboardingItem.objects.bulk_create(
        OnboardingItem(
            round=made,
            task=task,
            revision=task.revision,
            place=place,
            visible=shown_under(task, member, Purpose.ONBOARDING),
        )
        for place, task in enumerate(tasks, start=1)
    )
    said = {"round": made.number, "texts": len(tasks)}
    record(member.project, by, "onboarding_begun", member, new=said)
    return made


def _draw(member: Member) -> list[Task]:
    """Chosen texts first, then such of the part *fit* as others were shown before, since each new
    one is lost as gold. None that the member ever had to do with."""
    waiting = untouched(tellable(member.project), member)
    shown = OnboardingText.objects.in_use()
    kinds = (
        waiting.filter(pk__in=shown.chosen().values("task")),
        waiting.filter(pk__in=shown.filter(chosen_by__isnull=True).values("task")),
        waiting.exclude(pk__in=shown.values("task")),
    )
    wanted, ids = member.project.onboarding_tasks, list[int]()
    for kind in kinds:
        some = list(kind.order_by("pk").values_list("pk", flat=True)[:DRAW_FROM])
        ids += random.sample(some, min(len(some), wanted - len(ids)))
    random.shuffle(ids)
    rows = Task.objects.filter(pk__in=ids).select_related("project", "prediction__taxonomy")
    found = {task.pk: task for task in rows}
    return [found[pk] for pk in ids]
