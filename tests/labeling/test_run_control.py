"""A run is paused, goes on, or ends before its work is done; no task is lost on the way."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from labeling.actions import runs
from labeling.actions.decide import decide
from labeling.actions.errors import Conflict
from labeling.actions.run_control import cancel_run, pause_run, resume_run
from labeling.models import Decision, Event, PlanRow, Project, Run, Stage, Task
from tests.labeling.builders import (
    label_of,
    make_benchmark_item,
    make_configuration,
    make_decision,
    make_member,
    make_prediction,
    make_project,
    make_run,
    make_task,
)
from tests.labeling.rest import client_as
from tests.labeling.scenes import make_scene
from tests.labeling.test_pages import client_of

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]


@pytest.fixture
def project() -> Project:
    return make_project()


def planned(project: Project, n: int) -> Run:
    run = make_run(project, make_configuration(project, model_version="m1"))
    runs.add_to_plan(run, [make_prediction(make_task(project)) for _ in range(n)])
    return run


def claimed(n: int = 10) -> list[PlanRow]:
    return runs.claim(Stage.RERANK, limit=n, worker="test")


def test_nothing_of_a_paused_run_is_claimed_until_it_goes_on(project: Project) -> None:
    run, other = planned(project, 2), planned(project, 1)
    pause_run(run=run, by="test")
    assert [row.run for row in claimed()] == [other]
    assert claimed() == []
    resume_run(run=run, by="test")
    assert len(claimed()) == 2
    assert [event.verb for event in Event.objects.filter(object_type="run").order_by("pk")] == [
        "run_paused",
        "run_resumed",
    ]


def test_a_pause_between_the_look_and_the_claim_holds(project: Project) -> None:
    run = planned(project, 2)
    paused: list[str] = []

    def pause_first(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith("UPDATE") and "claimed_until" in sql and not paused:
            paused.append(sql)
            pause_run(run=run, by="test")
        return execute(sql, *rest)

    with connection.execute_wrapper(pause_first):
        assert claimed() == []
    assert paused
    assert not PlanRow.objects.exclude(claimed_by="").exists()


def test_what_a_worker_holds_it_finishes_and_the_next_stage_waits(project: Project) -> None:
    run = planned(project, 1)
    held = claimed()
    pause_run(run=run, by="test")
    assert runs.advance(held, Stage.VALIDATE) == 1
    assert runs.claim(Stage.VALIDATE, limit=5, worker="test") == []
    resume_run(run=run, by="test")
    assert len(runs.claim(Stage.VALIDATE, limit=5, worker="test")) == 1


def test_what_arrives_while_a_run_is_paused_goes_into_another(project: Project) -> None:
    run = planned(project, 1)
    pause_run(run=run, by="test")
    following = runs.open_run(configuration=run.configuration, taxonomy=run.taxonomy, by="test")
    assert following != run


def test_a_paused_run_whose_tasks_are_through_completes(project: Project) -> None:
    run = planned(project, 1)
    held = claimed()
    pause_run(run=run, by="test")
    runs.advance(held, Stage.DONE)
    assert runs.complete_runs() == 1
    run.refresh_from_db()
    assert (run.status, run.paused_at) == (Run.Status.COMPLETED, None)


def test_cancelling_leaves_to_people_what_is_not_decided(project: Project) -> None:
    run = planned(project, 4)
    decided, benchmark, revised, plain = Task.objects.order_by("pk")
    make_decision(decided, run, label_of(project, "a"))
    Task.objects.filter(pk=decided.pk).update(status="resolved")
    make_benchmark_item(benchmark)
    Task.objects.filter(pk=revised.pk).update(revision=2)

    assert cancel_run(run=run, by="test") == 2

    run.refresh_from_db()
    assert run.status == Run.Status.COMPLETED
    assert run.cancelled_at is not None
    assert not PlanRow.objects.unfinished().exists()
    statuses = list(Task.objects.order_by("pk").values_list("status", flat=True))
    assert statuses == ["resolved", "processing", "processing", "deferred"]
    left = Decision.objects.filter(reason="cancelled").order_by("pk")
    assert [decision.task for decision in left] == [benchmark, plain]
    event = Event.objects.get(verb="run_cancelled")
    assert event.new == {"left_to_people": 2}
    assert cancel_run(run=run, by="test") == 0
    assert Event.objects.filter(verb="run_cancelled").count() == 1


def test_a_worker_that_held_tasks_of_a_cancelled_run_changes_nothing_more() -> None:
    scene = make_scene()
    scene.policy("active", multiclass=0.5)
    task = scene.task({"a": 0.99}, {"a": 0.99})
    held = runs.claim(Stage.DECIDE, limit=5, worker="test")
    cancel_run(run=scene.run, by="test")
    decide(held)
    assert runs.advance(held, Stage.ASSIST) == 0
    task.refresh_from_db()
    assert task.status == "deferred"
    assert scene.live(task).reason == "cancelled"
    assert scene.run.plan_rows.get().stage == Stage.DONE


def test_a_run_that_has_ended_is_neither_paused_nor_cancelled(project: Project) -> None:
    run = planned(project, 1)
    runs.advance(claimed(), Stage.DONE)
    runs.close_run(run)
    for verb in (pause_run, resume_run, cancel_run):
        with pytest.raises(Conflict, match="ended already"):
            verb(run=run, by="test")


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel"])
def test_over_rest_admins_steer_a_run_and_nobody_else(project: Project, verb: str) -> None:
    run = planned(project, 1)
    path = f"/api/v1/projects/shop/runs/{run.pk}/{verb}/"
    assert client_as(project, "expert").post(path).status_code == 403
    admin = client_as(project, "admin")
    answer = admin.post(path)
    assert answer.status_code == 200, answer.json()
    said = answer.json()
    assert (said["paused_at"] is not None) == (verb == "pause")
    assert (said["cancelled_at"] is not None) == (verb == "cancel")
    assert admin.post(path.replace(str(run.pk), "999999")).status_code == 404


def test_the_page_says_what_cancelling_would_do_and_does_it(project: Project) -> None:
    run = planned(project, 3)
    admin = client_of(make_member(project, "admin"))
    path = f"/p/shop/runs/{run.pk}/"
    assert "Cancel the run…" in admin.get(path).content.decode()
    said = admin.get(f"{path}cancel/").content.decode()
    assert "3 tasks are not through" in said
    assert admin.post(f"{path}pause/").status_code == 302
    html = admin.get(path).content.decode()
    assert "Paused: 0 of 3 tasks are through" in html
    assert "paused" in admin.get("/p/shop/runs/").content.decode()
    html = admin.post(f"{path}cancel/", follow=True).content.decode()
    assert "People get the 3 tasks" in html
    assert "Cancelled." in html
    assert "Pause" not in html
    for role in ("regular", "expert"):
        other = client_of(make_member(project, role))
        assert "Cancel the run" not in other.get(path).content.decode()
        for verb in ("pause", "resume", "cancel"):
            assert other.post(f"{path}{verb}/").status_code == 403
