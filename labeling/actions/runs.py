"""Configurations, runs, their plan, and claims on it."""

from __future__ import annotations

import datetime
import hashlib
import json
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Case, Count, Exists, F, OuterRef, QuerySet, When
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling import rules
from labeling.actions.accounting import Usage, speed_of, total_money, usage_of_run
from labeling.actions.budget import budget_of
from labeling.actions.events import Actor, record
from labeling.actions.retrieval import retrieval_settings
from labeling.actions.taxonomy import current_taxonomy
from labeling.models import (
    Artifact,
    Configuration,
    ModelVersion,
    PlanRow,
    Prediction,
    Project,
    Run,
    Stage,
    StageTiming,
    TaxonomyVersion,
    Verdict,
)

RUN_TASKS = 10_000
RUN_AGE = datetime.timedelta(hours=1)


def configuration_for(model_version: ModelVersion) -> Configuration:
    """The configuration in force for predictions of `model_version`, found or made."""
    project = model_version.project
    content = _configuration_content(project, model_version)
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    configuration, _created = Configuration.objects.get_or_create(
        project=project, content_hash=digest, defaults={"content": content}
    )
    return configuration


def _configuration_content(project: Project, model_version: ModelVersion) -> dict[str, Any]:
    taxonomy = current_taxonomy(project)
    validators = list(
        project.validators.filter(active=True).select_related("artifact").order_by("name")
    )
    hard = model_version.hard_thresholds.filter(current=True).first()
    reads_documents = any(validator.uses_documents for validator in validators)
    content = {
        "question": project.question,
        "model_version": model_version.name,
        "score_kind": model_version.score_kind,
        "taxonomy": {"number": taxonomy.number, "content_hash": taxonomy.content_hash},
        "hard_threshold": {"k": hard.k, "threshold": hard.threshold} if hard else None,
        "reranker": _reranker(project, taxonomy, model_version),
        "encoder": settings.ENCODER,
        "validators": [
            {
                "id": validator.pk,
                "name": validator.name,
                "version": validator.version,
                "settings": validator.settings,
                "artifact": validator.artifact.digest if validator.artifact else None,
            }
            for validator in validators
        ],
        # The index shapes a verdict only where a validator reads documents.
        "document_index": _digest(project, Artifact.Kind.DOCUMENT_INDEX)
        if reads_documents
        else None,
    }
    if reads_documents:
        content["retrieval"] = retrieval_settings(project)
    return content


def _reranker(
    project: Project, taxonomy: TaxonomyVersion, model_version: ModelVersion
) -> str | None:
    """Digest of the reranker in use, if it was fitted for this model version and label set."""
    artifact = project.artifacts.filter(kind=Artifact.Kind.RERANKER, active=True).first()
    if artifact is None or artifact.info["label_ids"] != taxonomy.label_ids:
        return None
    return artifact.digest if model_version.name in artifact.info["model_versions"] else None


def _digest(project: Project, kind: str) -> str | None:
    return project.artifacts.filter(kind=kind, active=True).values_list("digest", flat=True).first()


@transaction.atomic
def open_run(*, configuration: Configuration, taxonomy: TaxonomyVersion, by: Actor) -> Run:
    """The open run of this configuration, or a new one where it is full or an hour old.

    Locks the configuration's row, so that two ingests at once do not both open a run.
    """
    Configuration.objects.select_for_update().get(pk=configuration.pk)
    # Locked, so that the sweep cannot close it, and find it finished, before tasks are added.
    run = (
        Run.objects.select_for_update(no_key=True)
        .filter(configuration=configuration, status=Run.Status.OPEN, kind=Run.Kind.VALIDATE)
        .first()
    )
    if run is not None:
        if run.planned < RUN_TASKS and run.created_at > timezone.now() - RUN_AGE:
            return run
        close_run(run)
    return _create_run(configuration, taxonomy, by)


def _create_run(configuration: Configuration, taxonomy: TaxonomyVersion, by: Actor) -> Run:
    notes = []
    if configuration.content["hard_threshold"] is None or not configuration.content["reranker"]:
        notes.append(
            _(
                "No reranker is fitted for this model version and label set, so no task is "
                "reranked: import benchmark answers and run train_reranker."
            )
        )
    if not configuration.content["validators"]:
        notes.append(_("No validator is active, so every task is left to people."))
    run = Run.objects.create(
        project=configuration.project,
        configuration=configuration,
        taxonomy=taxonomy,
        note=" ".join(notes),
    )
    record(run.project, by, "run_opened", run, new={"configuration": configuration.content_hash})
    return run


def add_to_plan(run: Run, predictions: Iterable[Prediction]) -> int:
    """Plan these predictions' tasks in `run`; tasks planned there already are left alone."""
    rows = [
        PlanRow(
            run=run,
            task_id=prediction.task_id,
            revision=prediction.revision,
            prediction=prediction,
        )
        for prediction in predictions
    ]
    before = run.plan_rows.count()
    PlanRow.objects.bulk_create(rows, batch_size=500, ignore_conflicts=True)
    added = run.plan_rows.count() - before
    Run.objects.filter(pk=run.pk).update(planned=F("planned") + added)
    run.refresh_from_db(fields=["planned"])
    return added


def close_run(run: Run) -> None:
    """No new tasks from now on. Harmless to repeat."""
    Run.objects.filter(pk=run.pk, status=Run.Status.OPEN).update(
        status=Run.Status.CLOSED, closed_at=timezone.now()
    )
    complete_runs(run.project)


def close_due_runs() -> None:
    """Close open runs that are an hour old."""
    for run in Run.objects.filter(status=Run.Status.OPEN, created_at__lt=timezone.now() - RUN_AGE):
        close_run(run)


def complete_runs(project: Project | None = None) -> int:
    """Mark closed runs without unfinished rows as completed; returns how many.

    The terminal status commits alone, and only one process finds the row still closed.
    """
    unfinished = PlanRow.objects.unfinished().filter(run=OuterRef("pk"))
    ready = Run.objects.filter(~Exists(unfinished), status=Run.Status.CLOSED)
    if project is not None:
        ready = ready.filter(project=project)
    completed = 0
    for run in ready:
        with transaction.atomic():
            changed = Run.objects.filter(pk=run.pk, status=Run.Status.CLOSED).update(
                status=Run.Status.COMPLETED, completed_at=timezone.now(), paused_at=None
            )
            if changed:
                completed += 1
                record(run.project, "pipeline", "run_completed", run, new=stage_counts(run))
    return completed


def claim(stage: str, *, limit: int, worker: str) -> list[PlanRow]:
    """Claim up to `limit` due rows of one run at `stage` for `worker`, oldest first.

    The claim is a conditional UPDATE: a row that somebody else took meanwhile no longer meets the
    condition, so it holds on SQLite and PostgreSQL alike. Row locks only save wasted tries.
    A claim that ran out counts as a try: whoever held it died or failed without a word.
    """
    now = timezone.now()
    token = f"{worker[:40]}/{uuid.uuid4().hex}"
    with transaction.atomic():
        due = PlanRow.objects.filter(stage=stage).due(now).order_by("due_at", "id")
        first = due.values_list("run_id", flat=True).first()
        if first is None:
            return []
        candidates = due.filter(run_id=first)
        if connection.features.has_select_for_update_skip_locked:
            candidates = candidates.select_for_update(skip_locked=True)
        ids = list(candidates.values_list("pk", flat=True)[:limit])
        until = now + datetime.timedelta(seconds=settings.CLAIM_SECONDS)
        PlanRow.objects.filter(pk__in=ids, stage=stage).due(now).update(
            attempts=Case(When(claimed_by="", then=F("attempts")), default=F("attempts") + 1),
            claimed_by=token,
            claimed_until=until,
        )
    return list(
        PlanRow.objects.filter(claimed_by=token)
        .select_related("task", "run__configuration", "run__taxonomy", "run__project", "prediction")
        .order_by("id")
    )


def advance(rows: Sequence[PlanRow], stage: str, *, failure: str = "") -> int:
    """Release `rows` to `stage`; rows whose claim was lost meanwhile stay with the new holder.

    `failure` says why machines gave up on them, where they did.
    """
    return _still_mine(rows).update(
        stage=stage,
        due_at=timezone.now(),
        attempts=0,
        claimed_by="",
        claimed_until=None,
        failure=failure[:1000],
    )


def retry_later(rows: Sequence[PlanRow], sentence: str) -> list[PlanRow]:
    """Release `rows` for another try after a pause; returns those out of tries, still claimed."""
    spent = []
    for row in rows:
        if row.attempts + 1 >= rules.MAX_ATTEMPTS:
            spent.append(row)
            continue
        delay = rules.retry_delay_seconds(row.attempts + 1)
        _still_mine([row]).update(
            attempts=F("attempts") + 1,
            due_at=timezone.now() + datetime.timedelta(seconds=delay),
            claimed_by="",
            claimed_until=None,
            failure=sentence[:1000],
        )
    return spent


def _still_mine(rows: Sequence[PlanRow]) -> QuerySet[PlanRow]:
    tokens = {row.claimed_by for row in rows}
    return PlanRow.objects.filter(pk__in=[row.pk for row in rows], claimed_by__in=tokens)


def add_timing(run_id: int, stage: str, *, tasks: int, seconds: float) -> None:
    """Add work to the run's tally of `stage`."""
    StageTiming.objects.get_or_create(run_id=run_id, stage=stage)
    StageTiming.objects.filter(run_id=run_id, stage=stage).update(
        tasks=F("tasks") + tasks, seconds=F("seconds") + seconds
    )


def stage_counts(run: Run) -> dict[str, int]:
    """How many tasks of the run stand at each stage; stages without tasks are left out."""
    rows = run.plan_rows.values("stage").annotate(n=Count("pk")).values_list("stage", "n")
    return dict(sorted(rows))


def progress(run: Run) -> dict[str, Any]:
    """Progress of a run for people and programs: stages, verdicts, decisions, failures, seconds."""
    stages = stage_counts(run)
    verdicts = Verdict.objects.filter(run=run).values("validator__name")
    return {
        "planned": run.planned,
        "unfinished": sum(n for stage, n in stages.items() if stage != Stage.DONE),
        "stages": stages,
        "verdicts": {
            row["validator__name"]: row["n"]
            for row in verdicts.filter(failure="").annotate(n=Count("pk"))
        },
        "decisions": [
            {"outcome": row["outcome"], "reason": row["reason"], "mode": row["mode"], "n": row["n"]}
            for row in run.decisions.values("outcome", "reason", "mode").annotate(n=Count("pk"))
        ],
        "failures": [
            {"message": row["failure"], "n": row["n"]}
            for row in run.plan_rows.exclude(failure="").values("failure").annotate(n=Count("pk"))
        ]
        + [
            {"message": f"{row['validator__name']}: {row['failure']}", "n": row["n"]}
            for row in verdicts.exclude(failure="")
            .values("validator__name", "failure")
            .annotate(n=Count("pk"))
        ],
        "seconds": {timing.stage: round(timing.seconds, 3) for timing in run.timings.all()},
        **_accounts(run),
    }


def _accounts(run: Run) -> dict[str, Any]:
    """Speed over the last minutes, what each validator took, and the budget."""
    speed = speed_of(run)
    verdicts, reasons = usage_of_run(run)
    budget = budget_of(run)
    return {
        "tasks_per_second": speed.overall,
        "usage": [
            {
                "verdicts": usage.answers,
                "latency_ms": usage.latency_ms,
                "tasks_per_second": speed.by_validator.get(usage.validator.name, 0.0),
                **_took(usage),
            }
            for usage in verdicts
        ],
        "reasons": [{"reasons": usage.answers, **_took(usage)} for usage in reasons],
        "cost": total_money([*verdicts, *reasons]),
        "currency": run.project.currency,
        "budget": {
            "tokens": budget.tokens,
            "spent_tokens": budget.spent_tokens,
            "money": budget.money,
            "spent_money": budget.spent_money,
            "stopped_at": run.budget_stopped_at,
        },
    }


def _took(usage: Usage) -> dict[str, Any]:
    return {
        "validator": usage.validator.name,
        "failures": usage.failures,
        "calls": usage.calls,
        "tokens": usage.tokens,
        "cached_tokens": usage.cached_tokens,
        "written_tokens": usage.written,
        "cost": usage.money,
    }
