"""A worker that is killed in the middle of a run: nothing is lost and nothing is done twice."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from labeling import dispatch
from labeling.actions import runs
from labeling.actions.ingest import ingest_predictions
from labeling.models import Decision, PlanRow, Project, Ranking, Run, Stage, Task, Verdict
from tests.pipeline import world
from tests.processes import Fleet

TASKS = 400


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    yield fleet
    fleet.end()


def shop_with_predictions(trained: world.Trained) -> Project:
    """Four hundred predictions in one closed run, not due before the workers stand ready."""
    project = world.make_shop()
    version = world.put_in_use(project, trained)
    texts = [text for _description, some in world.LABELS.values() for text in some]
    items = [
        {
            "external_id": f"t{n}",
            "text": f"{texts[n % len(texts)]} (order {n})",
            "logits": [4.0 if n % 8 == place else (n + place) % 3 for place in range(8)],
        }
        for n in range(TASKS)
    ]
    ingest_predictions(project=project, model_version=version.name, items=items, by="test")
    runs.close_run(Run.objects.get())
    PlanRow.objects.update(due_at=timezone.now() + datetime.timedelta(hours=1))
    return project


def done() -> int:
    return PlanRow.objects.filter(stage=Stage.DONE).count()


@pytest.mark.slow
@pytest.mark.embedded
@pytest.mark.django_db(transaction=True)
def test_a_run_outlives_the_worker_that_is_killed_in_the_middle(
    trained: world.Trained, fleet: Fleet
) -> None:
    project = shop_with_predictions(trained)
    queues = list(settings.CELERY_TASK_QUEUES)
    # Two processes, so that some tasks are decided while others are still asked about.
    doomed = [fleet.worker("doomed", "rerank", "llm"), fleet.worker("decider", "default")]
    fleet.wait_until_ready()
    PlanRow.objects.update(due_at=timezone.now())
    dispatch.nudge(Stage.RERANK)
    being_asked = PlanRow.objects.filter(stage=Stage.VALIDATE).exclude(claimed_by="")
    fleet.wait(lambda: done() > 0 and being_asked.exists(), "first decisions")
    for worker in doomed:
        fleet.kill(worker)
    assert 0 < done() < TASKS
    assert being_asked.exists()  # claims of a worker that is no more
    assert Run.objects.get().completed_at is None

    fleet.worker("rescuer", *queues)
    fleet.beat()
    fleet.wait(lambda: Run.objects.filter(status="completed").exists(), "the run's end")

    tasks = Task.objects.filter(project=project, external_id__startswith="t").exclude(
        external_id__startswith="train-"
    )
    assert tasks.count() == TASKS
    assert done() == TASKS
    decided = Counter(Decision.objects.filter(mode="live").values_list("task_id", flat=True))
    assert set(decided) == set(tasks.values_list("pk", flat=True))
    assert set(decided.values()) == {1}
    validators = set(project.validators.filter(active=True).values_list("pk", flat=True))
    given = Counter(Verdict.objects.values_list("task_id", "validator_id"))
    assert set(given) == {(task, one) for task in decided for one in validators}
    assert set(given.values()) == {1}
    assert not Verdict.objects.exclude(failure="").exists()
    assert Ranking.objects.count() == TASKS
    assert set(tasks.values_list("status", flat=True)) == {"deferred"}
    assert not PlanRow.objects.exclude(claimed_by="", failure="").exists()
