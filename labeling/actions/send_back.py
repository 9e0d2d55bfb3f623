"""Accepted tasks go back to people: many at once, counted before, and undone at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused
from labeling.actions.events import Actor, event_fields, record
from labeling.actions.tally import scoring_of
from labeling.models import (
    Annotation,
    Event,
    Label,
    Member,
    Policy,
    Question,
    Resolution,
    SendBack,
    Source,
    Task,
    TaskStatus,
)

BATCH = 500
FIRST = 1.0
"""The queue's place of what was sent back: before what machines were unsure of."""


def accepted_by(policy: Policy, labels: Collection[int] = ()) -> QuerySet[Resolution]:
    """The labels that stand by `policy` alone (of these `labels`, where some are named): what
    would be sent back. Its `count()` is the preview."""
    standing = Resolution.objects.current().filter(
        source=Source.AUTO, decision__policy=policy, revision=F("task__revision")
    )
    return standing.filter(label__in=labels) if labels else standing


def no_longer_taken(policy: Policy) -> QuerySet[Resolution]:
    """The labels that stand by other versions of `policy` and that it would not take: accepted at
    less than its threshold. Its `count()` is the preview.

    Only versions that differ in nothing but thresholds are compared, for only theirs is the same
    confidence; what an early stage of a cascade accepted stands.
    """
    scoring = scoring_of(policy.rule)
    others = [
        one.pk
        for one in Policy.objects.filter(configuration=policy.configuration_id)
        if one.pk != policy.pk and scoring_of(one.rule) == scoring
    ]
    threshold = policy.rule["threshold"].get("multiclass", policy.rule["threshold"].get("yes"))
    last = len(policy.rule.get("stages", ()))
    standing = Resolution.objects.current().filter(
        Q(decision__stage__isnull=True) | Q(decision__stage=last),
        source=Source.AUTO,
        decision__policy__in=others,
        revision=F("task__revision"),
    )
    return standing if threshold is None else standing.filter(decision__confidence__lt=threshold)


def send_back(*, policy: Policy, by: Actor, labels: Sequence[Label] = ()) -> SendBack:
    """Withdraw what `policy` accepted, of these labels or of all, and let people label it.

    One row remembers which, so that `undo_send_back` can put back what nobody touched meanwhile.
    """
    ids = [label.pk for label in labels]
    return _send_back(policy, accepted_by(policy, ids), labels=ids, by=by)


def send_back_no_longer_taken(*, policy: Policy, by: Actor) -> SendBack:
    """Withdraw what other versions accepted and `policy` would not, and let people label it; undone
    like any other."""
    return _send_back(policy, no_longer_taken(policy), labels=[], by=by)


@transaction.atomic
def _send_back(
    policy: Policy, chosen: QuerySet[Resolution], *, labels: list[int], by: Actor
) -> SendBack:
    # Locked, so that nothing is accepted while this runs and is then missed.
    policy = Policy.objects.select_for_update(no_key=True).get(pk=policy.pk)
    made = SendBack.objects.create(
        project=policy.project,
        policy=policy,
        labels=labels,
        created_by=by if isinstance(by, Member) else None,
    )
    now = timezone.now()
    tasks = list(chosen.order_by("task_id").values_list("task_id", flat=True))
    for ids in _batches(tasks):
        locked = _locked(ids)
        standing = list(chosen.filter(task__in=locked))
        Resolution.objects.filter(pk__in=[one.pk for one in standing]).update(
            current=False,
            withdrawn_at=now,
            withdrawn_reason=f"sent back to people ({made.pk})",
            send_back=made,
        )
        _defer([one.task_id for one in standing])
        _history(standing, locked, made, by, "resolution_withdrawn")
        made.count += len(standing)
    if not made.count:
        raise ActionRefused(_("No such label stands, so there is nothing to send back."))
    made.save(update_fields=["count"])
    said = {"version": policy.version, "count": made.count, "labels": made.labels}
    record(policy.project, by, "sent_back", made, new=said)
    return made


def _locked(ids: Sequence[int]) -> list[Task]:
    return list(Task.objects.select_for_update(of=("self",)).filter(pk__in=ids).order_by("pk"))


def _defer(ids: Sequence[int]) -> None:
    Task.objects.filter(pk__in=ids).update(
        status=TaskStatus.DEFERRED,
        priority=FIRST,
        question=Question.MULTICLASS,
        asked_label=None,
    )


@transaction.atomic
def undo_send_back(*, made: SendBack, by: Actor) -> SendBack:
    """Let the withdrawn labels stand again where nobody answered, settled or replaced the text in
    the meantime."""
    if not SendBack.objects.filter(pk=made.pk, undone_at__isnull=True).update(
        undone_at=timezone.now(), restored=0
    ):
        raise ActionRefused(_("This was undone already."))
    made.refresh_from_db()
    restored = 0
    for ids in _batches(list(_untouched(made).values_list("task_id", flat=True))):
        locked = _locked(ids)
        back = list(_untouched(made).filter(task__in=locked))
        Resolution.objects.filter(pk__in=[one.pk for one in back]).update(
            current=True, withdrawn_at=None, withdrawn_reason=""
        )
        Task.objects.filter(pk__in=[one.task_id for one in back]).update(status=TaskStatus.RESOLVED)
        _history(back, locked, made, by, "resolution_reinstated")
        restored += len(back)
    made.restored = restored
    made.save(update_fields=["restored"])
    record(made.project, by, "send_back_undone", made, new={"restored": restored})
    return made


def _untouched(made: SendBack) -> QuerySet[Resolution]:
    since = {"task": OuterRef("task"), "created_at__gte": made.created_at}
    settled = Resolution.objects.filter(task=OuterRef("task"), current=True)
    later = Resolution.objects.filter(**since)
    return (
        made.resolutions.filter(
            current=False, revision=F("task__revision"), task__status=TaskStatus.DEFERRED
        )
        .filter(~Exists(Annotation.objects.filter(**since)), ~Exists(settled), ~Exists(later))
        .order_by("task_id")
    )


def _history(
    resolutions: Sequence[Resolution],
    tasks: Sequence[Task],
    made: SendBack,
    by: Actor,
    verb: str,
) -> None:
    by_id = {task.pk: task for task in tasks}
    Event.objects.bulk_create(
        Event(
            **event_fields(
                made.project,
                by,
                verb,
                by_id[one.task_id],
                new={"label": one.label_id, "send_back": made.pk},
            )
        )
        for one in resolutions
    )


def _batches(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), BATCH):
        yield ids[start : start + BATCH]
