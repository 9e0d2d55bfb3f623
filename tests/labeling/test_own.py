"""A member's own figures: what they count, and what they keep to themselves."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from labeling.actions.resolve import resolve
from labeling.models import Member, Project, Task
from labeling.quality.own import own_report
from tests.labeling.builders import (
    label_of,
    make_annotation,
    make_benchmark_item,
    make_member,
    make_project,
    make_task,
)
from tests.labeling.test_pages import page

pytestmark = pytest.mark.django_db
YESTERDAY = datetime.timedelta(days=1)


@pytest.fixture
def project() -> Project:
    return make_project("heron")


@pytest.fixture
def ann(project: Project) -> Member:
    return make_member(project, username="ann")


def answered(member: Member, tasks: list[Task], right: int, **fields: object) -> None:
    """Label "a" on the first `right` tasks, "b" on the others."""
    for place, task in enumerate(tasks):
        label = label_of(member.project, "a" if place < right else "b")
        make_annotation(task, member, label, **fields)


def gold_tasks(project: Project, n: int) -> list[Task]:
    tasks = [make_task(project) for _ in range(n)]
    for task in tasks:
        make_benchmark_item(task, "fit", reference="label", reference_label=label_of(project, "a"))
    return tasks


def test_speed_and_agreement_are_held_against_the_middle_half_of_the_others(
    project: Project, ann: Member
) -> None:
    tasks = [make_task(project) for _ in range(10)]
    answered(ann, tasks, 8, seconds=4.0)
    for seconds in (2.0, 6.0, 10.0):
        answered(make_member(project), tasks, 10, seconds=seconds)
    report = own_report(ann)
    assert (report.seconds.value, report.seconds.low, report.seconds.high) == (4.0, 4.0, 8.0)
    assert report.with_others.value == pytest.approx(0.8)
    assert report.with_others.low == pytest.approx((2 + 0.8) / 3)


def test_nothing_is_said_of_a_team_of_two(project: Project, ann: Member) -> None:
    tasks = [make_task(project) for _ in range(10)]
    answered(ann, tasks, 10, seconds=4.0)
    answered(make_member(project), tasks, 10, seconds=2.0)
    assert own_report(ann).seconds.low is None


def test_agreement_with_experts_counts_what_they_settled(project: Project, ann: Member) -> None:
    eve = make_member(project, "expert", "eve")
    tasks = [make_task(project) for _ in range(10)]
    answered(ann, tasks, 7)
    for task in tasks:
        resolve(task=task, source="adjudicated", by=eve, label=label_of(project, "a"))
    assert own_report(ann).with_experts.value == pytest.approx(0.7)
    assert own_report(eve).with_experts.value is None


def test_gold_counts_over_enough_in_blocks_and_from_the_next_day(
    project: Project, ann: Member
) -> None:
    before = {"purpose": "gold", "created_at": timezone.now() - YESTERDAY}
    answered(ann, gold_tasks(project, 19), 19, **before)
    assert own_report(ann).gold.value is None
    answered(ann, gold_tasks(project, 1), 1, **before)
    assert (own_report(ann).gold.value, own_report(ann).gold.answers) == (1.0, 20)
    answered(ann, gold_tasks(project, 9), 0, **before)
    answered(ann, gold_tasks(project, 9), 0, purpose="gold")
    assert own_report(ann).gold.value == 1.0
    answered(ann, gold_tasks(project, 1), 0, **before)
    assert own_report(ann).gold.value == pytest.approx(20 / 30)


def test_steadiness_compares_a_repeated_answer_with_the_first(
    project: Project, ann: Member
) -> None:
    tasks = [make_task(project) for _ in range(10)]
    answered(ann, tasks, 10)
    answered(ann, tasks, 6, purpose="repeat", created_at=timezone.now() - YESTERDAY)
    assert own_report(ann).steady.value == pytest.approx(0.6)


def test_the_page_shows_ones_own_figures_and_no_names(project: Project, ann: Member) -> None:
    tasks = [make_task(project) for _ in range(10)]
    answered(ann, tasks, 8, seconds=4.0)
    for name in ("bob", "carl", "dora"):
        answered(make_member(project, username=name), tasks, 10, seconds=2.0)
    html = page(ann, "/p/heron/me/")
    assert "80.0%" in html
    assert not any(name in html for name in ("bob", "carl", "dora"))
    page(make_member(make_project("other")), "/p/heron/me/", 404)
