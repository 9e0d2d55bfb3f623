"""The loop that every stage shares: claim due rows, handle them, send them on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from django.db import OperationalError
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling import dispatch, rules
from labeling.actions import runs
from labeling.actions.decide import defer_as_failed
from labeling.models import Artifact, Heartbeat, PlanRow, Stage, Validator
from llm_worker.errors import ValidatorError
from llm_worker.pipeline.cores import UnknownValidator
from rerank_engine.errors import RerankEngineError

logger = logging.getLogger(__name__)

NO_WORKER = "this process"
"""The name of a command that works on plan rows itself; it takes from no queue."""

Handler = Callable[[Sequence[PlanRow]], Mapping[int, bool] | None]
"""Does the work of a stage for claimed rows of one run. The decide stage returns, by task id,
whether the task was left to people."""


class SomeTasksFailed(Exception):
    """A handler did its work but for some tasks, on which trying again may help.

    `sentences` says by task id what is wrong; the other tasks go on.
    """

    def __init__(self, sentences: Mapping[int, str]) -> None:
        super().__init__(next(iter(sentences.values())))
        self.sentences = sentences


# What may pass by itself: a database that is away, an artifact that is being put in place.
# Anything else is a bug: it is logged with its traceback, and the claim runs out.
NAMED_ERRORS = (OperationalError, ValidatorError, RerankEngineError, UnknownValidator)


def work(stage: str, handler: Handler, *, batch: int, worker: str) -> int:
    """Handle due rows of `stage` until none is left; returns how many tasks were handled."""
    handled = 0
    while claimed := runs.claim(stage, limit=batch, worker=worker):
        started = time.monotonic()
        rows, deferred = _handle(stage, handler, _without_spent(claimed))
        if rows:
            _send_on(rows, stage, deferred)
            seconds = time.monotonic() - started
            runs.add_timing(rows[0].run_id, stage, tasks=len(rows), seconds=seconds)
        handled += len(rows)
        if worker != NO_WORKER:
            beat(worker, dispatch.queue_of(stage))
    runs.complete_runs()
    return handled


def _handle(
    stage: str, handler: Handler, rows: list[PlanRow]
) -> tuple[list[PlanRow], Mapping[int, bool]]:
    """The rows whose work is done, and what the handler returned; the others try again later."""
    if not rows:
        return [], {}
    try:
        return rows, handler(rows) or {}
    except SomeTasksFailed as error:
        logger.warning("Stage %s of run %s: %s", stage, rows[0].run_id, error)
        for row in rows:
            if row.task_id in error.sentences:
                _try_again([row], error.sentences[row.task_id])
        return [row for row in rows if row.task_id not in error.sentences], {}
    except NAMED_ERRORS as error:
        logger.warning("Stage %s of run %s: %s", stage, rows[0].run_id, error)
        _try_again(rows, f"{type(error).__name__}: {error}")
        return [], {}


def _send_on(rows: Sequence[PlanRow], stage: str, deferred: Mapping[int, bool]) -> None:
    project = rows[0].run.project
    has_documents = project.artifacts.filter(
        kind=Artifact.Kind.DOCUMENT_INDEX, active=True
    ).exists()
    content = rows[0].run.configuration.content
    reads = content["document_index"] is not None
    asks_llms = Validator.objects.filter(
        pk__in=[entry["id"] for entry in content["validators"]], kind=Validator.Kind.LLM
    ).exists()
    onward: dict[str, list[PlanRow]] = {}
    for row in rows:
        following = rules.next_stage(
            stage,
            uses_documents=reads,
            deferred=deferred.get(row.task_id, False),
            has_documents=has_documents,
            asks_llms=asks_llms,
        )
        onward.setdefault(following, []).append(row)
    for following, group in onward.items():
        runs.advance(group, following)
        if following != Stage.DONE:
            dispatch.nudge(following)


def _try_again(rows: Sequence[PlanRow], sentence: str) -> None:
    """Another try after a pause; tasks out of tries go to people with the reason."""
    _give_up(runs.retry_later(rows, sentence), sentence)


def _without_spent(rows: Sequence[PlanRow]) -> list[PlanRow]:
    """The rows that may be tried; people get those on which worker after worker died, so that a
    text that brings a worker down cannot do it for ever."""
    spent = [row for row in rows if row.attempts >= rules.MAX_ATTEMPTS]
    sentence = _("The work on this task was cut short %(n)d times.") % {"n": rules.MAX_ATTEMPTS}
    _give_up(spent, sentence)
    return [row for row in rows if row.attempts < rules.MAX_ATTEMPTS]


def _give_up(rows: Sequence[PlanRow], sentence: str) -> None:
    if rows:
        defer_as_failed(rows, sentence)
        runs.advance(rows, Stage.DONE, failure=sentence)


def beat(worker: str, queue: str) -> None:
    """Note that `worker` is alive and takes from `queue`."""
    Heartbeat.objects.update_or_create(
        worker=worker, queue=queue, defaults={"beaten_at": timezone.now()}
    )
