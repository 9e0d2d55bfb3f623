"""What members find of themselves, each figure against the spread of the team.

Nothing here gives a single gold or repeated task away: such answers count from the day after on and
in whole blocks, so that no figure moves with the answer that was just given.
"""

from __future__ import annotations

import datetime
import statistics
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import F, QuerySet
from django.utils import timezone

from labeling import rules
from labeling.models import (
    Annotation,
    BenchmarkItem,
    Member,
    Project,
    Purpose,
    Question,
    ReferenceOutcome,
    Resolution,
    Source,
)

NEWEST = 20_000
"""So many of the project's newest answers are looked at."""
LEAST = 10
BLOCK = 10
LEAST_GOLD = 20
LEAST_TEAM = 3
BY_EXPERTS = (Source.OVERRIDE, Source.ADJUDICATED, Source.AUDIT)

Outcomes = Mapping[int, Sequence[float]]


@dataclass(frozen=True)
class Figure:
    """A member's value over `answers` answers, and the middle half of the others' (None where too
    few have one). `value` is None below what a figure takes."""

    value: float | None
    answers: int
    low: float | None
    high: float | None


@dataclass(frozen=True)
class OwnReport:
    seconds: Figure
    with_others: Figure
    with_experts: Figure
    gold: Figure
    steady: Figure


def own_report(member: Member) -> OwnReport:
    project = member.project
    given = _given(project)
    return OwnReport(
        seconds=_figure(member, _seconds(project), middle=True),
        with_others=_figure(member, _with_others(given)),
        with_experts=_figure(member, _with_experts(project, given)),
        gold=_figure(member, _in_blocks(_gold(project)), least=LEAST_GOLD),
        steady=_figure(member, _in_blocks(_steady(project))),
    )


def _figure(
    member: Member, outcomes: Outcomes, *, least: int = LEAST, middle: bool = False
) -> Figure:
    average = statistics.median if middle else statistics.fmean
    values = {who: average(found) for who, found in outcomes.items() if len(found) >= least}
    others = [value for who, value in values.items() if who != member.pk]
    low = high = None
    if len(others) >= LEAST_TEAM:
        low, _middle, high = statistics.quantiles(others, n=4, method="inclusive")
    answers = len(outcomes.get(member.pk, ())) if member.pk in values else 0
    return Figure(values.get(member.pk), answers, low, high)


def _current(project: Project, purpose: str) -> QuerySet[Annotation]:
    return Annotation.objects.current().filter(
        task__project=project,
        purpose=purpose,
        question=Question.MULTICLASS,
        revision=F("task__revision"),
    )


def _before_today() -> datetime.datetime:
    return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)


def _seconds(project: Project) -> Outcomes:
    timed = Annotation.objects.current().filter(
        task__project=project, purpose__in=Purpose.queued(), seconds__gt=0
    )
    found: dict[int, list[float]] = defaultdict(list)
    for who, seconds in timed.order_by("-pk").values_list("member", "seconds")[:NEWEST]:
        found[who].append(float(seconds or 0.0))
    return found


def _given(project: Project) -> dict[int, dict[int, Hashable]]:
    """Task to member to what they said, of the newest ordinary answers."""
    rows = _current(project, Purpose.LABEL).order_by("-pk")
    said: dict[int, dict[int, Hashable]] = defaultdict(dict)
    for task, who, label, answer in rows.values_list("task", "member", "label", "answer")[:NEWEST]:
        said[task].setdefault(who, label or answer)
    return said


def _with_others(given: Mapping[int, Mapping[int, Hashable]]) -> Outcomes:
    """Of the others who answered the same text, the share who said the same."""
    found: dict[int, list[float]] = defaultdict(list)
    for by in given.values():
        for who, said in by.items():
            others = [other for one, other in by.items() if one != who]
            if others:
                found[who].append(others.count(said) / len(others))
    return found


def _with_experts(project: Project, given: Mapping[int, Mapping[int, Hashable]]) -> Outcomes:
    settled = Resolution.objects.current().filter(task__project=project, source__in=BY_EXPERTS)
    found: dict[int, list[float]] = defaultdict(list)
    rows = settled.order_by("-pk").values_list("task", "label", "outcome", "member")[:NEWEST]
    for task, label, outcome, expert in rows:
        for who, said in given.get(task, {}).items():
            if who != expert:
                found[who].append(float(said == (label or outcome)))
    return found


def _gold(project: Project) -> Outcomes:
    items = BenchmarkItem.objects.filter(project=project).exclude(reference=ReferenceOutcome.OPEN)
    rows = _current(project, Purpose.GOLD).filter(
        created_at__lt=_before_today(), task__benchmark_item__in=items
    )
    found: dict[int, list[float]] = defaultdict(list)
    newest = rows.select_related("task__benchmark_item").prefetch_related(
        "task__benchmark_item__reference_conf_labels"
    )
    for one in newest.order_by("-pk")[:NEWEST]:
        item = one.task.benchmark_item
        right = one.answer == item.reference
        if one.label_id is not None:
            right = rules.is_right(
                one.label_id,
                reference=item.reference,
                reference_label=item.reference_label_id,
                conf_labels={label.pk for label in item.reference_conf_labels.all()},
            )
        found[one.member_id].append(float(right))
    return {who: values[::-1] for who, values in found.items()}


def _steady(project: Project) -> Outcomes:
    rows = _current(project, Purpose.REPEAT).filter(created_at__lt=_before_today())
    again = list(rows.order_by("-pk").values_list("task", "member", "label", "answer")[:NEWEST])
    firsts = _current(project, Purpose.LABEL).filter(task__in=rows.values("task"))
    before = {
        (task, who): label or answer
        for task, who, label, answer in firsts.values_list("task", "member", "label", "answer")
    }
    found: dict[int, list[float]] = defaultdict(list)
    for task, who, label, answer in reversed(again):
        if (task, who) in before:
            found[who].append(float(before[task, who] == (label or answer)))
    return found


def _in_blocks(outcomes: Outcomes) -> Outcomes:
    """The oldest ones, as many as make whole blocks."""
    return {who: found[: len(found) // BLOCK * BLOCK] for who, found in outcomes.items()}
