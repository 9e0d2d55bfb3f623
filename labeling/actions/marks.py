"""Flags for the experts, and skips: what people do with a task without answering it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.access import Right, has_right
from labeling.actions.assigned import end_of_task
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.events import record
from labeling.actions.lease import lease_again, note_seen, release, see_machines_of
from labeling.actions.queues import queue_of, withheld_from
from labeling.models import Flag, Lease, Member, Purpose, Skip, SkipReason, Task

COMES_BACK_AFTER = datetime.timedelta(hours=1)


@transaction.atomic
def skip(*, lease: Lease, reason: str) -> Skip:
    """Pass the leased task on: for an hour where the reason is `later`, else for good."""
    if reason not in SkipReason.values:
        raise ActionRefused(_("Say why you skip this text: one of the four reasons."))
    held = Lease.objects.select_for_update().filter(pk=lease.pk)
    if not held.exists():
        raise Conflict(_("This task is not with you any more."))
    member, task = lease.member, lease.task
    later = reason == SkipReason.LATER
    Skip.objects.current().filter(task=task, member=member).update(current=False)
    skipped = Skip.objects.create(
        task=task,
        revision=task.revision,
        member=member,
        reason=reason,
        until=timezone.now() + COMES_BACK_AFTER if later else None,
        purpose=lease.purpose,
        visible=lease.visible,
    )
    note_seen(lease)
    release(lease=lease)
    if not later:
        end_of_task(member=member, task=task)
    until = skipped.until.isoformat() if skipped.until else None
    record(task.project, member, "skipped", task, new={"reason": reason, "until": until})
    return skipped


@transaction.atomic
def skip_waiting(*, member: Member, task: Task, reason: str) -> Skip:
    """Pass on a task that the member has in hand, or that waits for them though they have not
    leased it."""
    held = member.leases.filter(task=task).order_by("-expires_at").first()
    if held is None:
        if not queue_of(member, Purpose.LABEL).filter(pk=task.pk).exists():
            raise Conflict(_("This task does not wait for you."))
        held = lease_again(task=task, member=member, purpose=Purpose.LABEL, visible={})
    return skip(lease=held, reason=reason)


def take_back_skip(skipped: Skip) -> Lease:
    """Give a skipped task back to the member as it was shown. Call inside a transaction; raises
    ActionRefused where the task waits for them no more."""
    skipped.current = False
    skipped.save(update_fields=["current"])
    member, task = skipped.member, skipped.task
    if not queue_of(member, skipped.purpose).filter(pk=task.pk).exists():
        raise ActionRefused(_("The text that you skipped was settled meanwhile."))
    record(task.project, member, "skip_taken_back", task, old={"reason": skipped.reason})
    return lease_again(task=task, member=member, purpose=skipped.purpose, visible=skipped.visible)


@transaction.atomic
def bring_back(*, member: Member) -> None:
    """End the member's pauses: what was put off comes at once."""
    waiting = Skip.objects.current().filter(member=member, until__gt=timezone.now())
    for skipped in waiting.select_related("task__project"):
        old = {"reason": skipped.reason}
        record(skipped.task.project, member, "skip_taken_back", skipped.task, old=old)
    waiting.update(current=False)


@transaction.atomic
def flag(*, member: Member, task: Task, note: str = "", unleased: bool = False) -> Flag:
    """Mark a task for the experts; a second mark of the member changes the note of the first.
    `unleased`: also one that waits for the member, who need not have it in hand."""
    has_it = task.leases.filter(member=member).exists()
    waits = unleased and queue_of(member, Purpose.LABEL).filter(pk=task.pk).exists()
    if not has_it and not waits and not task.annotations.filter(member=member).exists():
        raise Conflict(_("This task is not with you any more."))
    Member.objects.select_for_update(no_key=True).get(pk=member.pk)
    found, made = Flag.objects.update_or_create(
        task=task,
        revision=task.revision,
        member=member,
        closed_at=None,
        defaults={"note": note.strip()},
    )
    record(
        task.project, member, "flagged" if made else "flag_changed", task, new={"flag": found.pk}
    )
    return found


@transaction.atomic
def close_flag(*, flag: Flag, by: Member) -> None:
    """Close a flag: a reviewer dealt with it, or its author takes it back. Harmless to repeat."""
    if by.pk != flag.member_id and not has_right(by, Right.REVIEW):
        raise ActionRefused(_("Only its author or a reviewer closes a flag."))
    closing = Flag.objects.open().filter(pk=flag.pk)
    if closing.update(closed_at=timezone.now(), closed_by=by):
        record(flag.task.project, by, "flag_closed", flag.task, old={"flag": flag.pk})


def flags_for(member: Member) -> QuerySet[Flag]:
    """Open flags, oldest first: the project's for who reviews, else the member's own. A note on a
    text that `member` is to answer blind may say what machines think, and is `withheld`."""
    kept = Task.objects.filter(withheld_from(member), pk=OuterRef("task"))
    flags = Flag.objects.open().filter(task__project_id=member.project_id)
    if not has_right(member, Right.REVIEW):
        flags = flags.filter(member=member)
        kept = kept.none()
    return flags.annotate(withheld=Exists(kept)).select_related("task", "member").order_by("pk")


def read_notes(*, member: Member, flags: Sequence[Flag]) -> None:
    """`member` reads what these flags say, which may be what a machine thinks. Their own notes
    members do not read anew."""
    others = [flag.task for flag in flags if flag.member_id != member.pk and flag.note]
    see_machines_of(member=member, tasks=others)
