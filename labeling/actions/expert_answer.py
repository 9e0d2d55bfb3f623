"""An expert's answer that becomes the label: what settling a dispute and overriding have alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Required, TypedDict
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
from labeling.actions.benchmark_label import take_answer
from labeling.actions.disputes import tell_those_who_said_otherwise
from labeling.actions.errors import ActionRefused
from labeling.actions.resolve import resolve
from labeling.models import BenchmarkItem, Label, Member, Purpose, Source, Task


class Said(TypedDict, total=False):
    """What the expert said. `note_back` is left on the answers that theirs contradicts."""

    answer: Required[str]
    client_id: Required[UUID]
    visible: Required[dict[str, Any]]
    label: Label | None
    conf_labels: Sequence[Label]
    unk_reason: str
    comment: str
    note_back: str
    seconds: float | None
    revision: int | None


def settle_as_expert(
    member: Member,
    task: Task,
    said: Said,
    *,
    source: Source,
    check: Callable[[Task], BenchmarkItem | None],
) -> AnswerOutcome:
    """Store the answer and let it stand, as the reference of the benchmark item that `check` finds
    or else as the task's resolution. `check` looks at the locked task and raises what bars it.

    Sending the same `client_id` again is harmless. Raises Conflict where the text changed.
    """
    if not has_right(member, Right.REVIEW):
        raise ActionRefused(_("You do not review in this project."))
    given = Choice(
        said["answer"],
        said.get("label"),
        tuple(said.get("conf_labels", ())),
        said.get("unk_reason", ""),
    )
    choice = checked(member, task, given)
    with transaction.atomic():
        locked = lock(task)
        first = repeated(member, locked, said["client_id"])
        if first is not None:
            return AnswerOutcome(first, None, repeated=True)
        check_revision(locked, said.get("revision"))
        item = check(locked)
        annotation = store(
            member,
            locked,
            choice,
            purpose=Purpose.ADJUDICATE,
            comment=said.get("comment", ""),
            client_id=said["client_id"],
            seconds=said.get("seconds"),
            visible=said["visible"],
        )
        if item is not None:
            take_answer(annotation, adjudicates=True)
            return AnswerOutcome(annotation, None)
        resolve(
            task=locked,
            source=source,
            by=member,
            label=choice.label,
            outcome=choice.answer,
            conf_labels=choice.conf_labels,
            unk_reason=choice.unk_reason,
        )
        tell_those_who_said_otherwise(annotation, said.get("note_back", ""))
    return AnswerOutcome(annotation, None)
