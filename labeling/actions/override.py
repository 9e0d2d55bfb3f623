"""An expert overrides the label that stands, whoever it is from."""

from __future__ import annotations

from typing import Unpack

from django.utils.translation import gettext as _

from labeling.actions.annotate import AnswerOutcome
from labeling.actions.browse import hidden_from
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.expert_answer import Said, settle_as_expert
from labeling.models import BenchmarkItem, Member, Resolution, Source, Task


def override(*, member: Member, task: Task, **said: Unpack[Said]) -> AnswerOutcome:
    """The expert's answer takes the place of the label that stands; `comment` says why. It says
    nothing of what machines accept elsewhere, so no audit counts it (DESIGN 8.4).

    Sending the same `client_id` again is harmless. Raises Conflict where no label stands or the
    text changed, ActionRefused without a reason, for a benchmark task, and for a text that the
    expert is to label blind.
    """

    def check(locked: Task) -> None:
        _check(member, locked, said.get("comment", ""))

    return settle_as_expert(member, task, said, source=Source.OVERRIDE, check=check)


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
