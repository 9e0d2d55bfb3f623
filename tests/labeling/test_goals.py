"""Goals of a day: of the project, of a member, and when a day begins."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.goals import set_goal, set_time_zone, start_of_day, today_of
from labeling.actions.people import end_membership
from labeling.models import Annotation, Event, Member, Project, User
from tests.labeling.builders import (
    label_of,
    make_annotation,
    make_member,
    make_project,
    make_task,
)
from tests.labeling.test_pages import client_of, page

pytestmark = pytest.mark.django_db
PEOPLE = "/p/heron/people/"


@pytest.fixture
def project() -> Project:
    return make_project("heron", daily_goal=200)


@pytest.fixture
def ann(project: Project) -> Member:
    return make_member(project, username="ann")


@pytest.fixture
def ada(project: Project) -> Member:
    return make_member(project, "admin", "ada")


def answer(member: Member, *, hours_ago: float = 0, **fields: object) -> None:
    task = make_task(member.project)
    made = make_annotation(task, member, label_of(member.project, "a"), **fields)
    at = timezone.now() - datetime.timedelta(hours=hours_ago)
    Annotation.objects.filter(pk=made.pk).update(created_at=at)


def test_the_pages_say_how_far_the_day_is(project: Project, ann: Member) -> None:
    answer(ann)
    for path in ("/p/heron/annotate/", "/p/heron/me/"):
        assert "<b>1</b> of 200 today" in page(ann, path)
    Project.objects.update(daily_goal=0)
    for path in ("/p/heron/annotate/", "/p/heron/me/"):
        assert "<b>1</b> done today" in page(ann, path)


def test_a_goal_of_ones_own_takes_the_place_of_the_projects(
    project: Project, ann: Member, ada: Member
) -> None:
    client = client_of(ada)
    answered = client.post(f"{PEOPLE}{ann.pk}/goal/", {"goal": "30"}, follow=True)
    assert "The goal of" in answered.content.decode()
    ann.refresh_from_db()
    assert (today_of(ann).goal, today_of(ada).goal) == (30, 200)
    assert Event.objects.get(verb="goal_changed").new == {"goal": 30}
    client.post(f"{PEOPLE}{ann.pk}/goal/", {"goal": "0"})
    ann.refresh_from_db()
    assert today_of(ann).goal == 0
    client.post(f"{PEOPLE}{ann.pk}/goal/", {"goal": ""})
    ann.refresh_from_db()
    assert today_of(ann).goal == 200


@pytest.mark.parametrize("given", ["-1", "10001", "many", "1.5", "9" * 40])
def test_a_goal_that_is_none_is_refused_in_words(ann: Member, ada: Member, given: str) -> None:
    answered = client_of(ada).post(f"{PEOPLE}{ann.pk}/goal/", {"goal": given}, follow=True)
    assert "A goal " in answered.content.decode()
    ann.refresh_from_db()
    assert ann.daily_goal is None


def test_only_admins_set_goals_and_only_of_who_is_here(
    project: Project, ann: Member, ada: Member
) -> None:
    for member in (ann, make_member(project, "expert")):
        assert client_of(member).post(f"{PEOPLE}{ann.pk}/goal/", {"goal": "1"}).status_code == 403
    other = make_member(make_project("other"))
    assert client_of(ada).post(f"{PEOPLE}{other.pk}/goal/", {"goal": "1"}).status_code == 404
    end_membership(member=ann, by=ada)
    with pytest.raises(Conflict):
        set_goal(member=ann, goal=1, by=ada)


def test_only_standing_answers_of_the_queue_count(ann: Member) -> None:
    for purpose in ("label", "gold", "adjudicate", "onboarding"):
        answer(ann, purpose=purpose)
    answer(ann, current=False)
    assert today_of(ann).done == 2


def user_of(member: Member) -> User:
    assert member.user is not None
    return member.user


def test_the_day_begins_at_the_members_own_midnight(ann: Member) -> None:
    user = user_of(ann)
    for zone in ("Asia/Shanghai", "America/Los_Angeles", "Asia/Kathmandu"):
        set_time_zone(user=user, name=zone)
        midnight = start_of_day(user)
        there = timezone.now().astimezone(ZoneInfo(zone))
        assert (midnight.date(), midnight.time()) == (there.date(), datetime.time(0))
        assert midnight <= timezone.now() < midnight + datetime.timedelta(hours=26)
    set_time_zone(user=user, name="")
    assert start_of_day(user) == timezone.localtime().replace(
        hour=0, minute=0, second=0, microsecond=0
    )


def test_an_answer_before_midnight_there_is_of_yesterday(ann: Member) -> None:
    user = user_of(ann)
    zone = "Asia/Shanghai"
    set_time_zone(user=user, name=zone)
    ann.refresh_from_db()
    midnight = start_of_day(user)
    hours = (timezone.now() - midnight).total_seconds() / 3600
    answer(ann, hours_ago=hours + 0.5)
    assert today_of(ann).done == 0
    answer(ann, hours_ago=hours)
    assert today_of(ann).done == 1


def test_everybody_chooses_their_time_zone(ann: Member) -> None:
    client = client_of(ann)
    for zone in ("Asia/Kathmandu", "../etc/passwd", "x" * 500):
        client.post("/p/heron/me/time-zone/", {"zone": zone}, follow=True)
    assert User.objects.get(pk=user_of(ann).pk).time_zone == "Asia/Kathmandu"
    assert "<option selected>Asia/Kathmandu</option>" in page(ann, "/p/heron/me/")
    with pytest.raises(ActionRefused):
        set_time_zone(user=user_of(ann), name="Mars/Olympus")
