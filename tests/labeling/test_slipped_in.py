"""Settled benchmark tasks and repeated ones: served now and then, and told apart by nobody."""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

import pytest
from django.utils import timezone

from labeling.actions.annotate import undo
from labeling.actions.lease import next_task, next_tasks
from labeling.actions.queues import left_for, slipped_in
from labeling.actions.resolve import resolve
from labeling.models import Annotation, Member, Project, Resolution, Task
from tests.labeling.builders import (
    label_of,
    make_benchmark_item,
    make_member,
    make_prediction,
    make_project,
    make_task,
)
from tests.labeling.cast import deferred, say
from tests.labeling.rest import client_of as rest_of
from tests.labeling.test_pages import client_of, fields, page

pytestmark = pytest.mark.django_db
API = "/api/v1/projects/heron"


@pytest.fixture
def project() -> Project:
    return make_project("heron", blind_share=1.0, gold_share=1.0, repeat_share=0.0)


@pytest.fixture
def ann(project: Project) -> Member:
    return make_member(project, username="ann")


def settled(project: Project, **fields: Any) -> Task:
    task = make_task(project, **fields)
    label = label_of(project, "a")
    make_benchmark_item(task, "test", reference="label", reference_label=label)
    resolve(task=task, source="benchmark", by="test", label=label)
    return task


def repeated(project: Project, member: Member, **more: Any) -> Task:
    """A task that the member answered long ago."""
    task = deferred(project)
    say(member, task, "a")
    Task.objects.filter(pk=task.pk).update(status="resolved", **more)
    Annotation.objects.filter(task=task).update(created_at=timezone.now() - datetime.timedelta(30))
    task.refresh_from_db()
    return task


def set_to(project: Project, **settings: Any) -> None:
    Project.objects.filter(pk=project.pk).update(**settings)
    project.refresh_from_db()


def test_a_settled_task_is_served_while_others_wait_and_changes_nothing(
    project: Project, ann: Member
) -> None:
    gold = settled(project)
    assert next_task(member=ann) is None
    plain = deferred(project)
    lease = next_task(member=ann)
    assert lease is not None
    assert (lease.task, lease.purpose, lease.visible["blind"]) == (gold, "gold", True)
    outcome = say(ann, gold, "b", purpose="gold", visible=lease.visible)
    assert outcome.standing is None
    assert Resolution.objects.current().get(task=gold).label == label_of(project, "a")
    assert gold.benchmark_item.answers.count() == 0
    assert next_task(member=ann).task == plain  # type: ignore[union-attr]
    undo(member=ann)
    assert next_task(member=ann).purpose == "gold"  # type: ignore[union-attr]


def test_experts_get_none_nor_does_anybody_where_no_ordinary_task_is_blind(
    project: Project, ann: Member
) -> None:
    settled(project)
    plain = deferred(project)
    assert next_task(member=make_member(project, "expert")).task == plain  # type: ignore[union-attr]
    set_to(project, blind_share=0.0)
    assert next_task(member=Member.objects.get(pk=ann.pk)).task == plain  # type: ignore[union-attr]


def test_the_rate_is_the_projects(project: Project, ann: Member) -> None:
    set_to(project, gold_share=0.2, repeat_share=0.1)
    member = Member.objects.get(pk=ann.pk)
    purposes = [slipped_in(member, turn) for turn in range(5000)]
    assert purposes.count("gold") / 5000 == pytest.approx(0.2, abs=0.03)
    assert purposes.count("repeat") / 5000 == pytest.approx(0.1, abs=0.03)
    other = make_member(project)
    assert purposes != [slipped_in(other, turn) for turn in range(5000)]


def test_a_settled_task_comes_once_to_each(project: Project, ann: Member) -> None:
    golds = {settled(project) for _ in range(5)}
    deferred(project)
    served = []
    while lease := next_task(member=ann):
        served.append(lease.task)
        say(ann, lease.task, "a", purpose=lease.purpose, visible=lease.visible)
    assert len(served) == len(set(served)) == 6
    assert golds == set(served[:5])


@pytest.mark.parametrize("stock", [1, 3])
def test_what_is_left_goes_down_by_one_whatever_comes(
    project: Project, ann: Member, stock: int
) -> None:
    set_to(project, gold_share=0.4, repeat_share=0.3)
    member = Member.objects.get(pk=ann.pk)
    for _ in range(3):
        settled(project)
        repeated(project, ann)
    for _ in range(8):
        deferred(project)
    purposes, left = [], [left_for(member, up_to=100)]
    while leases := next_tasks(member=member, count=stock):
        lease = leases[0]
        purposes.append(lease.purpose)
        say(ann, lease.task, "a", purpose=lease.purpose, visible=lease.visible)
        left.append(left_for(member, up_to=100))
    assert left == list(range(len(purposes), -1, -1))
    assert purposes.count("label") == 8
    assert set(purposes) & {"gold", "repeat"}


def test_ones_own_task_comes_again_after_a_time_blind_to_the_first_answer(
    project: Project, ann: Member
) -> None:
    set_to(project, gold_share=0.0, repeat_share=1.0)
    member = Member.objects.get(pk=ann.pk)
    again = repeated(project, ann)
    young = deferred(project)
    say(ann, young, "b")
    deferred(project)
    lease = next_task(member=member)
    assert lease is not None
    assert (lease.task, lease.purpose, lease.visible["blind"]) == (again, "repeat", True)
    assert again.text not in page(ann, "/p/heron/history/")
    url = f"{API}/tasks/{again.external_id}/"
    assert rest_of(ann).get(url).json()["own_answers"] == []
    say(ann, again, "b", purpose="repeat", visible=lease.visible)
    assert Annotation.objects.current().get(task=again, purpose="label").label is not None
    assert again.text in page(ann, "/p/heron/history/")
    assert len(rest_of(ann).get(url).json()["own_answers"]) == 2
    assert next_task(member=member).purpose == "label"  # type: ignore[union-attr]


def test_a_repeated_task_asks_what_was_asked_before(project: Project, ann: Member) -> None:
    set_to(project, gold_share=0.0, repeat_share=1.0)
    task = deferred(project, question="binary", asked_label=label_of(project, "b"))
    say(ann, task, "yes", asked_label=label_of(project, "b"))
    Annotation.objects.update(created_at=timezone.now() - datetime.timedelta(30))
    Task.objects.update(question="multiclass", asked_label=None, status="resolved")
    deferred(project)
    lease = next_task(member=Member.objects.get(pk=ann.pk))
    assert lease is not None
    assert lease.visible["question"] == "binary"
    assert lease.visible["asked_label"] == label_of(project, "b").pk


def test_where_one_label_is_asked_about_a_settled_task_asks_about_one(
    project: Project, ann: Member
) -> None:
    set_to(project, question="binary")
    gold = settled(project)
    make_prediction(gold, [0.0, 4.0, 0.0])
    deferred(project, question="binary", asked_label=label_of(project, "a"))
    lease = next_task(member=Member.objects.get(pk=ann.pk))
    assert lease is not None
    assert (lease.task, lease.visible["question"]) == (gold, "binary")
    assert lease.visible["asked_label"] == label_of(project, "b").pk


def skeleton(html: str, task: Task) -> str:
    """The page without what differs from task to task anyway."""
    html = re.sub(r'<template class="next".*?</template>', "", html, flags=re.DOTALL)
    html = html.replace(task.text, "TEXT")
    html = re.sub(r'(name="csrfmiddlewaretoken"|X-CSRFToken)[^>]*>', "", html)
    html = re.sub(r'value="[0-9a-f-]{36}"|value="\d*"', "", html)
    return re.sub(r"<b>\d+</b>", "", html)


@pytest.mark.parametrize("kind", ["gold", "repeat"])
def test_pages_and_rest_show_a_slipped_in_task_as_any_other(
    project: Project, ann: Member, kind: str
) -> None:
    set_to(project, gold_share=float(kind == "gold"), repeat_share=float(kind == "repeat"))
    hidden = settled(project) if kind == "gold" else repeated(project, ann)
    plain, spare = deferred(project), deferred(project)
    rest, client = rest_of(ann), client_of(ann)

    def shown(task: Task) -> Any:
        answer = rest.get(f"{API}/tasks/{task.external_id}/").json()
        for name in ("external_id", "text", "created_at"):
            answer.pop(name)
        return answer

    def listed(status: str) -> set[str]:
        rows = rest.get(f"{API}/tasks/?status={status}").json()["results"]
        return {row["external_id"] for row in rows}

    pages, details, after = [], [], []
    for task in (hidden, plain):
        html = client.get("/p/heron/annotate/").content.decode()
        assert task.text in html
        pages.append(skeleton(html, task))
        details.append(shown(task))
        assert {task.external_id, spare.external_id} <= listed("deferred")
        sent = fields(html) | {"choice": f"label:{label_of(project, 'a').pk}"}
        response = client.post("/p/heron/annotate/", sent)
        assert response.status_code == 302
        after.append(shown(task)["status"])
        assert task.external_id in listed("resolved")
    assert pages[0] == pages[1]
    assert details[0] == details[1]
    assert after == ["resolved", "resolved"]
    assert Annotation.objects.get(task=hidden, purpose=kind).visible["blind"] is True
    everything = json.dumps(details) + "".join(pages)
    everything += page(ann, "/p/heron/history/") + page(ann, "/p/heron/")
    assert kind not in everything.lower()
    assert "benchmark" not in everything.lower()


def test_over_rest_an_answer_to_a_task_in_hand_counts_for_what_it_was_handed_out_for(
    project: Project, ann: Member
) -> None:
    gold = settled(project)
    deferred(project)
    next_task(member=ann)
    body = {"external_id": gold.external_id, "label": "a"}
    body["client_id"] = "5f0c0c4e-2b7e-4c39-9d39-0d7b6f1f4a11"
    answer = rest_of(ann).post(f"{API}/annotations/", body)
    assert answer.json()["status"] == "resolved"
    assert Annotation.objects.get().purpose == "gold"


def test_the_status_of_a_task_tells_an_annotator_nothing_of_others(
    project: Project, ann: Member
) -> None:
    settled(project)
    say(make_member(project), deferred(project), "a")
    say(ann, deferred(project), "a")
    make_task(project)
    rows = rest_of(ann).get(f"{API}/tasks/").json()["results"]
    assert [row["status"] for row in rows] == ["deferred", "deferred", "resolved", "processing"]
