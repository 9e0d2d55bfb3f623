"""What new members are tried on, and whether one still is: texts whose answer may be told.

Only the part *fit* and what experts settled outside the benchmark may be shown with its answer;
never *tune*, *certify* or *test*, nor a copy of what stands there (DESIGN 8.1). What was told once
is gold no more (DESIGN 8.5).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling import rules
from labeling.access import Right, has_right
from labeling.actions.errors import ActionRefused
from labeling.actions.events import record
from labeling.models import (
    Annotation,
    BenchmarkItem,
    Label,
    Member,
    OnboardingRound,
    OnboardingText,
    Part,
    Project,
    Purpose,
    ReferenceOutcome,
    Resolution,
    Role,
    Source,
    Task,
    TaskStatus,
)
from labeling.models.onboarding import MAX_EXPLANATION

BY_EXPERTS = (Source.OVERRIDE, Source.ADJUDICATED)
UNFINISHED = (OnboardingRound.Outcome.OPEN, OnboardingRound.Outcome.FAILED)


@dataclass(frozen=True)
class Truth:
    """What experts say of a text: `outcome` as in `ReferenceOutcome`."""

    outcome: str
    label: Label | None
    conf_labels: tuple[Label, ...] = ()


def in_onboarding(member: Member) -> bool:
    """Does the member have to label a round before anything else? Only regular annotators who have
    answered nothing from the queue yet, or whose last round was not passed."""
    project = member.project
    if not project.onboarding_tasks or member.role != Role.REGULAR or member.is_simulated:
        return False
    last = member.onboarding_rounds.order_by("-number").first()
    if last is not None:
        return last.outcome in UNFINISHED
    if member.annotations.filter(purpose__in=Purpose.queued()).exists():
        return False
    return tellable(project).exists()


def tellable(project: Project) -> QuerySet[Task]:
    """Tasks whose answer may be told: settled ones of the part *fit*, and those that experts chose
    and settled. None that was dropped, none for experts alone."""
    same_text = BenchmarkItem.objects.filter(project=project, text_hash=OuterRef("text_hash"))
    here = OnboardingText.objects.filter(task=OuterRef("pk"))
    return (
        Task.objects.filter(project=project, expert_only=False)
        .exclude(status=TaskStatus.ERASED)
        .filter(~Exists(same_text.exclude(part=Part.FIT)))
        .filter(~Exists(here.filter(dropped_at__isnull=False)))
        .filter(Exists(_fit()) | Q(Exists(here.chosen()) & Exists(_settled())))
    )


def _fit() -> QuerySet[BenchmarkItem]:
    items = BenchmarkItem.objects.filter(task=OuterRef("pk"), part=Part.FIT)
    return items.exclude(reference=ReferenceOutcome.OPEN).filter(
        reference_label__retired_at__isnull=True
    )


def _settled() -> QuerySet[Resolution]:
    return Resolution.objects.current().filter(
        task=OuterRef("pk"),
        revision=OuterRef("revision"),
        source__in=BY_EXPERTS,
        label__retired_at__isnull=True,
    )


def truths_of(project: Project, tasks: Collection[int]) -> dict[int, Truth]:
    """Task id to the experts' answer; none where it may not be told or does not stand any more."""
    ids = list(tellable(project).filter(pk__in=tasks).values_list("pk", flat=True))
    found: dict[int, Truth] = {}
    settled = Resolution.objects.current().filter(task__in=ids, revision=F("task__revision"))
    settled = settled.filter(source__in=BY_EXPERTS).select_related("label")
    for one in settled.prefetch_related("conf_labels"):
        found[one.task_id] = Truth(one.outcome, one.label, tuple(one.conf_labels.all()))
    items = BenchmarkItem.objects.filter(task__in=ids, part=Part.FIT)
    items = items.exclude(reference=ReferenceOutcome.OPEN).select_related("reference_label")
    for item in items.prefetch_related("reference_conf_labels"):
        several = tuple(item.reference_conf_labels.all())
        found[item.task_id] = Truth(item.reference, item.reference_label, several)
    return found


def may_choose(task: Task) -> bool:
    """Could the task stand among the texts: did experts settle it, outside of what measures?"""
    same = BenchmarkItem.objects.filter(project=task.project_id, text_hash=task.text_hash)
    if task.expert_only or task.status == TaskStatus.ERASED or same.exclude(part=Part.FIT).exists():
        return False
    settled = Task.objects.filter(pk=task.pk).filter(Exists(_fit()) | Exists(_settled()))
    return settled.exists()


def is_right(annotation: Annotation, truth: Truth) -> bool:
    """A label is right as ever; else the answer has to be of the experts' kind."""
    if annotation.label_id is None:
        return annotation.answer == truth.outcome
    return rules.is_right(
        annotation.label_id,
        reference=truth.outcome,
        reference_label=truth.label.pk if truth.label else None,
        conf_labels={label.pk for label in truth.conf_labels},
    )


@transaction.atomic
def choose_text(*, task: Task, by: Member, explanation: str = "") -> OnboardingText:
    """Take a task into the texts of the round, or change what is told with its answer.

    Raises ActionRefused where its answer must not be told, or no expert has given one.
    """
    if by.project_id != task.project_id or not has_right(by, Right.REVIEW):
        raise ActionRefused(_("You do not review in this project."))
    explanation = explanation.strip()
    if len(explanation) > MAX_EXPLANATION:
        raise ActionRefused(
            _("An explanation has at most %(n)d characters.") % {"n": MAX_EXPLANATION}
        )
    if not may_choose(task):
        raise ActionRefused(
            _(
                "Only a text that an expert settled can be chosen; none that is for experts alone, "
                "or stands in a part of the benchmark that measures."
            )
        )
    text, _made = OnboardingText.objects.update_or_create(
        task=task, defaults={"chosen_by": by, "explanation": explanation, "dropped_at": None}
    )
    record(task.project, by, "onboarding_text_chosen", task, new={"length": len(explanation)})
    return text


@transaction.atomic
def drop_text(*, text: OnboardingText, by: Member) -> None:
    """Ask and tell the text in no round from now on."""
    if OnboardingText.objects.in_use().filter(pk=text.pk).update(dropped_at=timezone.now()):
        record(by.project, by, "onboarding_text_dropped", text.task)


def texts_of(project: Project) -> QuerySet[OnboardingText]:
    """The chosen texts and those that rounds drew, the newest first."""
    return OnboardingText.objects.in_use().filter(task__project=project)
