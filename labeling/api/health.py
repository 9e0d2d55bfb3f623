"""Is the site alive, is it ready, how much waits: for machines that watch it. No texts, no names
of projects, nothing about how the services are reached."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from celery import current_app
from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.models import Count, Max
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError

from labeling.models import Heartbeat, PlanRow, Run, Stage, Task, TaskStatus, Verdict

logger = logging.getLogger(__name__)

ALIVE_SECONDS = 60
BROKER_TIMEOUT_SECONDS = 2
# A scrape every few seconds by several scrapers counts a large table only this often.
COUNTED_EVERY_SECONDS = 15
TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


def healthz(request: HttpRequest) -> HttpResponse:
    """The web process answers."""
    return HttpResponse("alive\n", content_type="text/plain; charset=utf-8")


def readyz(request: HttpRequest) -> JsonResponse:
    """200 if predictions that come in now will be worked on, else 503; says what is missing."""
    checks = {"database": _database, "broker": _broker, "workers": _workers}
    found = {name: check() for name, check in checks.items()}
    ready = not any(found.values())
    body = {"ready": ready, "checks": {name: why or "ok" for name, why in found.items()}}
    return JsonResponse(body, status=200 if ready else 503)


def _database() -> str:
    """Why the database does not answer; empty if it does."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except DatabaseError as error:
        logger.warning("The database does not answer: %s", error)
        return _("The database does not answer.")
    return ""


def _broker() -> str:
    options = dict(current_app.conf.broker_transport_options)
    if str(current_app.conf.broker_url).startswith("redis"):
        options |= {
            "socket_connect_timeout": BROKER_TIMEOUT_SECONDS,
            "socket_timeout": BROKER_TIMEOUT_SECONDS,
        }
    try:
        with current_app.connection_for_write(
            connect_timeout=BROKER_TIMEOUT_SECONDS, transport_options=options
        ) as broker:
            broker.ensure_connection(
                max_retries=1, interval_start=0, timeout=BROKER_TIMEOUT_SECONDS
            )
    except (OperationalError, OSError) as error:
        logger.warning("The broker does not answer: %s", error)
        return _("The broker does not answer; work that comes in waits in the database.")
    return ""


def _workers() -> str:
    """Why work on some queue would wait: no worker of it ever reported, or none lately."""
    try:
        ages = heartbeat_ages()
    except DatabaseError:
        return _("Unknown while the database does not answer.")
    problems = []
    for queue in settings.CELERY_TASK_QUEUES:
        if queue not in ages:
            problems.append(
                _("No worker of the queue “%(queue)s” has ever reported.") % {"queue": queue}
            )
        elif ages[queue] > ALIVE_SECONDS:
            words = _("The last worker of the queue “%(queue)s” reported %(n)d seconds ago.")
            problems.append(words % {"queue": queue, "n": ages[queue]})
    return " ".join([*problems, _("Start one, or see its log.")]) if problems else ""


def heartbeat_ages() -> dict[str, float]:
    """Seconds since a worker last reported, by queue; without queues of which none ever did."""
    now = timezone.now()
    latest = Heartbeat.objects.order_by().values_list("queue").annotate(at=Max("beaten_at"))
    return {queue: max((now - at).total_seconds(), 0.0) for queue, at in latest}


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text. Large tables are counted at most every fifteen seconds."""
    lines = [line for gauge in (_tasks, _plan, _failures, _heartbeat) for line in gauge()]
    return HttpResponse("\n".join(lines) + "\n", content_type=TEXT_FORMAT)


def _gauge(name: str, words: str, values: dict[str, float], label: str = "") -> Iterator[str]:
    yield f"# HELP countersign_{name} {words}"
    yield f"# TYPE countersign_{name} gauge"
    for key, value in values.items():
        yield (
            f'countersign_{name}{{{label}="{key}"}} {value:g}'
            if label
            else (f"countersign_{name} {value:g}")
        )


def _counted(key: str, count: Callable[[], dict[str, float]]) -> dict[str, float]:
    found: dict[str, float] = cache.get_or_set(f"metrics:{key}", count, COUNTED_EVERY_SECONDS) or {}
    return found


def _tasks() -> Iterator[str]:
    def count() -> dict[str, float]:
        rows = Task.objects.order_by().values_list("status").annotate(n=Count("pk"))
        return dict.fromkeys(map(str, TaskStatus.values), 0.0) | dict(rows)

    yield from _gauge("tasks", "Tasks by status.", _counted("tasks", count), "status")


def _plan() -> Iterator[str]:
    def count() -> dict[str, float]:
        unfinished = PlanRow.objects.unfinished().order_by()
        rows = unfinished.values_list("stage").annotate(n=Count("pk"))
        stages = [str(stage) for stage in Stage.values if stage != Stage.DONE]
        return dict.fromkeys(stages, 0.0) | dict(rows)

    yield from _gauge(
        "plan_rows", "Tasks of runs by the stage they wait at.", _counted("plan", count), "stage"
    )


def _failures() -> Iterator[str]:
    def count() -> dict[str, float]:
        unfinished = Verdict.objects.exclude(run__status=Run.Status.COMPLETED)
        return {"": float(unfinished.exclude(failure="").count())}

    words = "Verdicts of unfinished runs for which a validator failed."
    yield from _gauge("verdict_failures", words, _counted("failures", count))


def _heartbeat() -> Iterator[str]:
    words = "Seconds since a worker last reported, by queue; -1 if none ever did."
    ages = dict.fromkeys(settings.CELERY_TASK_QUEUES, -1.0) | heartbeat_ages()
    yield from _gauge("heartbeat_age_seconds", words, ages, "queue")
