"""An expert settles what people could not agree on."""

from __future__ import annotations

from typing import Unpack

from django.utils.translation import gettext as _

from labeling.actions.annotate import AnswerOutcome
from labeling.actions.benchmark_label import check_may_adjudicate
from labeling.actions.errors import Conflict
from labeling.actions.expert_answer import Said, settle_as_expert
from labeling.models import BenchmarkItem, Member, Source, Task, TaskStatus


def adjudicate(*, member: Member, task: Task, **said: Unpack[Said]) -> AnswerOutcome:
    """The expert's answer becomes the task's resolution; of a benchmark task it becomes the
    reference, and somebody who gave one of the answers in dispute does not settle it. The
    benchmark's experts get no note.

    Sending the same `client_id` again is harmless. Raises Conflict if the task is disputed no more
    or its text changed.
    """

    def check(locked: Task) -> BenchmarkItem | None:
        if locked.status != TaskStatus.DISPUTED:
            raise Conflict(_("This task is disputed no more."))
        item = BenchmarkItem.objects.filter(task=locked).first()
        if item is not None:
            check_may_adjudicate(member, item)
        return item

    return settle_as_expert(member, task, said, source=Source.ADJUDICATED, check=check)
