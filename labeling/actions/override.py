"""An expert overrides the label that stands, whoever it is from."""

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
from labeling.actions.browse import hidden_from
from labeling.actions.disputes import tell_those_who_said_otherwise
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.resolve import resolve
from labeling.models import BenchmarkItem, Label, Member, Purpose, Resolution, Source, Task


def override(
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
    """The expert's answer takes the place of the label that stands; `comment` says why. It says
    nothing of what machines accept elsewhere, so no audit counts it (DESIGN 8.4).

    Sending the same `client_id` again is harmless. Raises Conflict where no label stands or the
    text changed, ActionRefused without a reason, for a benchmark task, and for a text that the
    expert is to label blind.
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
        _check(member, locked, comment)
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
        resolve(
            task=locked,
            source=Source.OVERRIDE,
            by=member,
            label=choice.label,
            outcome=choice.answer,
            conf_labels=choice.conf_labels,
            unk_reason=choice.unk_reason,
        )
        tell_those_who_said_otherwise(annotation, note_back)
    return AnswerOutcome(annotation, None)


def _check(member: Member, task: Task, comment: str) -> None:
    if not comment.strip():
        raise ActionRefused(_("Say why: an override needs a reason."))
    if BenchmarkItem.objects.filter(task=task).exists():
        raise ActionRefused(
            _("This text stands in the benchmark: its experts give the label, and it stays.")
        )
    if Task.objects.filter(hidden_from(member), pk=task.pk).exists():
        raise ActionRefused(_("You have this text in hand to label it blind; do that first."))
    if not Resolution.objects.current().filter(task=task).exists():
        raise Conflict(_("No label stands for this task, so there is nothing to override."))
