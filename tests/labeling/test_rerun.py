"""Runs that bring standing tasks up to date under the configuration in force."""

from __future__ import annotations

import pytest

from labeling.actions import rerun, runs
from labeling.actions.errors import ActionRefused
from labeling.actions.rerun import plan_stale
from labeling.models import PlanRow, Project, Run, Stage, Task
from tests.labeling.builders import (
    make_benchmark_item,
    make_model_version,
    make_prediction,
    make_project,
    make_task,
    make_validator,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


def predicted(project: Project, status: str = "processing", version: str = "m1") -> Task:
    task = make_task(project, status=status)
    make_prediction(task, model_version=make_model_version(project, version))
    return task


def stale(project: Project) -> int:
    return plan_stale(project=project, by="test")


def test_what_no_run_has_seen_is_planned_once(project: Project) -> None:
    tasks = [predicted(project), predicted(project, "deferred")]
    assert stale(project) == 2
    assert stale(project) == 0
    assert {row.task for row in PlanRow.objects.all()} == set(tasks)
    run = Run.objects.get()
    assert (run.kind, run.status, run.planned) == ("validate", "open", 2)


def test_a_new_configuration_makes_every_open_task_stale(project: Project) -> None:
    task = predicted(project, "deferred")
    stale(project)
    PlanRow.objects.update(stage=Stage.DONE)
    make_validator(project)
    assert stale(project) == 1
    assert [row.run.configuration_id for row in task.plan_rows.all()] == list(
        Run.objects.order_by("pk").values_list("configuration_id", flat=True)
    )
    assert Run.objects.count() == 2


def test_what_people_have_settled_is_left_alone_but_the_benchmark_is_not(project: Project) -> None:
    predicted(project, "resolved")
    predicted(project, "disputed")
    benchmark = predicted(project, "resolved")
    make_benchmark_item(benchmark)
    assert stale(project) == 1
    assert PlanRow.objects.get().task == benchmark


def test_tasks_without_scores_wait_for_them(project: Project) -> None:
    make_task(project)
    make_model_version(project)
    assert stale(project) == 0


def test_each_task_is_planned_for_its_current_model_version(project: Project) -> None:
    old = predicted(project, version="m1")
    newer = predicted(project, version="m1")
    make_prediction(newer, model_version=make_model_version(project, "m2"))
    assert stale(project) == 2
    versions = {
        row.task: row.run.configuration.content["model_version"] for row in PlanRow.objects.all()
    }
    assert versions == {old: "m1", newer: "m2"}


def test_a_new_text_is_planned_in_another_run_than_the_old(project: Project) -> None:
    """A run takes a task once; waiting for room in the same run would never end."""
    task, other = predicted(project), predicted(project)
    stale(project)
    Task.objects.filter(pk=task.pk).update(revision=2, text="a new text")
    task.refresh_from_db()
    make_prediction(task)
    assert stale(project) == 1
    assert stale(project) == 0
    old, new = task.plan_rows.order_by("run_id")
    assert (old.revision, new.revision) == (1, 2)
    assert old.run != new.run
    assert other.plan_rows.get().run == old.run


def test_a_new_text_that_has_only_the_scores_of_the_old_one_waits(project: Project) -> None:
    task = predicted(project)
    Task.objects.filter(pk=task.pk).update(revision=2)
    assert stale(project) == 0


def test_more_than_a_run_holds_goes_into_several(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "RUN_TASKS", 4)
    monkeypatch.setattr(rerun, "RUN_TASKS", 4)
    for _ in range(3):
        predicted(project)
    stale(project)
    for _ in range(7):
        predicted(project)
    assert stale(project) == 7
    assert sorted(Run.objects.values_list("planned", flat=True)) == [2, 4, 4]
    assert PlanRow.objects.count() == 10


def test_a_project_without_labels_is_told_so(project: Project) -> None:
    project.taxonomies.all().delete()
    with pytest.raises(ActionRefused, match="no labels yet"):
        stale(project)
