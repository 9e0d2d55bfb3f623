"""The label that stands for a task: set, replaced, withdrawn; and with it those of its copies."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling import rules
from labeling.actions.duplicates import settle_copies, withdraw_copies
from labeling.actions.errors import Conflict
from labeling.actions.events import Actor, record
from labeling.models import Decision, Label, Member, Resolution, Task, TaskStatus


@transaction.atomic
def resolve(
    *,
    task: Task,
    source: str,
    by: Actor,
    label: Label | int | None = None,
    outcome: str = Resolution.Outcome.LABEL,
    conf_labels: Iterable[Label] = (),
    unk_reason: str = "",
    decision: Decision | None = None,
) -> Resolution:
    """Make this the task's current resolution.

    Raises Conflict if a stronger one stands (a machine never replaces a person's).
    """
    Task.objects.select_for_update().get(pk=task.pk)
    standing = Resolution.objects.filter(task=task, current=True).first()
    if not rules.may_replace(source, standing.source if standing else None):
        raise Conflict(_("A stronger resolution stands for this task."))
    if standing is not None:
        _withdraw(standing, reason=f"replaced by {source}", by=by)
    resolution = Resolution.objects.create(
        task=task,
        revision=task.revision,
        outcome=outcome,
        label_id=label.pk if isinstance(label, Label) else label,
        unk_reason=unk_reason,
        source=source,
        decision=decision,
        member=by if isinstance(by, Member) else None,
    )
    if outcome == Resolution.Outcome.CONF:
        resolution.conf_labels.set(conf_labels)
    set_status(task, TaskStatus.RESOLVED)
    record(
        task.project,
        by,
        "task_resolved",
        task,
        old=_summary(standing),
        new=_summary(resolution),
    )
    settle_copies(resolution, by=by)
    return resolution


@transaction.atomic
def withdraw(*, task: Task, reason: str, by: Actor, status: str = TaskStatus.DEFERRED) -> None:
    """Take back the current resolution, if any, and send the task to `status`."""
    Task.objects.select_for_update().get(pk=task.pk)
    standing = Resolution.objects.filter(task=task, current=True).first()
    if standing is not None:
        _withdraw(standing, reason=reason, by=by)
        record(
            task.project,
            by,
            "resolution_withdrawn",
            task,
            old=_summary(standing),
            new={"reason": reason, "status": str(status)},
        )
    set_status(task, status)


@transaction.atomic
def reinstate(*, resolution: Resolution, by: Actor) -> bool:
    """Let a withdrawn resolution stand again. Nothing happens, and False is returned, where
    something else stands by now or the text was replaced."""
    task = Task.objects.select_for_update().select_related("project").get(pk=resolution.task_id)
    standing = Resolution.objects.filter(task=task, current=True)
    if task.revision != resolution.revision or standing.exists():
        return False
    resolution.current, resolution.withdrawn_at, resolution.withdrawn_reason = True, None, ""
    resolution.save(update_fields=["current", "withdrawn_at", "withdrawn_reason"])
    set_status(task, TaskStatus.RESOLVED)
    record(task.project, by, "resolution_reinstated", task, new=_summary(resolution))
    settle_copies(resolution, by=by)
    return True


def _withdraw(resolution: Resolution, *, reason: str, by: Actor) -> None:
    resolution.current = False
    resolution.withdrawn_at = timezone.now()
    resolution.withdrawn_reason = reason[:200]
    resolution.save(update_fields=["current", "withdrawn_at", "withdrawn_reason"])
    withdraw_copies(resolution, by=by)


def set_status(task: Task, status: str) -> None:
    if task.status != status:
        task.status = status
        task.save(update_fields=["status"])


def _summary(resolution: Resolution | None) -> dict[str, object] | None:
    if resolution is None:
        return None
    return {
        "outcome": resolution.outcome,
        "label": resolution.label_id,
        "source": resolution.source,
        "decision": resolution.decision_id,
        **_several(resolution),
    }


def _several(resolution: Resolution) -> dict[str, object]:
    if resolution.outcome != Resolution.Outcome.CONF:
        return {}
    return {"conf_labels": sorted(resolution.conf_labels.values_list("pk", flat=True))}
