"""Runs that bring standing tasks up to date: under a new configuration, or a new policy."""

from __future__ import annotations

from collections import defaultdict

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling import dispatch
from labeling.actions.errors import ActionRefused
from labeling.actions.events import Actor, record
from labeling.actions.runs import RUN_TASKS, add_to_plan, close_run, configuration_for, open_run
from labeling.actions.taxonomy import current_taxonomy
from labeling.models import (
    Decision,
    PlanRow,
    Policy,
    Prediction,
    Project,
    Run,
    Stage,
    Task,
    TaskStatus,
    Validator,
    Verdict,
)

UNDECIDED = (TaskStatus.PROCESSING, TaskStatus.DEFERRED)


def plan_stale(*, project: Project, by: Actor) -> int:
    """Plan, under the configuration now in force, the undecided tasks and benchmark tasks that no
    run of it has seen, and those that a budget left out. Returns how many."""
    taxonomy = current_taxonomy(project)
    planned = 0
    for version in project.model_versions.all():
        configuration = configuration_for(version)
        seen = PlanRow.objects.filter(
            run__configuration=configuration,
            task=OuterRef("pk"),
            revision=OuterRef("revision"),
        )
        stale = (
            Task.objects.filter(
                project=project,
                prediction__model_version=version,
                prediction__revision=F("revision"),
            )
            .filter(Q(status__in=UNDECIDED) | Q(benchmark_item__isnull=False))
            .filter(~Exists(seen))
            .order_by("pk")
        )
        while ids := list(stale.values_list("prediction_id", flat=True)[:RUN_TASKS]):
            with transaction.atomic():
                run = open_run(configuration=configuration, taxonomy=taxonomy, by=by)
                if run.plan_rows.filter(task__prediction__in=ids).exists():
                    # A run takes a task once, and there it stands with its old text.
                    close_run(run)
                    run = open_run(configuration=configuration, taxonomy=taxonomy, by=by)
                predictions = Prediction.objects.filter(pk__in=ids[: RUN_TASKS - run.planned])
                planned += add_to_plan(run, predictions)
                dispatch.nudge(Stage.RERANK)
        for run in configuration.runs.filter(budget_stopped_at__isnull=False).order_by("pk"):
            if n := left_out_by_budget(run).count():
                continue_run(run=run, by=by)
                planned += n
    return planned


def left_out_by_budget(run: Run) -> QuerySet[PlanRow]:
    """Rows of `run` whose task lacks an LLM's verdict since the budget was used up, that nothing
    has settled, and that no later run has taken on."""
    rows = PlanRow.objects.filter(run=run, stage=Stage.DONE, revision=F("task__revision"))
    if run.budget_stopped_at is None:
        return rows.none()
    ids = [entry["id"] for entry in run.configuration.content["validators"]]
    said = Verdict.objects.filter(run=run, task=OuterRef("task"), validator__in=ids)
    llms = Validator.objects.filter(pk__in=ids, kind=Validator.Kind.LLM).values_list(
        "pk", flat=True
    )
    lacks = Q()
    for llm in llms:
        lacks |= Q(~Exists(said.filter(validator=llm)))
    later = PlanRow.objects.filter(
        run__configuration=run.configuration_id, run__gt=run.pk, task=OuterRef("task")
    )
    wanted = Q(task__status__in=UNDECIDED) | Q(task__benchmark_item__isnull=False)
    return rows.filter(lacks, wanted, ~Exists(later)) if lacks else rows.none()


@transaction.atomic
def continue_run(*, run: Run, by: Actor) -> Run:
    """Plan what the budget of `run` left out in a new run of the same configuration, which has a
    budget of its own. Refuses where nothing was left out."""
    predictions = Prediction.objects.filter(
        pk__in=left_out_by_budget(run).values("prediction")
    ).order_by("pk")
    if not predictions.exists():
        raise ActionRefused(
            _("The budget of run %(n)d has left nothing out that still waits.") % {"n": run.pk}
        )
    found = list(predictions)
    # A run takes a task once, so the next one has to be another.
    close_run(run)
    following = open_run(configuration=run.configuration, taxonomy=run.taxonomy, by=by)
    planned = add_to_plan(following, found)
    record(run.project, by, "run_continued", run, new={"run": following.pk, "tasks": planned})
    dispatch.nudge(Stage.RERANK)
    return following


@transaction.atomic
def decide_again(*, policy: Policy, by: Actor) -> int:
    """Let `policy` decide the tasks that are left to people, from the verdicts that stand.

    One run of kind `decide` for each run whose verdicts are used; a task that several runs have
    seen is decided from the newest. Returns how many tasks were planned.
    """
    decided = Decision.objects.filter(
        run=OuterRef("run"), task=OuterRef("task"), mode=Decision.Mode.LIVE
    )
    rows = (
        PlanRow.objects.filter(
            run__configuration=policy.configuration,
            run__kind=Run.Kind.VALIDATE,
            task__status=TaskStatus.DEFERRED,
            task__benchmark_item__isnull=True,
        )
        .filter(Exists(decided))
        .select_related("run", "task")
        .only("run", "task__revision", "revision", "prediction", "task_id", "run_id")
        .order_by("-run_id", "pk")
    )
    taken: set[int] = set()
    by_run: dict[int, list[PlanRow]] = defaultdict(list)
    for row in rows:
        if row.task_id not in taken and row.revision == row.task.revision:
            taken.add(row.task_id)
            by_run[row.run_id].append(row)
    for group in by_run.values():
        _decide_run(policy, group, by)
    if by_run:
        dispatch.nudge(Stage.DECIDE)
    return len(taken)


def _decide_run(policy: Policy, rows: list[PlanRow], by: Actor) -> None:
    source = rows[0].run
    run = Run.objects.create(
        project_id=policy.project_id,
        kind=Run.Kind.DECIDE,
        configuration_id=policy.configuration_id,
        taxonomy_id=source.taxonomy_id,
        source_run=source,
        status=Run.Status.CLOSED,
        closed_at=timezone.now(),
        planned=len(rows),
        note=_("%(policy)s decides again from the verdicts of run %(run)d.")
        % {"policy": policy, "run": source.pk},
    )
    PlanRow.objects.bulk_create(
        (
            PlanRow(
                run=run,
                task_id=row.task_id,
                revision=row.revision,
                prediction_id=row.prediction_id,
                stage=Stage.DECIDE,
            )
            for row in rows
        ),
        batch_size=500,
    )
    record(policy.project, by, "run_opened", run, new={"source_run": source.pk, "tasks": len(rows)})
