"""Asking once more where an answer contradicts machines that a certificate says to be right.

The answer stands meanwhile, so that nothing is lost if nobody replies. Never asked of blind, audit,
gold, repeat or benchmark tasks: those measure what people say by themselves.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from labeling import rules
from labeling.actions.answers import given
from labeling.actions.events import record
from labeling.models import (
    Annotation,
    Answer,
    Decision,
    DeferReason,
    DoubleCheck,
    Member,
    Outcome,
    Policy,
    Purpose,
    Question,
    Task,
)


def ask_once_more(annotation: Annotation) -> DoubleCheck | None:
    """Note that the member is asked once more about this answer; None if there is no reason to.

    A member is asked once about a text, whatever they answer then.
    """
    task = annotation.task
    if not task.project.double_check or annotation.purpose != Purpose.LABEL:
        return None
    if annotation.visible.get("blind") is not False:
        return None
    before = DoubleCheck.objects.filter(
        annotation__task=task,
        annotation__revision=annotation.revision,
        annotation__member=annotation.member,
    )
    decision = _confident(task)
    if decision is None or not _contradicts(annotation, decision) or before.exists():
        return None
    with transaction.atomic():
        asked = DoubleCheck.objects.create(annotation=annotation, decision=decision)
        said = {"annotation": annotation.pk, "decision": decision.pk, "label": decision.label_id}
        record(task.project, annotation.member, "asked_once_more", task, new=said)
    return asked


def _confident(task: Task) -> Decision | None:
    """What the certified policy in use was sure of about the present text, in whatever run; a
    policy whose promise is void or in doubt is believed nothing."""
    policy = task.project.policies.filter(status=Policy.Status.ACTIVE).first()
    if policy is None or not policy.is_certified or policy.paused_at is not None:
        return None
    # People had answered where it would have accepted: it was as sure.
    came_late = Q(reason=DeferReason.ALREADY_DECIDED, question=Question.MULTICLASS)
    sure = Q(outcome__in=[Outcome.ACCEPT, Outcome.REJECT]) | came_late
    decisions = Decision.objects.filter(task=task, revision=task.revision, policy=policy)
    newest = decisions.select_related("label").order_by("-run_id", "-pk")
    return newest.filter(sure, label__isnull=False, confidence__isnull=False).first()


def _contradicts(annotation: Annotation, decision: Decision) -> bool:
    several = annotation.conf_labels.all() if annotation.answer == Answer.CONF else ()
    if annotation.question == Question.BINARY:
        if annotation.asked_label_id != decision.label_id:
            return False
        holds = annotation.answer == Answer.YES
    else:
        holds = rules.is_right(
            decision.label_id,
            reference=annotation.answer,
            reference_label=annotation.label_id,
            conf_labels={label.pk for label in several},
        )
    return holds if decision.outcome == Outcome.REJECT else not holds


@transaction.atomic
def keep(*, member: Member, annotation_id: int) -> None:
    """The member looked again and keeps the answer. Harmless to repeat, and too late once it was
    taken back."""
    asked = DoubleCheck.objects.filter(annotation=annotation_id, annotation__member=member)
    _close(asked.select_related("annotation__task__project").first(), DoubleCheck.Outcome.KEPT)


def answered_again(annotation: Annotation) -> None:
    """Close the open question about an earlier answer of the member to the same text, if there is
    one: what comes of it is this answer. Call inside the transaction of the answer."""
    open_one = DoubleCheck.objects.filter(
        outcome="",
        annotation__task=annotation.task,
        annotation__revision=annotation.revision,
        annotation__member=annotation.member,
    ).exclude(annotation=annotation)
    asked = open_one.select_related("annotation__task__project").first()
    if asked is not None:
        same = given(asked.annotation).choice == given(annotation).choice
        _close(asked, DoubleCheck.Outcome.KEPT if same else DoubleCheck.Outcome.CHANGED)


def _close(asked: DoubleCheck | None, outcome: str) -> None:
    if asked is None:
        return
    closing = DoubleCheck.objects.filter(pk=asked.pk, outcome="")
    if closing.update(outcome=outcome, closed_at=timezone.now()):
        annotation = asked.annotation
        said = {"annotation": annotation.pk, "outcome": str(outcome)}
        record(
            annotation.task.project, annotation.member, "double_check", annotation.task, new=said
        )
