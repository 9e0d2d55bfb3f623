"""How the audit of a policy stands: what was drawn, what waits, and whether its promise holds."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from django.core.cache import cache
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from labeling.actions.monitor import Watched, watched
from labeling.models import Alarm, AuditDraw, Policy, Project
from labeling.statistics.monitor import error_interval

POINTS = 12
KEPT_SECONDS = 3600
Level = Literal["good", "waiting", "bad"]


@dataclass(frozen=True)
class Point:
    """The error after `n` observations with its bounds at any time."""

    n: int
    error: float
    low: float
    high: float


@dataclass(frozen=True)
class AuditState:
    """`level` is good only where enough was observed, nothing contradicts the promise and no audit
    has waited for too long; `reasons` say in sentences why it is not, or that it is."""

    policy: Policy
    level: Level
    reasons: Sequence[str]
    found: Watched | None
    alarm: Alarm | None
    drawn: int
    waiting: int
    overdue: int
    for_expert: int
    void: int


def audit_state(policy: Policy) -> AuditState:
    """How the audit of `policy` stands now."""
    project = policy.project
    draws = AuditDraw.objects.filter(policy=policy)
    open_ = draws.filter(answered_at__isnull=True)
    waiting = open_.filter(revision=F("task__revision"))
    overdue = waiting.filter(
        created_at__lt=timezone.now() - datetime.timedelta(days=project.audit_days)
    ).count()
    by_expert = Q(check_probability__gte=1.0) | Q(first_answer__isnull=False)
    found = watched(policy)
    alarm = Alarm.objects.filter(policy=policy).select_related("closed_by", "stricter").first()
    level, reasons = _judged(policy, found, alarm, overdue)
    return AuditState(
        policy=policy,
        level=level,
        reasons=reasons,
        found=found,
        alarm=alarm,
        drawn=draws.count(),
        waiting=waiting.count(),
        overdue=overdue,
        for_expert=waiting.filter(by_expert).count(),
        void=open_.exclude(revision=F("task__revision")).count(),
    )


def _judged(
    policy: Policy, found: Watched | None, alarm: Alarm | None, overdue: int
) -> tuple[Level, list[str]]:
    if alarm is not None:
        return "bad", [_("The audits say that the promise does not hold: an alarm was raised.")]
    reasons = []
    if policy.paused_at is not None:
        reasons.append(_("The policy is paused and accepts nothing."))
    if found is None:
        reasons.append(_("This policy names no accuracy that audits could hold it to."))
    elif found.report.n < found.enough_at:
        reasons.append(
            ngettext(
                "%(n)d audit is observed; %(need)d are the fewest that could bear the promise out.",
                "%(n)d audits are observed; %(need)d are the fewest that could bear the promise "
                "out.",
                found.report.n,
            )
            % {"n": found.report.n, "need": found.enough_at}
        )
    if overdue:
        days = policy.project.audit_days
        reasons.append(
            ngettext(
                "%(n)d audit has waited for more than %(days)d days.",
                "%(n)d audits have waited for more than %(days)d days.",
                overdue,
            )
            % {"n": overdue, "days": days}
        )
    if reasons:
        return "waiting", reasons
    return "good", [_("Nothing that was observed contradicts the promise.")]


def policy_shown(project: Project, version: int | None = None) -> Policy | None:
    """The policy of this version; without one the active policy, or else the last in use."""
    policies = project.policies.select_related("project", "configuration")
    if version is not None:
        return policies.filter(version=version).first()
    active = policies.filter(status=Policy.Status.ACTIVE).first()
    return active or policies.filter(activated_at__isnull=False).order_by("-activated_at").first()


def sequence(found: Watched) -> list[Point]:
    """The confidence sequence at about a dozen numbers of observations, each bound the best so
    far; together they hold at any time with the monitor's confidence."""
    observed = found.observations
    if not observed:
        return []
    last = max(one.pk for one in observed)
    key = f"audit-sequence:{found.policy.pk}:{len(observed)}:{last}:{found.delta}"
    known: list[Point] | None = cache.get(key)
    if known is None:
        known = _points(found)
        cache.set(key, known, KEPT_SECONDS)
    return known


def _points(found: Watched) -> list[Point]:
    wrong = np.array([float(one.wrong) for one in found.observations])
    least = found.least_probability
    weights = np.array([least / one.probability for one in found.observations])
    sizes = sorted({int(n) for n in np.geomspace(1, len(wrong), POINTS).round()})
    points, low, high = [], 0.0, 1.0
    for n in sizes:
        below, above = error_interval(wrong[:n], weights[:n], found.delta)
        low, high = max(low, below), min(high, above)
        error = float((weights[:n] * wrong[:n]).sum() / weights[:n].sum())
        points.append(Point(n, error, low, max(low, high)))
    return points
