"""Configurations, runs, and claims: nothing planned twice, claimed twice or forgotten."""

from __future__ import annotations

import datetime
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from labeling import rules
from labeling.actions import runs
from labeling.actions.taxonomy import current_taxonomy, parse_labels, set_labels
from labeling.models import (
    Configuration,
    Event,
    HardThreshold,
    ModelVersion,
    PlanRow,
    Project,
    Run,
    Stage,
)
from tests.labeling.builders import (
    make_artifact,
    make_configuration,
    make_model_version,
    make_prediction,
    make_project,
    make_run,
    make_task,
    make_validator,
)

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]


@pytest.fixture
def project() -> Project:
    return make_project()


def planned(project: Project, n: int, run: Run | None = None) -> Run:
    """A run with `n` tasks at its first stage."""
    run = run or make_run(project)
    predictions = [make_prediction(make_task(project)) for _ in range(n)]
    assert runs.add_to_plan(run, predictions) == n
    return run


def at_once(n: int, work: Callable[[int], None]) -> None:
    """Run `work` in `n` threads that start together, each with a connection of its own."""
    start = threading.Barrier(n)
    failed: list[BaseException] = []

    def one(number: int) -> None:
        try:
            start.wait()
            work(number)
        except BaseException as error:
            failed.append(error)
            raise
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def age(**fields: Any) -> datetime.datetime:
    return timezone.now() - datetime.timedelta(**fields)


# --- Configurations -----------------------------------------------------------------------------


def test_a_configuration_is_found_by_its_content(project: Project) -> None:
    version = make_model_version(project)
    first = runs.configuration_for(version)
    assert runs.configuration_for(version) == first
    assert first.content["model_version"] == "m1"
    assert first.content["validators"] == []
    assert first.content["hard_threshold"] is None


def _new_validator(project: Project, version: ModelVersion) -> None:
    make_validator(project)


def _new_version_of_a_validator(project: Project, version: ModelVersion) -> None:
    project.validators.update(active=False)
    make_validator(project, name="standing", version=2)


def _new_labels(project: Project, version: ModelVersion) -> None:
    set_labels(project=project, specs=parse_labels(["a", "b", "new"]), by="test")


def _new_threshold(project: Project, version: ModelVersion) -> None:
    HardThreshold.objects.create(
        model_version=version, k=3, threshold=0.5, rows=10, misclassified=2
    )


def _new_reranker(project: Project, version: ModelVersion) -> None:
    fitted = {"label_ids": current_taxonomy(project).label_ids, "model_versions": [version.name]}
    make_artifact(project, "reranker", active=True, info=fitted)


def _new_question(project: Project, version: ModelVersion) -> None:
    project.question = "binary"
    project.save()


@pytest.mark.parametrize(
    "change",
    [
        _new_validator,
        _new_version_of_a_validator,
        _new_labels,
        _new_threshold,
        _new_reranker,
        _new_question,
    ],
)
def test_whatever_shapes_a_verdict_makes_another_configuration(
    project: Project, change: Callable[[Project, ModelVersion], None]
) -> None:
    version = make_model_version(project)
    make_validator(project, name="standing")
    before = runs.configuration_for(version)
    change(project, version)
    version.refresh_from_db()
    assert runs.configuration_for(version) != before


def test_an_index_shapes_verdicts_only_where_a_validator_reads_documents(project: Project) -> None:
    version = make_model_version(project)
    before = runs.configuration_for(version)
    index = make_artifact(project, "document_index", active=True)
    assert runs.configuration_for(version) == before
    make_validator(project, uses_documents=True)
    assert runs.configuration_for(version).content["document_index"] == index.digest


# --- Open runs ----------------------------------------------------------------------------------


def opened(project: Project, configuration: Configuration) -> Run:
    return runs.open_run(configuration=configuration, taxonomy=current_taxonomy(project), by="test")


def test_the_open_run_of_a_configuration_takes_more(project: Project) -> None:
    configuration, other = make_configuration(project), make_configuration(project)
    run = opened(project, configuration)
    assert opened(project, configuration) == run
    assert opened(project, other) != run


def test_a_full_run_is_closed_and_the_next_opened(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "RUN_TASKS", 3)
    configuration = make_configuration(project)
    run = planned(project, 3, opened(project, configuration))
    following = opened(project, configuration)
    assert following != run
    run.refresh_from_db()
    assert run.status == Run.Status.CLOSED
    assert run.closed_at is not None
    assert following.status == Run.Status.OPEN


def test_an_hour_old_run_is_closed_and_the_next_opened(project: Project) -> None:
    configuration = make_configuration(project)
    run = planned(project, 1, opened(project, configuration))
    Run.objects.filter(pk=run.pk).update(created_at=age(minutes=59))
    assert opened(project, configuration) == run
    Run.objects.filter(pk=run.pk).update(created_at=age(minutes=61))
    assert opened(project, configuration) != run


def test_the_sweep_closes_what_is_an_hour_old(project: Project) -> None:
    old, young = make_run(project), make_run(project)
    Run.objects.filter(pk=old.pk).update(created_at=age(minutes=61))
    runs.close_due_runs()
    old.refresh_from_db()
    young.refresh_from_db()
    assert old.status == Run.Status.COMPLETED  # nothing was planned in it
    assert young.status == Run.Status.OPEN


def test_a_run_says_what_it_lacks(project: Project) -> None:
    run = opened(project, make_configuration(project))
    assert "no task is reranked" in run.note
    assert "every task is left to people" in run.note
    able = make_configuration(
        project,
        hard_threshold={"k": 3, "threshold": 1.0},
        reranker="digest",
        validators=[{"id": 1}],
    )
    assert opened(project, able).note == ""


def test_tasks_that_are_planned_already_are_left_alone(project: Project) -> None:
    run = make_run(project)
    predictions = [make_prediction(make_task(project)) for _ in range(3)]
    assert runs.add_to_plan(run, predictions[:2]) == 2
    PlanRow.objects.filter(run=run).update(stage=Stage.DECIDE)
    assert runs.add_to_plan(run, predictions) == 1
    assert run.planned == 3
    assert runs.stage_counts(run) == {"decide": 2, "rerank": 1}


@pytest.mark.django_db(transaction=True)
def test_ingests_at_once_open_one_run() -> None:
    project = make_project()
    configuration = make_configuration(project)
    found: list[int] = []
    at_once(6, lambda _: found.append(opened(project, configuration).pk))
    assert len(set(found)) == 1
    assert Run.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_run_that_is_being_filled_is_not_completed_under_the_hand() -> None:
    """The sweep may close a run only before or after an ingest has added its tasks."""
    from django.db import transaction

    project = make_project()
    configuration = make_configuration(project)
    run = opened(project, configuration)
    prediction = make_prediction(make_task(project))
    got_run, closing = threading.Event(), threading.Event()

    def work(number: int) -> None:
        if number == 0:
            with transaction.atomic():
                mine = opened(project, configuration)
                got_run.set()
                closing.wait(5)
                threading.Event().wait(0.3)  # the other is about to wait for this transaction
                runs.add_to_plan(mine, [prediction])
        else:
            got_run.wait(5)
            closing.set()
            runs.close_run(Run.objects.get(pk=run.pk))

    at_once(2, work)
    run.refresh_from_db()
    assert run.planned == 1
    assert run.status == Run.Status.CLOSED
    assert run.completed_at is None


# --- Completion ---------------------------------------------------------------------------------


def test_a_run_completes_once_it_is_closed_and_everything_is_done(project: Project) -> None:
    run = planned(project, 2)
    runs.close_run(run)
    assert runs.complete_runs() == 0
    rows = runs.claim(Stage.RERANK, limit=2, worker="w")
    runs.advance(rows[:1], Stage.DONE)
    assert runs.complete_runs() == 0
    runs.advance(rows[1:], Stage.DONE)
    assert runs.complete_runs(make_project("other")) == 0
    assert runs.complete_runs(project) == 1
    assert runs.complete_runs() == 0
    run.refresh_from_db()
    assert run.completed_at is not None
    events = Event.objects.filter(verb="run_completed")
    assert [event.new for event in events] == [{"done": 2}]


def test_an_open_run_is_not_completed(project: Project) -> None:
    run = planned(project, 1)
    runs.advance(runs.claim(Stage.RERANK, limit=1, worker="w"), Stage.DONE)
    assert runs.complete_runs() == 0
    runs.close_run(run)
    run.refresh_from_db()
    assert run.status == Run.Status.COMPLETED


@pytest.mark.django_db(transaction=True)
def test_workers_that_finish_together_complete_a_run_once() -> None:
    project = make_project()
    run = planned(project, 1)
    PlanRow.objects.update(stage=Stage.DONE)
    Run.objects.update(status=Run.Status.CLOSED)
    completed: list[int] = []
    at_once(6, lambda _: completed.append(runs.complete_runs()))
    assert sum(completed) == 1
    assert Event.objects.filter(verb="run_completed", object_id=run.pk).count() == 1


# --- Claims -------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_workers_that_claim_together_never_share_a_row() -> None:
    project = make_project()
    planned(project, 40)
    planned(project, 20)
    claimed: Counter[int] = Counter()
    lock = threading.Lock()

    def work(number: int) -> None:
        empty = 0
        while empty < 3:  # rows that another is claiming this instant look like none
            rows = runs.claim(Stage.RERANK, limit=4, worker=f"worker {number}")
            assert len({row.run_id for row in rows}) <= 1
            with lock:
                claimed.update(row.pk for row in rows)
            empty = 0 if rows else empty + 1

    at_once(6, work)
    assert max(claimed.values()) == 1
    assert len(claimed) == 60
    assert PlanRow.objects.filter(claimed_by="").count() == 0


def test_a_claim_takes_the_oldest_due_rows_of_one_run(project: Project) -> None:
    first, second = planned(project, 2), planned(project, 2)
    PlanRow.objects.filter(run=second).update(due_at=age(minutes=5))
    assert {row.run for row in runs.claim(Stage.RERANK, limit=9, worker="w")} == {second}
    assert {row.run for row in runs.claim(Stage.RERANK, limit=9, worker="w")} == {first}
    assert runs.claim(Stage.RERANK, limit=9, worker="w") == []


def test_a_claim_takes_only_its_stage_and_only_what_is_due(project: Project) -> None:
    planned(project, 2)
    assert runs.claim(Stage.VALIDATE, limit=9, worker="w") == []
    PlanRow.objects.update(due_at=timezone.now() + datetime.timedelta(seconds=30))
    assert runs.claim(Stage.RERANK, limit=9, worker="w") == []


def test_done_rows_are_claimed_by_nobody(project: Project) -> None:
    planned(project, 1)
    runs.advance(runs.claim(Stage.RERANK, limit=1, worker="w"), Stage.DONE)
    for stage in Stage.working():
        assert runs.claim(stage, limit=1, worker="w") == []
    assert PlanRow.objects.get().claimed_by == ""


def test_an_expired_claim_is_taken_over_and_counts_as_a_try(project: Project) -> None:
    planned(project, 1)
    lost = runs.claim(Stage.RERANK, limit=1, worker="dead")
    assert lost[0].attempts == 0
    assert runs.claim(Stage.RERANK, limit=1, worker="alive") == []
    PlanRow.objects.update(claimed_until=age(seconds=1))
    taken = runs.claim(Stage.RERANK, limit=1, worker="alive")
    assert [row.pk for row in taken] == [lost[0].pk]
    assert taken[0].attempts == 1
    assert taken[0].claimed_by.startswith("alive/")


def test_who_lost_the_claim_changes_nothing(project: Project) -> None:
    planned(project, 1)
    lost = runs.claim(Stage.RERANK, limit=1, worker="slow")
    PlanRow.objects.update(claimed_until=age(seconds=1))
    taken = runs.claim(Stage.RERANK, limit=1, worker="quick")
    assert runs.advance(lost, Stage.VALIDATE) == 0
    assert runs.retry_later(lost, "too slow") == []
    row = PlanRow.objects.get()
    assert (row.stage, row.claimed_by, row.failure) == ("rerank", taken[0].claimed_by, "")
    assert runs.advance(taken, Stage.VALIDATE) == 1
    assert runs.advance(lost, Stage.DONE) == 0
    assert runs.advance(taken, Stage.DONE) == 0  # released: it holds the claim no longer
    assert PlanRow.objects.get().stage == Stage.VALIDATE


def test_a_late_worker_whose_claim_nobody_took_still_holds_it(project: Project) -> None:
    planned(project, 1)
    rows = runs.claim(Stage.RERANK, limit=1, worker="slow")
    PlanRow.objects.update(claimed_until=age(seconds=1))
    assert runs.advance(rows, Stage.VALIDATE) == 1


def test_a_row_moves_on_as_new(project: Project) -> None:
    planned(project, 1)
    rows = runs.claim(Stage.RERANK, limit=1, worker="w")
    PlanRow.objects.update(attempts=3, failure="the encoder was away")
    runs.advance(rows, Stage.VALIDATE)
    row = PlanRow.objects.get()
    assert (row.stage, row.attempts, row.failure) == ("validate", 0, "")
    assert (row.claimed_by, row.claimed_until) == ("", None)


def test_tries_are_spaced_out_and_the_last_is_handed_back(project: Project) -> None:
    planned(project, 1)
    for attempts in range(1, rules.MAX_ATTEMPTS):
        rows = runs.claim(Stage.RERANK, limit=1, worker="w")
        before = timezone.now()
        assert runs.retry_later(rows, "the server is away") == []
        row = PlanRow.objects.get()
        assert row.attempts == attempts
        assert row.failure == "the server is away"
        assert row.claimed_by == ""
        pause = (row.due_at - before).total_seconds()
        assert pause >= rules.retry_delay_seconds(attempts)
        assert pause <= rules.retry_delay_seconds(attempts) + 5
        assert runs.claim(Stage.RERANK, limit=1, worker="w") == []
        PlanRow.objects.update(due_at=timezone.now())
    rows = runs.claim(Stage.RERANK, limit=1, worker="w")
    assert runs.retry_later(rows, "the server is away") == rows
    assert PlanRow.objects.get().claimed_by == rows[0].claimed_by


# --- What people see ----------------------------------------------------------------------------


def test_progress_tells_stages_failures_and_seconds(project: Project) -> None:
    run = planned(project, 3)
    rows = runs.claim(Stage.RERANK, limit=1, worker="w")
    runs.retry_later(rows, "the encoder is away")
    rows = runs.claim(Stage.RERANK, limit=1, worker="w")
    runs.advance(rows, Stage.DONE, failure="given up")
    runs.add_timing(run.pk, Stage.RERANK, tasks=2, seconds=0.25)
    runs.add_timing(run.pk, Stage.RERANK, tasks=1, seconds=0.5)
    found = runs.progress(run)
    assert found["planned"] == 3
    assert found["unfinished"] == 2
    assert found["stages"] == {"done": 1, "rerank": 2}
    assert {(one["message"], one["n"]) for one in found["failures"]} == {
        ("the encoder is away", 1),
        ("given up", 1),
    }
    assert found["seconds"] == {"rerank": 0.75}
    assert run.timings.get().tasks == 3
