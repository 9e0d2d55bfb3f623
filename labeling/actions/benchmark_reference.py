"""What the answers of experts come to: the reference of a benchmark task, and its resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labeling import rules
from labeling.actions.events import Actor
from labeling.actions.resolve import resolve, set_status, withdraw
from labeling.models import (
    Answer,
    BenchmarkAnswer,
    BenchmarkItem,
    ReferenceOutcome,
    Resolution,
    Source,
    Task,
    TaskStatus,
)

EXPERTS_NEEDED = 2
"""People who label a drawn text, each without knowing of the other."""


@dataclass(frozen=True)
class Reference:
    """What the answers of an item come to."""

    outcome: str
    label: int | None = None
    conf: frozenset[int] = frozenset()


OPEN = Reference(ReferenceOutcome.OPEN)


def settled(answers: Sequence[BenchmarkAnswer]) -> Reference:
    """The reference that the current answers of an item agree on, or OPEN.

    An adjudicating answer settles the matter. A *yes* to "does label L hold?" says L. A *no* says
    only what the label is not: it settles nothing, and leaves the reference open where another
    expert chose just that label.
    """
    final = [answer for answer in answers if answer.adjudicates]
    answers = final or answers
    choices = {
        Reference(ReferenceOutcome.LABEL, answer.asked_label_id)
        if answer.answer == Answer.YES
        else Reference(*says(answer))
        for answer in answers
        if answer.question == "multiclass" or answer.answer == Answer.YES
    }
    denied = {answer.asked_label_id for answer in answers if answer.answer == Answer.NO}
    if len(choices) != 1:
        return OPEN
    choice = choices.pop()
    return OPEN if choice.label is not None and choice.label in denied else choice


def says(answer: BenchmarkAnswer) -> tuple[str, int | None, frozenset[int]]:
    """What an answer names: outcome, label, labels."""
    conf = frozenset(label.pk for label in answer.conf_labels.all()) if answer.pk else frozenset()
    return answer.answer, answer.label_id, conf


def is_waiting(item: BenchmarkItem, answers: Sequence[BenchmarkAnswer]) -> bool:
    """Does the item wait for more experts before its answers are compared?"""
    given = {answer.expert for answer in answers}
    final = any(answer.adjudicates for answer in answers)
    return item.draw_id is not None and not final and len(given) < EXPERTS_NEEDED


def put_reference(
    item: BenchmarkItem,
    answers: Sequence[BenchmarkAnswer],
    standing: Resolution | None,
    by: Actor,
) -> Reference:
    """Set the item's reference to what `answers` come to, and the task's resolution with it. The
    caller saves `reference` and `reference_label`."""
    waiting = is_waiting(item, answers)
    reference = OPEN if waiting else settled(answers)
    if ReferenceOutcome.CONF in (item.reference, reference.outcome):
        item.reference_conf_labels.set(reference.conf)
    item.reference, item.reference_label_id = reference.outcome, reference.label
    waits = TaskStatus.DEFERRED if waiting else TaskStatus.DISPUTED
    _stand(item.task, reference, standing, by, waits)
    return reference


def _stand(
    task: Task, reference: Reference, standing: Resolution | None, by: Actor, waits: str
) -> None:
    """The reference stands for the task, unless something stronger does. While it is open, what
    people settled otherwise stays; what the experts did does not, nor, once they disagree, what a
    machine did."""
    if not rules.may_replace(Source.BENCHMARK, standing.source if standing else None):
        return
    if reference != OPEN:
        labels = task.project.labels.filter(pk__in=reference.conf) if reference.conf else ()
        resolve(
            task=task,
            source=Source.BENCHMARK,
            by=by,
            label=reference.label,
            outcome=reference.outcome,
            conf_labels=labels,
        )
    elif standing is None:
        # While it only waits for experts, the machines may still be at work on it.
        if TaskStatus.DISPUTED in (waits, task.status):
            set_status(task, waits)
    elif standing.source == Source.BENCHMARK or (
        standing.source == Source.AUTO and waits == TaskStatus.DISPUTED
    ):
        reason = "the experts disagree" if waits == TaskStatus.DISPUTED else "an answer taken back"
        withdraw(task=task, reason=reason, by=by, status=waits)
