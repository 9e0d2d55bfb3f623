"""An expert settles what people could not agree on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from labeling.access import Right, has_right
from labeling.actions.annotate import (
    AnswerOutcome,
    Choice,
    check_revision,
    checked,
    lock,
    repeated,
    store,
)
from labeling.actions.benchmark_label import check_may_adjudicate, take_answer
from labeling.actions.disputes import tell_those_who_said_otherwise
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.resolve import resolve
from labeling.models import BenchmarkItem, Label, Member, Purpose, Source, Task, TaskStatus


def adjudicate(
    *,
    member: Member,
    task: Task,
    answer: str,
    client_id: UUID,
    visible: dict[str, Any],
    label: Label | None = None,
    conf_labels: Sequence[Label] = (),
    unk_reason: str = "",
    comment: str = "",
    note_back: str = "",
    seconds: float | None = None,
    revision: int | None = None,
) -> AnswerOutcome:
    """The expert's answer becomes the task's resolution; of a benchmark task it becomes the
    reference, and somebody who gave one of the answers in dispute does not settle it. `note_back`
    is left on the answers that the expert's contradicts; the benchmark's experts get none.

    Sending the same `client_id` again is harmless. Raises Conflict if the task is disputed no more
    or its text changed.
    """
    if not has_right(member, Right.REVIEW):
        raise ActionRefused(_("You do not review in this project."))
    choice = checked(member, task, Choice(answer, label, tuple(conf_labels), unk_reason))
    with transaction.atomic():
        locked = lock(task)
        first = repeated(member, locked, client_id)
        if first is not None:
            return AnswerOutcome(first, None, repeated=True)
        check_revision(locked, revision)
        if locked.status != TaskStatus.DISPUTED:
            raise Conflict(_("This task is disputed no more."))
        item = BenchmarkItem.objects.filter(task=locked).first()
        if item is not None:
            check_may_adjudicate(member, item)
        annotation = store(
            member,
            locked,
            choice,
            purpose=Purpose.ADJUDICATE,
            comment=comment,
            client_id=client_id,
            seconds=seconds,
            visible=visible,
        )
        if item is not None:
            take_answer(annotation, adjudicates=True)
            return AnswerOutcome(annotation, None)
        resolve(
            task=locked,
            source=Source.ADJUDICATED,
            by=member,
            label=choice.label,
            outcome=choice.answer,
            conf_labels=choice.conf_labels,
            unk_reason=choice.unk_reason,
        )
        tell_those_who_said_otherwise(annotation, note_back)
    return AnswerOutcome(annotation, None)
