"""The answers that count towards agreement on a task, and whether one agrees with a machine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from django.db.models import Exists, OuterRef, QuerySet, prefetch_related_objects

from labeling import rules
from labeling.models import Annotation, Answer, Lease, Member, Purpose, Task, UnkReason
from labeling.rules import GivenAnswer


def given(annotation: Annotation) -> GivenAnswer:
    """An annotation as `rules.standing` compares it."""
    choice: tuple[object, ...] = (annotation.answer,)
    if annotation.answer == Answer.LABEL:
        choice = (annotation.answer, annotation.label_id)
    elif annotation.answer == Answer.CONF:
        choice = (annotation.answer, tuple(sorted(x.pk for x in annotation.conf_labels.all())))
    return GivenAnswer(
        member_id=annotation.member_id,
        choice=choice,
        needs_expert=annotation.unk_reason == UnkReason.NEEDS_EXPERT,
    )


def current_answers(tasks: Iterable[Task]) -> dict[int, list[GivenAnswer]]:
    """Task id to the current answers to the question that the task asks now, oldest first."""
    asked = {task.pk: task for task in tasks}
    found: dict[int, list[GivenAnswer]] = defaultdict(list)
    annotations = (
        Annotation.objects.current()
        .filter(task__in=list(asked), purpose=Purpose.LABEL)
        .order_by("pk")
    )
    several = [one for one in annotations if one.answer == Answer.CONF]
    prefetch_related_objects(several, "conf_labels")
    for annotation in annotations:
        if to_question_of(annotation, asked[annotation.task_id]):
            found[annotation.task_id].append(given(annotation))
    return found


def own_answers(member: Member) -> QuerySet[Annotation]:
    """What the member answered from the queue, whatever for, but not on a task that they have in
    hand to be answered a second time: that answer is to be blind to the first (DESIGN 8.5)."""
    mine = Annotation.objects.current().filter(member=member, purpose__in=Purpose.queued())
    return mine.exclude(in_hand_again(member, "task"))


def in_hand_again(member: Member, task: str) -> Exists:
    """A condition on rows that name a task in the field `task`: the member has it in hand to be
    answered a second time."""
    return Exists(
        Lease.objects.live().filter(member=member, task=OuterRef(task), purpose=Purpose.REPEAT)
    )


def to_question_of(annotation: Annotation, task: Task) -> bool:
    """Does the annotation answer what the task asks now, of the text that stands now?"""
    return (
        annotation.revision == task.revision
        and annotation.question == task.question
        and annotation.asked_label_id == task.asked_label_id
    )


def agrees(annotation: Annotation, label_id: int | None) -> bool:
    """Was accepting `label_id` right by this answer (DESIGN 8.6)?"""
    labels = annotation.conf_labels.all() if annotation.answer == Answer.CONF else ()
    return rules.is_right(
        label_id,
        reference=annotation.answer,
        reference_label=annotation.label_id,
        conf_labels={label.pk for label in labels},
    )
