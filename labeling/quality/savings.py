"""What the machine saved: hours and money by the project's own rates, with the audit's error."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from django.db.models import Count, F

from labeling.models import (
    Annotation,
    AuditDraw,
    AuditObservation,
    Project,
    Purpose,
    Resolution,
    Source,
    Task,
)
from labeling.statistics.intervals import Share, weighted_share

NEWEST = 2_000
"""So many of the newest answers, and of the newest tasks that people settled, give the means."""
MOST_DRAWS = 20_000
BY_PEOPLE = (Source.AGREEMENT, Source.SINGLE, Source.ADJUDICATED)


@dataclass(frozen=True)
class Savings:
    """`accepted` labels stand by the policy alone. Each would have taken `answers_each` answers of
    `seconds` each; `measured` says that the seconds are the median of the newest answers, not a
    setting. `hours` is that time less what the audit took. `money` is None without an hourly rate,
    `hours` None where no time is known. `error` is the share of audited labels that were wrong;
    `unanswered` draws wait, and while they do the error is not settled."""

    accepted: int
    tasks: int
    answers_each: float
    seconds: float | None
    measured: bool
    hours: float | None
    money: float | None
    currency: str
    error: Share
    unanswered: int


def savings(project: Project) -> Savings:
    """Counted in the database; the audit's draws are few enough to read."""
    # Benchmark tasks never count: a machine settles none of them.
    standing = Resolution.objects.current().filter(task__project=project)
    accepted = standing.filter(source=Source.AUTO).count()
    error, answered, unanswered = audited(project)
    seconds, measured = seconds_of_an_answer(project)
    each = answers_of_a_task(project)
    hours = None
    if seconds is not None:
        hours = (accepted * each - answered) * seconds / 3600
    rate = project.hourly_rate
    return Savings(
        accepted=accepted,
        tasks=Task.objects.filter(project=project).count(),
        answers_each=each,
        seconds=seconds,
        measured=measured,
        hours=hours,
        money=hours * rate if hours is not None and rate is not None else None,
        currency=project.currency,
        error=error,
        unanswered=unanswered,
    )


def seconds_of_an_answer(project: Project) -> tuple[float | None, bool]:
    """Seconds an answer takes: the setting, else the median of the newest answers of people."""
    if project.seconds_per_answer is not None:
        return project.seconds_per_answer, False
    timed = Annotation.objects.filter(
        task__project=project, member__is_simulated=False, seconds__isnull=False
    ).exclude(purpose=Purpose.ONBOARDING)
    newest = timed.order_by("-pk").values_list("seconds", flat=True)[:NEWEST]
    found = [seconds for seconds in newest if seconds is not None]
    return (median(found), True) if found else (None, True)


def answers_of_a_task(project: Project) -> float:
    """Answers that a task took of late where people settled it; as many as are needed until one
    was."""
    newest = (
        Resolution.objects.current()
        .filter(task__project=project, source__in=BY_PEOPLE)
        .order_by("-pk")
        .values_list("task", flat=True)[:NEWEST]
    )
    answers = (
        Annotation.objects.current()
        .filter(task__in=list(newest), purpose=Purpose.LABEL)
        .aggregate(answers=Count("pk"), tasks=Count("task", distinct=True))
    )
    if not answers["tasks"]:
        return float(project.answers_needed)
    return float(answers["answers"] / answers["tasks"])


def audited(project: Project) -> tuple[Share, int, int]:
    """The share of audited labels that experts found wrong, how many answers the audit took, and
    how many draws wait. Each observation counts as often as it stands for others: where regular
    annotators answer first, an expert looks at all they doubt but at only some they confirm."""
    observed = AuditObservation.objects.filter(policy__project=project, current=True)
    newest = list(observed.order_by("-pk").values_list("wrong", "probability")[:MOST_DRAWS])
    error = weighted_share([wrong for wrong, _p in newest], [p for _wrong, p in newest])
    draws = AuditDraw.objects.filter(task__project=project)
    waiting = draws.filter(answered_at__isnull=True, revision=F("task__revision")).count()
    answers = Annotation.objects.current().filter(task__project=project, purpose=Purpose.AUDIT)
    return error, answers.count(), waiting
