"""Tasks and answers over REST: pages, filters, and what each role sees."""

from __future__ import annotations

import json
import uuid
from base64 import b64encode
from typing import Any

import pytest
from rest_framework.test import APIClient

from labeling.actions.resolve import resolve
from labeling.api.serializers.tasks import AnnotatorTaskDetailSerializer, TaskDetailSerializer
from labeling.models import Annotation, Project, Ranking, Role, Run, Task, TaskStatus, Verdict
from tests.labeling.builders import (
    label_of,
    make_annotation,
    make_decision,
    make_member,
    make_prediction,
    make_project,
    make_run,
    make_task,
    make_validator,
)
from tests.labeling.rest import client_as, client_of

pytestmark = pytest.mark.django_db
TASKS = "/api/v1/projects/shop/tasks/"
ANNOTATIONS = "/api/v1/projects/shop/annotations/"


@pytest.fixture
def project() -> Project:
    return make_project()


def plan(run: Run, task: Task, *, hard: bool | None = None) -> None:
    ids = run.taxonomy.label_ids
    run.plan_rows.create(
        task=task, revision=task.revision, prediction=task.prediction or make_prediction(task)
    )
    Ranking.objects.create(
        run=run,
        task=task,
        revision=task.revision,
        hard=hard,
        candidates=[[ids[1], 0.7, 0.2], [ids[0], 0.3, 0.8]],
    )


@pytest.fixture
def worked(project: Project) -> Task:
    """A task with everything that machines and people may say of it."""
    task = make_task(
        project,
        "chat/1?x=2",
        "Where is my card?",
        status=TaskStatus.DEFERRED,
        metadata={"channel": "app"},
        hidden_metadata={"segment": "gold"},
    )
    run = make_run(project)
    plan(run, task, hard=True)
    validator = make_validator(project, "knn", kind="llm")
    Verdict.objects.create(
        run=run,
        task=task,
        revision=1,
        validator=validator,
        question="multiclass",
        probabilities={str(label_of(project, "b").pk): 0.6, "unk": 0.4},
        mass=1.0,
    )
    make_decision(task, run)
    make_annotation(task, make_member(project, Role.REGULAR, name="Ann"), label_of(project, "a"))
    return task


def test_pages_hold_every_task_once_in_order_of_arrival(project: Project) -> None:
    for number in range(5):
        make_task(project, f"t{number}")
    admin = client_as(project, Role.ADMIN)
    seen, url = [], f"{TASKS}?page_size=2"
    while url:
        page = admin.get(url).json()
        seen += [row["external_id"] for row in page["results"]]
        url = page["next"]
    assert seen == [f"t{number}" for number in range(5)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"easy", "hard", "done", "unplanned"}),
        ("status=resolved", {"done"}),
        ("hard=true", {"hard", "done"}),
        ("hard=false", {"easy"}),
        ("label=b", {"done"}),
        ("label=a", set()),
        ("run=RUN", {"easy", "hard", "done"}),
        ("run=RUN&hard=true&status=deferred", {"hard"}),
    ],
)
def test_filters_narrow_the_list(project: Project, query: str, expected: set[str]) -> None:
    run = make_run(project)
    tasks = {
        name: make_task(project, name, status=TaskStatus.DEFERRED)
        for name in ("easy", "hard", "done", "unplanned")
    }
    for name in ("easy", "hard", "done"):
        plan(run, tasks[name], hard=name != "easy")
    resolve(task=tasks["done"], source="imported", by="test", label=label_of(project, "b"))
    answer = client_as(project, Role.EXPERT).get(f"{TASKS}?{query.replace('RUN', str(run.pk))}")
    assert answer.status_code == 200, answer.json()
    assert {row["external_id"] for row in answer.json()["results"]} == expected


@pytest.mark.parametrize(
    "query", ["status=lost", "hard=perhaps", "run=first", "label=nosuch", "colour=red"]
)
def test_a_wrong_filter_is_refused(project: Project, query: str) -> None:
    answer = client_as(project, Role.ADMIN).get(f"{TASKS}?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"] == query.split("=")[0]


def test_a_run_number_beyond_the_database_is_no_error_of_ours(project: Project) -> None:
    admin = client_as(project, Role.ADMIN)
    assert admin.get(f"{TASKS}?run={10**30}").status_code == 400
    assert admin.get(f"/api/v1/projects/shop/runs/{10**30}/").status_code == 404


@pytest.mark.parametrize("position", ["p=abc", "p=-1", "o=9999999999999", "p=99999999999999999999"])
def test_a_made_up_cursor_is_no_error_of_ours(project: Project, position: str) -> None:
    cursor = b64encode(position.encode()).decode()
    answer = client_as(project, Role.ADMIN).get(TASKS, {"cursor": cursor})
    assert answer.status_code in (200, 404)


def test_the_number_of_queries_does_not_grow_with_the_page(
    project: Project, django_assert_max_num_queries: Any
) -> None:
    run = make_run(project)
    for number in range(6):
        task = make_task(project, f"t{number}")
        plan(run, task)
        resolve(task=task, source="imported", by="test", label=label_of(project, "b"))
    admin = client_as(project, Role.ADMIN)
    with django_assert_max_num_queries(11):
        assert len(admin.get(TASKS).json()["results"]) == 6


@pytest.mark.embedded
def test_experts_see_what_machines_and_people_said(project: Project, worked: Task) -> None:
    shown = client_as(project, Role.EXPERT).get(f"{TASKS}chat/1%3Fx=2/").json()
    assert set(shown) == set(TaskDetailSerializer().fields)
    assert shown["text"] == "Where is my card?"
    assert shown["hard"] is True
    assert shown["hidden_metadata"] == {"segment": "gold"}
    assert [c["label"]["key"] for c in shown["candidates"]] == ["b", "a"]
    assert shown["candidates"][0] | {"label": None} == {
        "label": None,
        "probability": 0.7,
        "before": 0.2,
    }
    assert shown["verdicts"][0]["probabilities"] == {"b": 0.6, "unk": 0.4}
    assert shown["decisions"][0]["reason"] == "no_policy"
    assert shown["answers"][0]["member"] == "Ann"
    assert shown["answers"][0]["label"] == {"key": "a", "name": "a"}
    assert shown["prediction"]["label"]["key"] == "a"
    assert shown["resolution"] is None


@pytest.mark.embedded
def test_regular_annotators_see_no_trace_of_machines_or_of_others(
    project: Project, worked: Task
) -> None:
    me = make_member(project, Role.REGULAR)
    make_annotation(worked, me, label_of(project, "c"), purpose="gold")
    client = client_of(me)
    shown = client.get(f"{TASKS}chat/1%3Fx=2/").json()
    assert set(shown) == set(AnnotatorTaskDetailSerializer().fields)
    assert [answer["label"]["key"] for answer in shown["own_answers"]] == ["c"]
    row = client.get(TASKS).json()["results"][0]
    assert set(row) == set(shown) - {"own_answers"}
    for text in (json.dumps(shown), json.dumps(row)):
        for hidden in ("gold", "segment", "knn", "0.7", "Ann", "hard", "priority", 'question": "b'):
            assert hidden not in text


@pytest.mark.parametrize("query", ["hard=true", "label=a", "run=1"])
def test_regular_annotators_do_not_filter_by_machine_output(project: Project, query: str) -> None:
    client = client_as(project, Role.REGULAR)
    assert client.get(f"{TASKS}?{query}").status_code == 403
    assert client.get(f"{TASKS}?status=deferred").status_code == 200


def test_an_unknown_task_is_404(project: Project) -> None:
    for external_id in ("nothing", "%00"):
        answer = client_as(project, Role.REGULAR).get(f"{TASKS}{external_id}/")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "not_found"


def test_tasks_of_another_project_stay_there(project: Project, worked: Task) -> None:
    other = make_project("other")
    client = client_as(other, Role.ADMIN)
    assert client.get("/api/v1/projects/other/tasks/chat/1%3Fx=2/").status_code == 404
    assert client.get("/api/v1/projects/other/tasks/").json()["results"] == []
    assert client.get(TASKS).status_code == 404


def answer_body(**more: Any) -> dict[str, Any]:
    return {"external_id": "chat/1?x=2", "client_id": str(uuid.uuid4()), "label": "b", **more}


@pytest.fixture
def regular(project: Project) -> APIClient:
    return client_as(project, Role.REGULAR)


@pytest.mark.embedded
def test_an_answer_sent_twice_counts_once(worked: Task, regular: APIClient) -> None:
    body = answer_body(seconds=4.5)
    first = regular.post(ANNOTATIONS, body)
    assert first.status_code == 201, first.json()
    again = regular.post(ANNOTATIONS, body)
    assert again.status_code == 200
    assert again.json()["repeated"] is True
    assert again.json()["answer"] == first.json()["answer"]
    assert Annotation.objects.filter(label__key="b").count() == 1


def test_an_answer_over_rest_says_what_was_visible(
    project: Project, worked: Task, regular: APIClient
) -> None:
    regular.post(ANNOTATIONS, answer_body())
    client_as(project, Role.EXPERT).post(ANNOTATIONS, answer_body())
    blind = [a.visible["blind"] for a in Annotation.objects.filter(label__key="b").order_by("pk")]
    assert blind == [True, False]


def test_two_equal_answers_resolve_the_task(worked: Task, regular: APIClient) -> None:
    answer = regular.post(ANNOTATIONS, answer_body(label="a"))
    assert answer.json()["status"] == "resolved"


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"external_id": "unknown"}, 404),
        ({"label": "nosuch"}, 400),
        ({"client_id": "1"}, 400),
        ({"answer": "unk"}, 422),
        ({"answer": "unk", "unk_reason": "none_fits"}, 201),
        ({"answer": "conf", "conf_labels": ["a", "b"]}, 422),
        ({"answer": "yes", "asked_label": "b"}, 201),
        ({"answer": "label", "asked_label": "b"}, 422),
        ({"revision": 2}, 409),
        ({"purpose": "audit"}, 400),
        ({"seconds": float(10**9)}, 400),
    ],
)
def test_answers_are_checked(
    worked: Task, regular: APIClient, more: dict[str, Any], status: int
) -> None:
    answer = regular.post(ANNOTATIONS, answer_body(**more))
    assert answer.status_code == status, answer.json()


def test_a_token_without_the_annotate_scope_does_not_answer(project: Project, worked: Task) -> None:
    member = make_member(project, Role.REGULAR)
    answer = client_of(member, ["read"]).post(ANNOTATIONS, answer_body())
    assert answer.status_code == 403
    assert "annotate" in answer.json()["error"]["message"]
