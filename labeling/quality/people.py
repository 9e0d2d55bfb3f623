"""How far people agree: with each other, with themselves, and with validators."""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from django.db.models import F
from django.utils import timezone

from labeling.models import Annotation, Project, Question, Verdict
from labeling.quality.experts import unaided
from labeling.quality.table import NOT_MEASURED
from labeling.statistics.aggregation import consistency, dawid_skene
from labeling.statistics.agreement import COEFFICIENTS, Agreement, agreement, krippendorff_alpha
from labeling.statistics.alt_test import AltTest, Plan, TooFewPeople, alt_test, plan
from labeling.statistics.intervals import Share
from labeling.statistics.pooling import best_option
from labeling.statistics.ratings import Ratings

NEWEST = 20_000
"""So many of the newest answers are looked at."""
FOR_RELIABILITY = 5_000
# Of two people who differ nobody can say who is right.
LEAST_PEOPLE = 3
DRAWS = 400
EPSILON = 0.15
"""How much worse than a skilled person a validator may be (Calderon et al. 2025)."""
WITHOUT = frozenset({"unk", "conf"})
WEEKS = 12


@dataclass(frozen=True)
class Given:
    """One member's answer to "which label?" about one text revision; `label` is a label's id,
    "unk" or "conf"."""

    task: tuple[int, int]
    text: str
    member: int
    label: Hashable
    unaided: bool
    at: datetime.datetime


@dataclass(frozen=True)
class Coefficients:
    """All coefficients of one choice of answers."""

    values: dict[str, Agreement]
    answers: int


@dataclass(frozen=True)
class Week:
    """Krippendorff's alpha of the tasks first answered in the week that begins at `start`."""

    start: datetime.date
    alpha: Agreement


@dataclass(frozen=True)
class Reliability:
    """A member without looking at experts: `reliability` is the one-coin estimate over `answers`
    from the others' answers to the same tasks (None where fewer than three people answered such
    tasks), `consistency` how often the same text got the same answer again."""

    member: int
    answers: int
    reliability: float | None
    consistency: Share


@dataclass(frozen=True)
class Replacement:
    """May this validator replace people? `test` is None where fewer than three people answered
    enough texts with it out of sight: the authors of the test want three."""

    validator: int
    test: AltTest | None
    plan: Plan | None


@dataclass(frozen=True)
class PeopleReport:
    """`all`: every answer; `unaided`: those given without validators' output in sight, which alone
    are independent; `without`: those of them that are a label."""

    all: Coefficients
    unaided: Coefficients
    without: Coefficients
    weeks: tuple[Week, ...]
    members: tuple[Reliability, ...]
    replacements: tuple[Replacement, ...]
    capped: bool


def people_report(project: Project) -> PeopleReport:
    """Agreement over the newest answers of the project's members."""
    answers = newest_answers(project)
    apart = [one for one in answers if one.unaided]
    ratings = _ratings(apart)
    return PeopleReport(
        all=_coefficients(_ratings(answers)),
        unaided=_coefficients(ratings),
        without=_coefficients(ratings.without(WITHOUT)),
        weeks=_weeks(apart),
        members=_reliability(answers),
        replacements=tuple(_replacements(project, apart)),
        capped=len(answers) >= NEWEST,
    )


def newest_answers(project: Project) -> list[Given]:
    """The newest answers to "which label?" of texts that still stand, oldest first."""
    rows = (
        Annotation.objects.current()
        .filter(task__project=project, question=Question.MULTICLASS, revision=F("task__revision"))
        .exclude(purpose__in=NOT_MEASURED)
        .order_by("-pk")
        .values_list(
            "task",
            "revision",
            "task__text_hash",
            "member",
            "answer",
            "label",
            "visible",
            "created_at",
        )[:NEWEST]
    )
    found = [
        Given((task, revision), text, member, label or answer, unaided(visible), at)
        for task, revision, text, member, answer, label, visible, at in rows
    ]
    return found[::-1]


def _ratings(answers: Sequence[Given]) -> Ratings:
    return Ratings.of((one.task, one.member, one.label) for one in answers)


def _coefficients(ratings: Ratings) -> Coefficients:
    return Coefficients(
        {name: agreement(one, ratings, draws=DRAWS) for name, one in COEFFICIENTS.items()},
        len(ratings.task),
    )


def _weeks(answers: Sequence[Given]) -> tuple[Week, ...]:
    """The newest weeks in which two people answered the same text."""
    started: dict[tuple[int, int], datetime.date] = {}
    for one in answers:
        started.setdefault(one.task, monday(one.at))
    by_week: dict[datetime.date, list[Given]] = defaultdict(list)
    for one in answers:
        by_week[started[one.task]].append(one)
    weeks = []
    for start in sorted(by_week)[-WEEKS:]:
        found = agreement(krippendorff_alpha, _ratings(by_week[start]), draws=DRAWS)
        if found.tasks:
            weeks.append(Week(start, found))
    return tuple(weeks)


def monday(at: datetime.datetime) -> datetime.date:
    """The first day of the week, where the site is."""
    day = timezone.localtime(at).date()
    return day - datetime.timedelta(days=day.weekday())


def _reliability(answers: Sequence[Given]) -> tuple[Reliability, ...]:
    ratings = _shared(_ratings([one for one in answers if one.unaided][-FOR_RELIABILITY:]))
    known: dict[object, tuple[int, float]] = {}
    if len(ratings.workers) >= LEAST_PEOPLE:
        found = dawid_skene(ratings, one_coin=True)
        counts = Counter(who for _task, who, _label in ratings.rows())
        known = {
            who: (counts[who], float(found.reliability[place]))
            for place, who in enumerate(ratings.workers)
        }
    again: dict[int, dict[Hashable, list[Hashable]]] = defaultdict(lambda: defaultdict(list))
    for one in answers:
        again[one.member][one.text].append(one.label)
    members = []
    for member, texts in sorted(again.items()):
        many, reliability = known.get(member, (0, None))
        members.append(Reliability(member, many, reliability, consistency(texts)))
    return tuple(members)


def _shared(ratings: Ratings) -> Ratings:
    """Only the tasks that two people or more answered: a lone answer says nothing of anybody."""
    given = ratings.counts().sum(axis=1)
    shared = {task for task, many in zip(ratings.tasks, given, strict=True) if many >= 2}
    return Ratings.of(row for row in ratings.rows() if row[0] in shared)


def _replacements(project: Project, apart: Sequence[Given]) -> list[Replacement]:
    """The alternative annotator test of every active validator on texts that two people answered
    with validators out of sight."""
    people: dict[object, dict[object, object]] = defaultdict(dict)
    for one in apart:
        people[one.member].setdefault(one.task, one.label)
    verdicts = _labels_of_validators(project, {one.task for one in apart})
    found = []
    for validator in project.validators.filter(active=True).order_by("name"):
        test: AltTest | None = None
        with suppress(TooFewPeople):
            test = alt_test(people, verdicts.get(validator.pk, {}), epsilon=EPSILON)
        if test is None or len(test.people) < LEAST_PEOPLE:
            found.append(Replacement(validator.pk, None, None))
        else:
            found.append(Replacement(validator.pk, test, plan(test, epsilon=EPSILON)))
    return found


def _labels_of_validators(
    project: Project, tasks: set[tuple[int, int]]
) -> dict[int, dict[object, object]]:
    """Validator to task to the likeliest option of its newest verdict, `unk` being one."""
    labels: dict[int, dict[object, object]] = defaultdict(dict)
    ids = sorted({task for task, _revision in tasks})
    for start in range(0, len(ids), 500):
        verdicts = Verdict.objects.filter(
            task__in=ids[start : start + 500],
            validator__project=project,
            validator__active=True,
            question=Question.MULTICLASS,
            failure="",
        ).order_by("pk")
        for task, revision, validator, shares in verdicts.values_list(
            "task", "revision", "validator", "probabilities"
        ):
            if (task, revision) in tasks and shares:
                option, _share = best_option(shares)
                labels[validator][task, revision] = int(option) if option.isdigit() else option
    return labels
