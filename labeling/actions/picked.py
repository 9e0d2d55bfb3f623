"""Accepted labels that somebody picked for an audit.

Nobody drew them at random, so what experts find in them says nothing of the rest: they are rows of
their own, and no estimate counts them (DESIGN 8.4). They come to experts through the same queue as
drawn audits, blind like these.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from labeling.actions.answers import agrees
from labeling.actions.events import event_fields
from labeling.actions.lease import see_machines_of
from labeling.actions.many import Done, in_batches
from labeling.models import (
    Annotation,
    AuditDraw,
    AuditPick,
    Event,
    Member,
    PoolDraw,
    Project,
    Resolution,
    Source,
    Task,
    TaskStatus,
)


def send_to_audit(*, tasks: Sequence[int], by: Member, knows: bool = False) -> Done:
    """Let an expert look, blind, at what machines accepted of these tasks. `knows`: they were
    chosen by what the machine said, so `by` gives no blind answer to them.

    Left as they are: tasks on which no machine's label stands, and those that an expert has looked
    at. What is drawn for audit anyway is picked like the rest, so that nobody learns of the draw;
    it is answered in its turn as a draw, and counts as such.
    """
    standing = Resolution.objects.current().filter(
        task=OuterRef("pk"),
        revision=OuterRef("revision"),
        source=Source.AUTO,
        decision__isnull=False,
    )
    present = {"task": OuterRef("pk"), "revision": OuterRef("revision")}
    looked = [
        Exists(model._default_manager.filter(**present, answered_at__isnull=False))
        for model in (AuditDraw, PoolDraw, AuditPick)
    ]
    eligible = Q(Exists(standing), *(~one for one in looked), status=TaskStatus.RESOLVED)
    return in_batches(tasks, by, eligible, partial(_pick, knows=knows))


def _pick(tasks: list[Task], by: Member, *, knows: bool) -> None:
    if knows:
        see_machines_of(member=by, tasks=tasks)
    standing = Resolution.objects.current().filter(task__in=tasks, decision__audit_pick=None)
    picked = AuditPick.objects.bulk_create(
        AuditPick(  # type: ignore[misc]  # what a policy accepted has a decision and a label
            task_id=one.task_id,
            revision=one.revision,
            decision_id=one.decision_id,
            label_id=one.label_id,
            picked_by=by,
        )
        for one in standing
    )
    Event.objects.bulk_create(
        Event(**event_fields(by.project, by, "sent_to_audit", pick, new={"task": pick.task_id}))
        for pick in picked
    )


def picks_of(task: Task) -> QuerySet[AuditPick]:
    """Those of the task's present text."""
    return AuditPick.objects.filter(task=task, revision=task.revision)


def take_pick_answer(annotation: Annotation) -> None:
    """An expert answered blind: it counts for the pick that waits for it, or that the expert's
    answer before has served. The task is locked by the caller."""
    wanted = Q(answered_at__isnull=True) | Q(annotation__member=annotation.member)
    for pick in picks_of(annotation.task).filter(wanted):
        pick.annotation = annotation
        pick.wrong = not agrees(annotation, pick.label_id)
        pick.answered_at = timezone.now()
        pick.save(update_fields=["annotation", "wrong", "answered_at"])


def take_back_pick_answer(annotation: Annotation) -> None:
    """The expert's answer counts no more; what it had answered waits again."""
    served = picks_of(annotation.task).filter(annotation__member=annotation.member)
    served.update(annotation=None, wrong=None, answered_at=None)


def picked_counts(project: Project) -> dict[str, int]:
    """How many were picked in the project, wait for an expert, and were found wrong."""
    picks = AuditPick.objects.filter(task__project=project)
    return {
        "picked": picks.count(),
        "waiting": picks.filter(answered_at__isnull=True, revision=F("task__revision")).count(),
        "answered": picks.filter(answered_at__isnull=False).count(),
        "wrong": picks.filter(wrong=True).count(),
    }
