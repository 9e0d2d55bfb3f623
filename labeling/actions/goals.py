"""How many answers a day are wished for of a member, how many there are, and when a day begins."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from zoneinfo import ZoneInfo, available_timezones

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.events import Actor, record
from labeling.models import Member, Purpose, User
from labeling.models.project import MOST_A_DAY


@dataclass(frozen=True)
class Today:
    """`goal` is 0 where none is set."""

    done: int
    goal: int


def today_of(member: Member) -> Today:
    """The member's answers since their day began, beside their goal."""
    given = member.annotations.current().filter(purpose__in=Purpose.queued())
    return Today(given.filter(created_at__gte=start_of_day(member.user)).count(), goal_of(member))


def goal_of(member: Member) -> int:
    own = member.daily_goal
    return member.project.daily_goal if own is None else own


def start_of_day(user: User | None) -> datetime.datetime:
    """The last midnight in the user's time zone, or the site's."""
    zone = ZoneInfo(user.time_zone) if user is not None and user.time_zone else None
    return timezone.localtime(timezone=zone).replace(hour=0, minute=0, second=0, microsecond=0)


@transaction.atomic
def set_goal(*, member: Member, goal: int | None, by: Actor) -> None:
    """Give a present member a goal of their own, 0 for none; None for the project's again."""
    if member.left_at is not None:
        raise Conflict(_("This person has left the project."))
    if goal is not None and not 0 <= goal <= MOST_A_DAY:
        raise ActionRefused(_("A goal lies between 0 and %(most)d.") % {"most": MOST_A_DAY})
    if goal == member.daily_goal:
        return
    old, member.daily_goal = member.daily_goal, goal
    member.save(update_fields=["daily_goal"])
    record(member.project, by, "goal_changed", member, old={"goal": old}, new={"goal": goal})


def set_time_zone(*, user: User, name: str) -> None:
    """Let the user's day begin as it does there; empty: as on the site."""
    if name and name not in available_timezones():
        raise ActionRefused(_("There is no such time zone."))
    user.time_zone = name
    user.save(update_fields=["time_zone"])
