"""Experts label the benchmark here: blind, two of them a text, a third where they disagree."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext as _

from labeling.access import Right, has_right
from labeling.actions.benchmark_reference import put_reference
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.queues import benchmark_for
from labeling.models import (
    Annotation,
    BenchmarkAnswer,
    BenchmarkItem,
    Member,
    Question,
    ReferenceOutcome,
    Resolution,
    Role,
    Task,
)


def check_benchmark(member: Member, task: Task, question: str) -> None:
    """May the member answer for the benchmark? Those who did may change their answer."""
    item = BenchmarkItem.objects.filter(task=task, draw__isnull=False).first()
    if item is None or question != Question.MULTICLASS:
        raise ActionRefused(_("This text was not drawn to be labeled for the benchmark."))
    mine = BenchmarkAnswer.objects.filter(item=item, member=member, adjudicates=False)
    if mine.exists() and has_right(member, Right.REVIEW):
        return
    if not benchmark_for(member).filter(pk=task.pk).exists():
        raise Conflict(_("This text does not wait for your blind answer."))


def check_may_adjudicate(member: Member, item: BenchmarkItem) -> None:
    """A third person settles, or an admin. Refuses others, and where nothing is in dispute."""
    if item.reference != ReferenceOutcome.OPEN:
        raise Conflict(_("This task is disputed no more."))
    took_part = BenchmarkAnswer.objects.filter(item=item, member=member, current=True)
    if took_part.exists() and member.role != Role.ADMIN:
        raise ActionRefused(_("You gave one of these answers, so somebody else settles them."))


def take_answer(annotation: Annotation, *, adjudicates: bool = False) -> None:
    """Let a stored annotation count for the benchmark; the reference follows from all answers."""
    item = _item(annotation.task)
    member = annotation.member
    mine = BenchmarkAnswer.objects.filter(item=item, current=True, adjudicates=adjudicates)
    if not adjudicates:
        mine = mine.filter(member=member)
    mine.update(current=False)
    answer = BenchmarkAnswer.objects.create(
        item=item,
        expert=_rater(member, adjudicates=adjudicates),
        member=member,
        answer=annotation.answer,
        label_id=annotation.label_id,
        annotation=annotation,
        adjudicates=adjudicates,
    )
    answer.conf_labels.set(annotation.conf_labels.all())
    _follow(item, member)


def take_back_answer(annotation: Annotation) -> None:
    """The annotation counts no more."""
    BenchmarkAnswer.objects.filter(annotation=annotation).update(current=False)
    _follow(_item(annotation.task), annotation.member)


def _item(task: Task) -> BenchmarkItem:
    """The task's place in the benchmark; the caller holds the task's lock."""
    item = BenchmarkItem.objects.select_related("task__project").get(task=task)
    item.task = task
    return item


def _rater(member: Member, *, adjudicates: bool) -> str:
    """Tells the people of an item apart without naming them; `member` names them."""
    return f"member {member.pk}{' adjudicating' if adjudicates else ''}"


def _follow(item: BenchmarkItem, by: Member) -> None:
    answers = current_answers([item.pk])
    standing = Resolution.objects.current().filter(task=item.task_id).first()
    put_reference(item, answers, standing, by)
    item.save(update_fields=["reference", "reference_label"])


def current_answers(items: Iterable[int]) -> list[BenchmarkAnswer]:
    found = BenchmarkAnswer.objects.filter(item__in=list(items), current=True)
    return list(found.select_related("member").prefetch_related("conf_labels").order_by("pk"))
