"""Pausing a run, going on with it, and ending it before its work is done."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling import dispatch
from labeling.actions.errors import Conflict
from labeling.actions.events import Actor, record
from labeling.actions.runs import complete_runs
from labeling.models import (
    Decision,
    DeferReason,
    Outcome,
    PlanRow,
    Run,
    Stage,
    Task,
    TaskStatus,
)

BATCH = 500


@transaction.atomic
def pause_run(*, run: Run, by: Actor) -> None:
    """Let no worker begin with another task of `run`; what workers hold they finish.

    The run takes no new tasks from now on: what arrives meanwhile goes into another one. Pausing
    a paused run changes nothing.
    """
    run = _locked(run)
    if run.paused_at is not None:
        return
    _refuse_ended(run)
    now = timezone.now()
    Run.objects.filter(pk=run.pk).update(
        status=Run.Status.CLOSED, closed_at=run.closed_at or now, paused_at=now
    )
    record(run.project, by, "run_paused", run, new={"unfinished": _unfinished(run)})


@transaction.atomic
def resume_run(*, run: Run, by: Actor) -> None:
    """Let workers go on with a paused run. Harmless where it is not paused."""
    run = _locked(run)
    if run.paused_at is None:
        _refuse_ended(run)
        return
    Run.objects.filter(pk=run.pk).update(paused_at=None)
    record(run.project, by, "run_resumed", run, new={"unfinished": _unfinished(run)})
    stages = PlanRow.objects.unfinished().filter(run=run).order_by()
    for stage in stages.values_list("stage", flat=True).distinct():
        dispatch.nudge(stage)


def cancel_run(*, run: Run, by: Actor) -> int:
    """End `run` now: what it has not decided goes to people with that reason. Returns how many.

    A worker that holds some of its tasks at this moment decides nothing more about them: its claim
    is gone, and a task is decided once in a run. Cancelling a cancelled run changes nothing.
    """
    with transaction.atomic():
        run = _locked(run)
        if run.cancelled_at is not None:
            return 0
        _refuse_ended(run)
        now = timezone.now()
        Run.objects.filter(pk=run.pk).update(
            status=Run.Status.CLOSED,
            closed_at=run.closed_at or now,
            paused_at=None,
            cancelled_at=now,
        )
        left = sum(_leave_to_people(run, part) for part in _unfinished_tasks(run))
        PlanRow.objects.unfinished().filter(run=run).update(
            stage=Stage.DONE, claimed_by="", claimed_until=None
        )
        record(run.project, by, "run_cancelled", run, new={"left_to_people": left})
    complete_runs(run.project)
    return left


def _locked(run: Run) -> Run:
    """The run as it stands. No ingest adds tasks to it until the transaction ends."""
    found = Run.objects.select_for_update(no_key=True, of=("self",))
    return found.select_related("project", "configuration").get(pk=run.pk)


def _refuse_ended(run: Run) -> None:
    if run.status == Run.Status.COMPLETED:
        raise Conflict(_("Run %(n)d has ended already.") % {"n": run.pk})


def _unfinished(run: Run) -> int:
    return PlanRow.objects.unfinished().filter(run=run).count()


def _unfinished_tasks(run: Run) -> Iterator[list[int]]:
    """The tasks that the run has not decided, in id order, some at a time; those whose text was
    replaced meanwhile belong to another run."""
    rows = PlanRow.objects.unfinished().filter(run=run, revision=F("task__revision"))
    last = 0
    while ids := list(
        rows.filter(task__gt=last).order_by("task").values_list("task", flat=True)[:BATCH]
    ):
        last = ids[-1]
        yield ids


def _leave_to_people(run: Run, ids: list[int]) -> int:
    """Decide so for those of the tasks that the run has not decided; returns how many."""
    # Locked before the decisions are read, as deciding does: of two the second sees the first's.
    tasks = list(Task.objects.select_for_update(of=("self",)).filter(pk__in=ids).order_by("pk"))
    decided = set(
        Decision.objects.filter(run=run, task__in=ids, mode=Decision.Mode.LIVE).values_list(
            "task_id", "revision"
        )
    )
    open_tasks = [task for task in tasks if (task.pk, task.revision) not in decided]
    Decision.objects.bulk_create(
        Decision(
            run=run,
            task=task,
            revision=task.revision,
            question=run.configuration.content["question"],
            outcome=Outcome.DEFER,
            reason=DeferReason.CANCELLED,
        )
        for task in open_tasks
    )
    Task.objects.filter(
        pk__in=[task.pk for task in open_tasks], status=TaskStatus.PROCESSING
    ).outside_benchmark().update(status=TaskStatus.DEFERRED, priority=1.0)
    return len(open_tasks)
