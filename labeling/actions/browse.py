"""Finding tasks among many. Queries only, and none that has to look at all tasks.

Tasks are looked through from the newest back, in spans of ids that grow, until enough are found or
the time is up. So a page costs the same whatever the filter and however many tasks there are; where
the time was not enough the reader goes on from there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from labeling.actions.queues import withheld_from
from labeling.models import (
    Annotation,
    AssignedTask,
    Decision,
    Flag,
    Member,
    PlanRow,
    Project,
    Purpose,
    Ranking,
    Resolution,
    Task,
    TaskStatus,
)

FIRST_SPAN = 5_000
LARGEST_SPAN = 250_000
SECONDS = 1.5
COUNTED = 1_000
"""Counting ends here: a page says “over 1,000”."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which tasks somebody looks for; what is empty is not asked."""

    text: str = ""
    status: str = ""
    label: int | None = None
    source: str = ""
    low: float | None = None
    high: float | None = None
    annotator: int | None = None
    run: int | None = None
    policy: int | None = None
    hard: bool | None = None
    flagged: bool = False
    expert_only: bool = False
    language: str = ""
    assigned: int | None = None
    """To this member."""
    machines: bool = False
    """Is what machines said shown? A filter by label tells it, too."""

    @property
    def shows_machines(self) -> bool:
        return self.machines or self.label is not None

    @property
    def has_more(self) -> bool:
        """Is more asked than words, status and label?"""
        return self != Wanted(
            text=self.text, status=self.status, label=self.label, machines=self.machines
        )

    @property
    def tells(self) -> bool:
        """Would finding a task say more of it than its text?"""
        return self != Wanted(text=self.text, machines=self.machines)


@dataclass(frozen=True)
class Walk:
    """Ids found, newest first. `left_at`: only tasks below this id were not looked at; None where
    all were."""

    ids: list[int]
    left_at: int | None


def matching(member: Member, wanted: Wanted) -> QuerySet[Task]:
    """The tasks of the member's project that are wanted. Those that are to be labeled blind are
    found by their text alone."""
    tasks: QuerySet[Task] = Task.objects.filter(project_id=member.project_id)
    if wanted.text:
        tasks = tasks.filter(_reads(wanted.text))
    if wanted.status:
        tasks = tasks.filter(status=wanted.status)
    if wanted.annotator is not None:
        answers = Annotation.objects.current().filter(
            task=OuterRef("pk"), member=wanted.annotator, purpose=Purpose.LABEL
        )
        tasks = tasks.filter(Exists(answers))
    if wanted.flagged:
        tasks = tasks.filter(Exists(Flag.objects.open().filter(task=OuterRef("pk"))))
    if wanted.language:
        tasks = tasks.filter(language=wanted.language)
    if wanted.assigned is not None:
        assigned = AssignedTask.objects.live().filter(task=OuterRef("pk"))
        tasks = tasks.filter(Exists(assigned.filter(assignment__member=wanted.assigned)))
    if wanted.expert_only:
        tasks = tasks.filter(expert_only=True)
    tasks = _by_machines(_by_resolution(tasks, wanted), wanted, member.project)
    return tasks.filter(~hidden_from(member)) if wanted.tells else tasks


def hidden_from(member: Member) -> Q:
    """A condition on tasks: nothing but the text is shown to the member, who is to answer blind, or
    may settle what the benchmark's experts disagree on."""
    return withheld_from(member) | Q(status=TaskStatus.DISPUTED, benchmark_item__isnull=False)


def _reads(text: str) -> Q:
    """The text contains these words, or they are the task's external id."""
    found = Q(external_id=text)
    spellings = {text}
    if connection.vendor == "sqlite" and not text.isascii():
        # SQLite folds the case of Latin letters only.
        spellings |= {text.lower(), text.upper(), text.capitalize()}
    for spelling in spellings:
        found |= Q(text__icontains=spelling)
    return found


def _by_resolution(tasks: QuerySet[Task], wanted: Wanted) -> QuerySet[Task]:
    standing = Resolution.objects.filter(task=OuterRef("pk"), current=True)
    if wanted.label is not None:
        standing = standing.filter(label=wanted.label)
    if wanted.source:
        standing = standing.filter(source=wanted.source)
    asked = wanted.label is not None or bool(wanted.source)
    return tasks.filter(Exists(standing)) if asked else tasks


def _by_machines(tasks: QuerySet[Task], wanted: Wanted, project: Project) -> QuerySet[Task]:
    if wanted.low is not None:
        tasks = tasks.filter(prediction__confidence__gte=wanted.low)
    if wanted.high is not None:
        tasks = tasks.filter(prediction__confidence__lte=wanted.high)
    if wanted.run is not None:
        tasks = tasks.filter(Exists(PlanRow.objects.filter(task=OuterRef("pk"), run=wanted.run)))
    if wanted.policy is not None:
        decided = Decision.objects.filter(
            task=OuterRef("pk"),
            revision=OuterRef("revision"),
            mode=Decision.Mode.LIVE,
            policy__project=project,
            policy__version=wanted.policy,
        )
        tasks = tasks.filter(Exists(decided))
    if wanted.hard is not None:
        rankings = Ranking.objects.filter(task=OuterRef("pk"), revision=OuterRef("revision"))
        newest = Subquery(rankings.order_by("-run").values("hard")[:1])
        tasks = tasks.alias(is_hard=newest).filter(is_hard=wanted.hard)
    return tasks


def walk(
    tasks: QuerySet[Task], *, most: int, below: int | None = None, seconds: float = SECONDS
) -> Walk:
    """The newest `most` of `tasks` (below an id), as far as there is time to look."""
    until = time.monotonic() + seconds
    top = below or (Task.objects.order_by("-pk").values_list("pk", flat=True).first() or 0) + 1
    span, found = FIRST_SPAN, list[int]()
    while top > 1:
        bottom = max(top - span, 1)
        here = tasks.filter(pk__lt=top, pk__gte=bottom).order_by("-pk")
        found += here.values_list("pk", flat=True)[: most - len(found)]
        if len(found) == most:
            return Walk(found, found[-1])
        top, span = bottom, min(4 * span, LARGEST_SPAN)
        if top > 1 and time.monotonic() > until:
            return Walk(found, top)
    return Walk(found, None)
