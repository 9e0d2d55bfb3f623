"""Who labels in the tests of the labeling pages, and answers in one line."""

from __future__ import annotations

import uuid
from typing import Any

from labeling.actions.annotate import AnswerOutcome, answer
from labeling.models import Member, Project, Ranking, Task
from tests.labeling.builders import label_of, make_run, make_task


def deferred(project: Project, **fields: Any) -> Task:
    """A task that waits for people."""
    return make_task(project, status="deferred", **fields)


def ranked(task: Task, *names: str) -> Ranking:
    """Candidates of the task in this order, with falling probabilities."""
    labels = [label_of(task.project, name) for name in names]
    candidates = [[label.pk, 0.8 / 2**place, 0.7 / 2**place] for place, label in enumerate(labels)]
    return Ranking.objects.create(
        run=make_run(task.project), task=task, revision=task.revision, candidates=candidates
    )


def say(member: Member, task: Task, what: str, **more: Any) -> AnswerOutcome:
    """The member answers with a label's name, "yes", "no", or "unk:reason"."""
    choice: dict[str, Any] = {"answer": what}
    if what.startswith("unk:"):
        choice = {"answer": "unk", "unk_reason": what[4:]}
    elif what not in ("yes", "no", "conf"):
        choice = {"answer": "label", "label": label_of(task.project, what)}
    defaults: dict[str, Any] = {"client_id": uuid.uuid4(), "visible": {"candidates": []}}
    return answer(member=member, task=task, **defaults | choice | more)
