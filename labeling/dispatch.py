"""The only place that names Celery jobs.

Truth lives in rows; a message only says "there may be work".
"""

from __future__ import annotations

import logging
from typing import Any

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from labeling.models import Stage

logger = logging.getLogger(__name__)

STAGE_JOBS = {
    Stage.RERANK: ("llm_worker.tasks.rerank", "rerank"),
    Stage.RETRIEVE: ("llm_worker.tasks.retrieve", "rerank"),
    Stage.VALIDATE: ("llm_worker.tasks.validate", "llm"),
    Stage.DECIDE: ("llm_worker.tasks.decide", "default"),
    Stage.ASSIST: ("llm_worker.tasks.assist", "rerank"),
    Stage.REASON: ("llm_worker.tasks.reason", "llm"),
}


def nudge(stage: str) -> None:
    """Tell the workers of `stage` that there may be work, once the transaction has committed."""
    _send_on_commit(*STAGE_JOBS[Stage(stage)])


def job_of(stage: str) -> str:
    """The job that works on `stage`, as `run_here` takes it."""
    return STAGE_JOBS[Stage(stage)][0].rsplit(".", 1)[1]


def queue_of(stage: str) -> str:
    """The queue on which the job of `stage` waits."""
    return STAGE_JOBS[Stage(stage)][1]


def classify(project_id: int) -> None:
    """Have the embedded classifier predict for the project's tasks that came without scores."""
    _send_on_commit("llm_worker.tasks.classify_unscored", "rerank", project_id=project_id)


def index_documents(project_id: int) -> None:
    """Have the project's document index rebuilt; nothing is done if it is up to date."""
    _send_on_commit("llm_worker.tasks.index_documents", "rerank", project_id=project_id)


def tally(policy_id: int) -> None:
    """Have the policy's completed runs counted, as far as they are not."""
    _send_on_commit("llm_worker.tasks.tally", "default", policy_id=policy_id)


def import_upload(upload_id: int) -> None:
    """Have a file that came in imported; nothing is done if another worker is at it."""
    _send_on_commit("llm_worker.tasks.import_upload", "default", upload_id=upload_id)


def register_validator(registration_id: int) -> None:
    """Have the server that a registration names probed."""
    _send_on_commit("llm_worker.tasks.work_on_registration", "llm", registration_id=registration_id)


def preview_prompt(preview_id: int) -> None:
    """Have the prompt that somebody wants to look at put together."""
    _send_on_commit("llm_worker.tasks.preview_prompt", "llm", preview_id=preview_id)


def make_snapshot(snapshot_id: int) -> None:
    """Have the file of a snapshot written."""
    _send_on_commit("llm_worker.tasks.make_snapshot", "default", snapshot_id=snapshot_id)


def finish_erasures(project_id: int) -> None:
    """Have erased texts taken out of the project's snapshots."""
    _send_on_commit("llm_worker.tasks.finish_erasures", "default", project_id=project_id)


def tell_webhook(webhook_id: int) -> None:
    """Have a webhook sent what it was not told yet."""
    _send_on_commit("llm_worker.tasks.tell_webhook", "webhooks", webhook_id=webhook_id)


def watch_policies() -> None:
    """Have the audits looked at: does any policy's promise hold no longer?"""
    _send_on_commit("llm_worker.tasks.watch_policies", "default")


def _send_on_commit(name: str, queue: str, **arguments: Any) -> None:
    """A broker that cannot be reached delays the work until the next sweep and loses none."""

    def send() -> None:
        try:
            current_app.send_task(name, queue=queue, kwargs=arguments, retry=False)
        except (OperationalError, OSError) as error:
            logger.warning("The broker did not take %s (the sweep will): %s", name, error)

    transaction.on_commit(send)


def run_here(job: str, /, **arguments: Any) -> Any:
    """Run the job `llm_worker.tasks.<job>` in this very process and return what it returns.

    For commands that train or classify: they need the cores, which the web process never loads.
    """
    current_app.loader.import_default_modules()
    return current_app.tasks[f"llm_worker.tasks.{job}"](**arguments)
