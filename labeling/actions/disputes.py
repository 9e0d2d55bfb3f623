"""What people disagree on, and a word to those whose answer did not stand."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import combinations

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from labeling.actions.answers import given
from labeling.actions.notes import send_note
from labeling.models import Annotation, Answer, Purpose, Task

LOOKED_AT = 5_000
UNK = 0
"""Stands for “nobody can choose” in a pair, where labels stand by their ids."""


@dataclass(frozen=True)
class Pair:
    """Two answers that stand against each other, and on how many tasks."""

    one: int
    other: int
    count: int

    @property
    def code(self) -> str:
        """As an address names it."""
        return f"{self.one}-{self.other}"


def confused_pairs(disputed: QuerySet[Task], *, most: int = 12) -> list[Pair]:
    """The pairs of answers that people give to the same texts most often, among the first disputed
    tasks."""
    tasks = disputed.order_by("pk").values("pk")[:LOOKED_AT]
    answers = _answers().filter(task__in=tasks).exclude(answer__in=(Answer.NO, Answer.CONF))
    by_task: dict[int, set[int]] = defaultdict(set)
    for task, label, asked in answers.values_list("task", "label", "asked_label"):
        by_task[task].add(label or asked or UNK)
    counts = Counter(pair for said in by_task.values() for pair in combinations(sorted(said), 2))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Pair(one, other, count) for (one, other), count in ranked[:most]]


def with_pair(disputed: QuerySet[Task], one: int, other: int) -> QuerySet[Task]:
    """The tasks on which somebody gave the one answer and somebody the other."""
    here = _answers().filter(task=OuterRef("pk"))
    return disputed.filter(*(Exists(here.filter(_says(choice))) for choice in (one, other)))


def _answers() -> QuerySet[Annotation]:
    return Annotation.objects.current().filter(purpose=Purpose.LABEL, revision=F("task__revision"))


def _says(choice: int) -> Q:
    if choice == UNK:
        return Q(answer=Answer.UNK)
    return Q(label=choice) | Q(answer=Answer.YES, asked_label=choice)


def tell_those_who_said_otherwise(annotation: Annotation, text: str) -> int:
    """Leave this note on every ordinary answer to the text that the expert's contradicts; how many
    were left. An empty text leaves none."""
    if not text.strip():
        return 0
    others = _answers().filter(task=annotation.task_id).exclude(member=annotation.member_id)
    told = [
        send_note(annotation=other, by=annotation.member, text=text)
        for other in others.select_related("member__project").prefetch_related("conf_labels")
        if _contradicts(annotation, other)
    ]
    return sum(note is not None for note in told)


def _contradicts(settled: Annotation, other: Annotation) -> bool:
    """Does what was settled contradict the answer? A yes or no speaks of the asked label alone."""
    holds = settled.label_id is not None and settled.label_id == other.asked_label_id
    if other.answer == Answer.YES:
        return not holds
    if other.answer == Answer.NO:
        return holds
    return given(settled).choice != given(other).choice
