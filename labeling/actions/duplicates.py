"""One answer for tasks of the same text: a label that people gave stands for its copies, too.

A copy has the same normalised text after the same turns of conversation. No answer is written for
it, so nobody's answer counts twice; its label names the one it comes from and goes when that goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import connection
from django.db.models import F, QuerySet
from django.utils import timezone

from labeling.actions.events import Actor, record
from labeling.models import Label, Resolution, Source, Task, TaskStatus

BY_PEOPLE = (
    Source.OVERRIDE,
    Source.ADJUDICATED,
    Source.AUDIT,
    Source.BENCHMARK,
    Source.AGREEMENT,
    Source.SINGLE,
)
"""Sources of labels that may stand for copies."""
WAITING = (TaskStatus.DEFERRED, TaskStatus.DISPUTED)
MOST = 1_000
"""Copies that one answer settles at once; later ones are settled as they come to wait."""


def settle_copies(original: Resolution, *, by: Actor) -> int:
    """Let `original` stand for every copy that waits for people, outside the benchmark; how many.

    Copies that somebody else is changing at this moment are left to them: to wait could end in a
    deadlock.
    """
    task = original.task
    if not task.project.resolve_duplicates or original.source not in BY_PEOPLE:
        return 0
    waiting = (
        Task.objects.filter(
            project_id=task.project_id, text_hash=task.text_hash, status__in=WAITING
        )
        .outside_benchmark()
        .exclude(pk=task.pk)
    )
    ids = list(waiting.order_by("pk").values_list("pk", flat=True)[:MOST])
    skips = connection.features.has_select_for_update_skip_locked
    locked = Task.objects.select_for_update(of=("self",), skip_locked=skips).filter(
        pk__in=ids, status__in=WAITING, text_hash=task.text_hash
    )
    copies = [one for one in locked.order_by("pk") if one.turns == task.turns]
    _stand(copies, original, by)
    return len(copies)


def settle_from_others(tasks: Iterable[Task]) -> int:
    """Settle those of these locked tasks, which came to wait, whose text people have labeled on
    another task already."""
    waiting = [task for task in tasks if task.status in WAITING]
    if not waiting or not waiting[0].project.resolve_duplicates:
        return 0
    known = Resolution.objects.current().filter(
        task__project_id=waiting[0].project_id,
        task__text_hash__in={task.text_hash for task in waiting},
        revision=F("task__revision"),
        source__in=BY_PEOPLE,
    )
    originals: dict[str, list[Resolution]] = {}
    for one in known.select_related("task__project").order_by("pk"):
        originals.setdefault(one.task.text_hash, []).append(one)
    settled = 0
    for task in waiting:
        same = [one for one in originals.get(task.text_hash, ()) if one.task.turns == task.turns]
        if same:
            _stand([task], same[0], str(Source.DUPLICATE))
            settled += 1
    return settled


def _stand(copies: Sequence[Task], original: Resolution, by: Actor) -> None:
    conf: QuerySet[Label] = original.conf_labels.all()
    for task in copies:
        made = Resolution.objects.create(
            task=task,
            revision=task.revision,
            outcome=original.outcome,
            label_id=original.label_id,
            unk_reason=original.unk_reason,
            source=Source.DUPLICATE,
            original=original,
        )
        made.conf_labels.set(conf)
        task.status = TaskStatus.RESOLVED
        task.save(update_fields=["status"])
        said = {
            "outcome": made.outcome,
            "label": made.label_id,
            "source": made.source,
            "original": original.task_id,
            **({"conf_labels": sorted(label.pk for label in conf)} if conf else {}),
        }
        record(original.task.project, by, "task_resolved", task, new=said)


def withdraw_copies(original: Resolution, *, by: Actor) -> None:
    """`original` stands no more, and so do its copies: they wait for people again."""
    found = original.copies.filter(current=True).order_by("task_id")
    ids = list(found.values_list("task_id", flat=True))
    for task in Task.objects.select_for_update(of=("self",)).filter(pk__in=ids).order_by("pk"):
        gone = found.filter(task=task).update(
            current=False,
            withdrawn_at=timezone.now(),
            withdrawn_reason="its original was withdrawn",
        )
        if not gone:
            continue
        task.status = TaskStatus.DEFERRED
        task.save(update_fields=["status"])
        record(
            original.task.project,
            by,
            "resolution_withdrawn",
            task,
            old={"label": original.label_id, "outcome": original.outcome, "source": "duplicate"},
            new={"reason": "its original was withdrawn", "status": str(TaskStatus.DEFERRED)},
        )
