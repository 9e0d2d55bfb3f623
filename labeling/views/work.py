"""What the labeling page holds: the task in hand, those after it, and how far the member is."""

from __future__ import annotations

import statistics
from collections.abc import Collection
from typing import Any

from django.contrib.humanize.templatetags.humanize import intcomma
from django.core.cache import cache
from django.db.models import Count, F, Min
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.access import Right, has_right
from labeling.actions.goals import today_of
from labeling.actions.lease import next_tasks
from labeling.actions.onboarding_texts import in_onboarding
from labeling.actions.queues import for_others, left_for, turn_of
from labeling.models import Annotation, Lease, Member, Purpose, Skip, Task, TaskStatus
from labeling.views import shortages
from labeling.views.panel import Panel, Shown, build_all, in_words

AHEAD = 2
"""Tasks that a page holds beyond the one in hand."""
MOST_AWAY = 50
COUNT_UP_TO = 1000
MANY_SECONDS = 60
PACE_OVER = 20
EXPLAIN_UP_TO = 10_000


def at_hand(
    member: Member, *, held: Collection[int] = (), away: Collection[int] = ()
) -> dict[str, Any]:
    """Panels of the member's tasks that the page does not hold yet, and `gone`: leases that it
    holds in vain. `held` and `away` are ids of leases: of tasks in the page, and of those whose
    answers are on their way."""
    answered = member.leases.filter(pk__in=list(away)[:MOST_AWAY]).values_list("task", flat=True)
    turn = turn_of(member)
    leases = next_tasks(member=member, count=1 + AHEAD, exclude=list(answered), turn=turn)
    return {
        "tasks": build_all([_shown(lease) for lease in leases if lease.pk not in held]),
        "gone": sorted(set(held) - {lease.pk for lease in leases}),
        "why": None if leases else _why_nothing(member),
        "progress": _progress(member, turn),
    }


def taken_back(member: Member, done: Annotation | Skip) -> Panel | None:
    """The panel of a task whose answer or skip was taken back, with the answer marked."""
    mine = member.leases.live().filter(task=done.task, purpose=done.purpose)
    lease = mine.select_related("task__project").first()
    chosen = in_words(done) if isinstance(done, Annotation) else ""
    return build_all([_shown(lease, chosen)])[0] if lease else None


def _shown(lease: Lease, chosen: str = "") -> Shown:
    return Shown(lease.task, lease.visible, lease_id=lease.pk, chosen=chosen)


def _progress(member: Member, turn: int) -> dict[str, Any]:
    """Done today, left for this member, and seconds a task over the last answers."""
    mine = member.annotations.current().filter(purpose__in=Purpose.queued())
    recent = mine.filter(seconds__isnull=False).order_by("-pk")
    seconds = [value for value in recent.values_list("seconds", flat=True)[:PACE_OVER] if value]
    left = _left(member, turn)
    return {
        "today": today_of(member),
        "left": min(left, COUNT_UP_TO),
        "more": left > COUNT_UP_TO,
        "pace": statistics.median(seconds) if seconds else None,
    }


def _left(member: Member, turn: int) -> int:
    """How many tasks wait, counted to just over `COUNT_UP_TO`. Where there were more, they are not
    counted again with every answer."""
    key = f"many-left:{member.pk}"
    many = COUNT_UP_TO + 1
    if cache.get(key):
        return many
    left = left_for(member, up_to=many, turn=turn)
    if left >= many:
        cache.set(key, True, timeout=MANY_SECONDS)
    return left


def _why_nothing(member: Member) -> dict[str, Any]:
    """How many tasks are where, so that an empty queue explains itself: numbers with what they are
    in words. Counting ends early: nobody waits for the number of a million resolved texts."""
    tasks = Task.objects.filter(project_id=member.project_id).order_by()
    counts = {
        str(status): tasks.filter(status=status)[: EXPLAIN_UP_TO + 1].count()
        for status in TaskStatus.values
    }
    skips = member.skips.current().filter(
        revision=F("task__revision"), task__status=TaskStatus.DEFERRED
    )
    passed_on = skips.filter(until__isnull=True).count()
    soonest = skips.filter(until__gt=timezone.now()).aggregate(n=Count("pk"), at=Min("until"))
    elsewhere = tasks.filter(for_others(member), status=TaskStatus.DEFERRED)
    counts["others"] = elsewhere[: EXPLAIN_UP_TO + 1].count()
    away = passed_on + soonest["n"] + counts["others"]
    counts["answered"] = max(0, counts[TaskStatus.DEFERRED] - away)
    return {
        **{name: (n, _in_words(n)) for name, n in counts.items()},
        "round": in_onboarding(member),
        "lacks": shortages.in_words(member.project) if has_right(member, Right.MANAGE) else [],
        "put_off": soonest["n"],
        "back_at": soonest["at"],
        "passed_on": passed_on,
    }


def _in_words(n: int) -> str:
    if n <= EXPLAIN_UP_TO:
        return str(intcomma(n))
    return _("over %(n)s") % {"n": intcomma(EXPLAIN_UP_TO)}
