"""Celery jobs. Each is a few lines that call one function of the pipeline; rows are the truth."""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task

from labeling.actions.decide import decide as decide_rows
from labeling.actions.drift import profile_weeks as look_at_weeks
from labeling.actions.monitor import check_policies
from labeling.models import Policy, Project, PromptPreview, Stage
from llm_worker.pipeline.sweep import sweep as find_work
from llm_worker.pipeline.work import NO_WORKER, beat, work

RERANK_BATCH = 256
VALIDATE_BATCH = 64
DECIDE_BATCH = 256
REASON_BATCH = 32


@shared_task(bind=True, queue="rerank")
def rerank(self: Task[..., int]) -> int:
    from llm_worker.pipeline.rerank import rerank as handler

    return work(Stage.RERANK, handler, batch=RERANK_BATCH, worker=_name(self))


@shared_task(bind=True, queue="rerank")
def retrieve(self: Task[..., int]) -> int:
    from llm_worker.pipeline.documents import retrieve as handler

    return work(Stage.RETRIEVE, handler, batch=RERANK_BATCH, worker=_name(self))


@shared_task(bind=True, queue="llm")
def validate(self: Task[..., int]) -> int:
    from llm_worker.pipeline.validate import validate as handler

    return work(Stage.VALIDATE, handler, batch=VALIDATE_BATCH, worker=_name(self))


@shared_task(bind=True, queue="default")
def decide(self: Task[..., int]) -> int:
    return work(Stage.DECIDE, decide_rows, batch=DECIDE_BATCH, worker=_name(self))


@shared_task(bind=True, queue="rerank")
def assist(self: Task[..., int]) -> int:
    from llm_worker.pipeline.documents import retrieve as handler

    return work(Stage.ASSIST, handler, batch=RERANK_BATCH, worker=_name(self))


@shared_task(bind=True, queue="llm")
def reason(self: Task[..., int]) -> int:
    from llm_worker.pipeline.reason import reason as handler

    return work(Stage.REASON, handler, batch=REASON_BATCH, worker=_name(self))


@shared_task(queue="default")
def sweep() -> None:
    find_work()


@shared_task(queue="default")
def watch_policies() -> int:
    return len(check_policies())


@shared_task(queue="default")
def profile_weeks() -> int:
    return sum(look_at_weeks(project=project) for project in Project.objects.live())


@shared_task(bind=True, queue="default")
def beat_heartbeat(self: Task[..., None], queue: str = "default") -> None:
    """Sent to every queue by beat: whoever takes it is alive, and so is beat."""
    beat(_name(self), queue)


@shared_task(queue="rerank")
def classify_unscored(project_id: int) -> int:
    from llm_worker.pipeline.classify import classify_unscored as handler

    project = Project.objects.live().filter(pk=project_id).first()
    return handler(project) if project else 0


@shared_task(queue="rerank")
def index_documents(project_id: int) -> None:
    from llm_worker.pipeline.documents import build_index

    project = Project.objects.live().filter(pk=project_id).first()
    if project is not None:
        build_index(project)


@shared_task(queue="default")
def tally(policy_id: int) -> int:
    from labeling.actions.tally import tally_runs

    policy = Policy.objects.select_related("configuration").filter(pk=policy_id).first()
    return tally_runs(policy) if policy is not None else 0


@shared_task(queue="default")
def make_snapshot(snapshot_id: int) -> None:
    from labeling.actions.snapshots import make_snapshot as handler

    handler(snapshot_id)


@shared_task(queue="default")
def finish_erasures(project_id: int) -> int:
    from labeling.actions.erase import finish_erasures as handler

    return handler(project_id)


@shared_task(bind=True, queue="webhooks")
def tell_webhook(self: Task[..., int], webhook_id: int) -> int:
    from llm_worker.pipeline.webhooks import tell

    return tell(webhook_id, worker=_name(self))


@shared_task(bind=True, queue="default")
def import_upload(self: Task[..., None], upload_id: int) -> None:
    from labeling.actions.imports import work_on_import

    name = _name(self)
    work_on_import(upload_id, beat=lambda: beat(name, "default"))


@shared_task(queue="rerank")
def train_classifier(project_id: int, **options: Any) -> dict[str, Any]:
    from llm_worker.pipeline.training import train_embedded_classifier

    return train_embedded_classifier(Project.objects.get(pk=project_id), **options)


@shared_task(queue="rerank")
def train_document_reranker(project_id: int, **options: Any) -> dict[str, Any]:
    from llm_worker.pipeline.document_training import train_reranker_of_documents

    return train_reranker_of_documents(Project.objects.get(pk=project_id), **options)


@shared_task(queue="rerank")
def train_validators(project_id: int, **options: Any) -> dict[str, Any]:
    from llm_worker.pipeline.training import train_local_validators

    return train_local_validators(Project.objects.get(pk=project_id), **options)


@shared_task(queue="rerank")
def train_reranker(project_id: int, **options: Any) -> dict[str, Any]:
    from llm_worker.pipeline.reranker import train_reranker as handler

    return handler(Project.objects.get(pk=project_id), **options)


@shared_task(queue="llm")
def register_llm(project_id: int, **options: Any) -> dict[str, Any]:
    from llm_worker.pipeline.llm import register_llm as handler

    return handler(Project.objects.get(pk=project_id), **options)


@shared_task(queue="llm")
def enrich_labels(project_id: int, **options: Any) -> dict[str, Any]:
    from llm_worker.pipeline.enrich import enrich_labels as handler

    return handler(Project.objects.get(pk=project_id), **options)


@shared_task(queue="llm")
def work_on_registration(registration_id: int) -> None:
    from llm_worker.pipeline.registration import work_on

    work_on(registration_id)


@shared_task(queue="llm")
def preview_prompt(preview_id: int) -> None:
    from llm_worker.pipeline.preview import preview as handler

    waiting = PromptPreview.objects.filter(status=PromptPreview.Status.WAITING)
    found = waiting.select_related("task__project", "validator__project")
    for preview in found.filter(pk=preview_id):
        handler(preview)


@shared_task(queue="rerank")
def classify(project_id: int, items: list[dict[str, Any]]) -> Any:
    from llm_worker.pipeline.classify import classify_and_ingest

    return classify_and_ingest(Project.objects.get(pk=project_id), items)


def _name(job: Task[..., Any]) -> str:
    """The worker that runs the job; a command that runs it itself has no host name."""
    return str(job.request.hostname or NO_WORKER)
