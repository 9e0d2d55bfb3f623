"""Alive, ready, and what a scraper reads."""

from __future__ import annotations

import datetime
import re
import socket
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from django.test import Client
from django.utils import timezone

from labeling.models import Heartbeat, TaskStatus, Verdict
from tests.labeling.builders import make_project, make_run, make_task, make_validator
from tests.support import clear_cache

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_counted_yet() -> None:
    clear_cache()


def beat(seconds_ago: float, worker: str = "w1") -> None:
    at = timezone.now() - datetime.timedelta(seconds=seconds_ago)
    for queue in settings.CELERY_TASK_QUEUES:
        Heartbeat.objects.create(worker=worker, queue=queue, beaten_at=at)


def test_alive_needs_no_sign_in_and_no_database(client: Client) -> None:
    assert client.get("/healthz").content == b"alive\n"


@pytest.mark.embedded
def test_ready_when_database_broker_and_a_worker_answer(client: Client) -> None:
    beat(5)
    answer = client.get("/readyz")
    assert answer.status_code == 200, answer.json()
    assert answer.json() == {
        "ready": True,
        "checks": {"database": "ok", "broker": "ok", "workers": "ok"},
    }


def test_not_ready_while_no_worker_has_reported(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "No worker of the queue" in answer.json()["checks"]["workers"]
    assert answer.json()["checks"]["database"] == "ok"


def test_a_worker_that_fell_silent_is_named_by_its_age(client: Client) -> None:
    beat(300)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert re.search(r"30\d seconds ago", answer.json()["checks"]["workers"])


def test_one_living_worker_of_each_queue_is_enough(client: Client) -> None:
    beat(300)
    beat(1, "w2")
    assert client.get("/readyz").status_code == 200


def test_a_queue_without_a_living_worker_is_named(client: Client) -> None:
    beat(1)
    Heartbeat.objects.filter(queue="llm").delete()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "“llm”" in answer.json()["checks"]["workers"]
    assert "rerank" not in answer.json()["checks"]["workers"]


def test_a_broker_that_is_away_is_said_without_its_address(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat(1)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{closed.getsockname()[1]}/0"
        connect = current_app.connection_for_write

        def elsewhere(*args: Any, **options: Any) -> Any:
            return connect(url, transport="redis", **options)

        monkeypatch.setattr(current_app, "connection_for_write", elsewhere)
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "broker does not answer" in answer.json()["checks"]["broker"]
    assert "127.0.0.1" not in answer.content.decode()


def test_metrics_count_tasks_plan_rows_failures_and_the_heartbeat(client: Client) -> None:
    project = make_project("secret-project")
    run = make_run(project)
    task = make_task(project, text="a private text", status=TaskStatus.DEFERRED)
    Verdict.objects.create(
        run=run,
        task=task,
        revision=1,
        validator=make_validator(project),
        question="multiclass",
        failure="The server is away.",
    )
    beat(7)
    answer = client.get("/metrics")
    body = answer.content.decode()
    assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'countersign_tasks{status="deferred"} 1\n' in body
    assert 'countersign_tasks{status="resolved"} 0\n' in body
    assert 'countersign_plan_rows{stage="rerank"} 0\n' in body
    assert "countersign_verdict_failures 1\n" in body
    age = re.search(r'^countersign_heartbeat_age_seconds{queue="llm"} ([0-9.]+)$', body, re.M)
    assert age is not None
    assert 7 <= float(age[1]) < 60
    for private in ("secret-project", "private text", "server is away"):
        assert private not in body
    for line in body.splitlines():
        assert re.fullmatch(
            r'# (HELP|TYPE) \S+ .+|[a-z_]+(\{[a-z]+="[a-z_]+"\})? -?[0-9.e+]+', line
        )


def test_metrics_count_large_tables_only_every_fifteen_seconds(
    client: Client, django_assert_num_queries: Any
) -> None:
    client.get("/metrics")
    with django_assert_num_queries(1):  # the heartbeat alone
        client.get("/metrics")
