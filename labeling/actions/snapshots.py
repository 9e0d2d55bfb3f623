"""Snapshots: asked for here, written by a job, kept with what they were made under."""

from __future__ import annotations

import datetime
import hashlib
import json
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling import dispatch
from labeling.actions.errors import ActionRefused
from labeling.actions.events import Actor, record
from labeling.formats.export import SCHEMA_VERSION, tasks_with_rows
from labeling.formats.selection import SelectionForm
from labeling.formats.snapshot import (
    Line,
    SnapshotDamaged,
    Written,
    checked_lines,
    path_of,
    write_file,
)
from labeling.formats.writers import about_of
from labeling.models import Member, Policy, Project, Snapshot

CLAIM = datetime.timedelta(hours=1)
"""After which a worker that has not ended is taken for dead, and another one begins anew."""
UNNAMED_FOR = 2 * CLAIM.total_seconds()
"""Seconds after which a file that no snapshot names is dropped: nobody writes it any more."""


@transaction.atomic
def ask_snapshot(*, form: SelectionForm, note: str, by: Actor) -> Snapshot:
    """Have a worker keep what a valid form of an export chooses, as it stands when it is read."""
    project = Project.objects.select_for_update(no_key=True).get(pk=form.project.pk)
    latest = project.snapshots.aggregate(n=Max("number"))["n"] or 0
    snapshot = Snapshot.objects.create(
        project=project,
        number=latest + 1,
        note=note.strip()[:200],
        filters=form.choices(),
        created_by=by if isinstance(by, Member) else None,
        actor=str(by)[:150],
    )
    record(project, by, "snapshot_asked", snapshot, new={"number": snapshot.number})
    dispatch.make_snapshot(snapshot.pk)
    return snapshot


def kept_snapshot(snapshot: Snapshot) -> Snapshot:
    """The snapshot, or a refusal that says why it has no rows to give."""
    if snapshot.status != Snapshot.Status.DONE:
        raise ActionRefused(
            _("Snapshot %(n)d cannot be read: %(why)s")
            % {"n": snapshot.number, "why": snapshot.failure or snapshot.get_status_display()}
        )
    return snapshot


def make_snapshot(snapshot_id: int) -> Snapshot | None:
    """Write a snapshot that waits; None where another worker has it, or it is made already."""
    snapshot = _claim(snapshot_id)
    if snapshot is None:
        return None
    try:
        form = SelectionForm(snapshot.filters, project=snapshot.project)
        if not form.is_valid():
            raise ActionRefused(str(next(iter(form.errors.values()))[0]))
        with _one_moment():
            taken_at = timezone.now()
            about = _made_under(snapshot.project, split=form.split_of() is not None)
            written = write_file(snapshot, _lines(form))
    except (ActionRefused, OSError) as error:
        why = _("The file could not be written: %(error)s") % {"error": error}
        _finish(snapshot, status=Snapshot.Status.FAILED, failure=why[:2000])
        return snapshot
    kept = _finish(
        snapshot,
        status=Snapshot.Status.DONE,
        taken_at=taken_at,
        file=written.file,
        sha256=written.sha256,
        size=written.size,
        rows=written.rows,
        erased=written.erased,
        **about,
    )
    if not kept:  # somebody else was given the work meanwhile, and ended it first
        _drop_unless_named(written)
        return None
    return snapshot


def _claim(snapshot_id: int) -> Snapshot | None:
    now = timezone.now()
    waiting = due_snapshots(now).filter(pk=snapshot_id)
    claimed = waiting.update(status=Snapshot.Status.WRITING, claimed_until=now + CLAIM)
    if not claimed:
        return None
    return Snapshot.objects.select_related("project").get(pk=snapshot_id)


def due_snapshots(now: datetime.datetime) -> QuerySet[Snapshot]:
    """Those that wait, and those whose worker died."""
    return Snapshot.objects.filter(
        Q(status=Snapshot.Status.WAITING) | Q(status=Snapshot.Status.WRITING, claimed_until__lt=now)
    )


def _lines(form: SelectionForm) -> Iterator[Line]:
    rows = tasks_with_rows(form.project, selection=form.selection(), split=form.split_of())
    return ({"task": task, "row": row} for task, row in rows)


@contextmanager
def _one_moment() -> Iterator[None]:
    """On PostgreSQL every query of the block sees the rows of one moment. SQLite would have to keep
    all writers out for it; there, rows are read a thousand at a time."""
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _made_under(project: Project, *, split: bool) -> dict[str, Any]:
    about = about_of(project, split=split)
    policy = project.policies.filter(status=Policy.Status.ACTIVE).first()
    certificate = policy.certificate if policy is not None and policy.is_certified else None
    return {
        "columns": list(about.columns),
        "labels": list(map(list, about.labels.items())),
        "taxonomy_version": about.taxonomy_version,
        "schema_version": SCHEMA_VERSION,
        "policy": policy,
        "certificate": certificate,
        "certificate_hash": certificate_hash(certificate) if certificate is not None else "",
    }


def certificate_hash(certificate: dict[str, Any]) -> str:
    """SHA-256 of the certificate as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(certificate, sort_keys=True).encode()).hexdigest()


@transaction.atomic
def _finish(snapshot: Snapshot, **fields: Any) -> bool:
    """End a snapshot for this worker's claim; False where the claim was lost."""
    mine = Snapshot.objects.filter(
        pk=snapshot.pk,
        status=Snapshot.Status.WRITING,
        claimed_until=snapshot.claimed_until,
    )
    if not mine.update(claimed_until=None, **fields):
        return False
    snapshot.refresh_from_db()
    new = {name: getattr(snapshot, name) for name in ("number", "status", "rows", "sha256")}
    record(
        snapshot.project, snapshot.created_by or snapshot.actor, "snapshot_made", snapshot, new=new
    )
    return True


def _drop_unless_named(written: Written) -> None:
    """Equal rows give the same file: it goes only if no snapshot names it."""
    if not Snapshot.objects.filter(file=written.file).exists():
        (Path(settings.SNAPSHOTS_DIR) / written.file).unlink(missing_ok=True)


def look_after_snapshots() -> None:
    """Have those written that a lost message or a dead worker left behind, and drop what a dead
    worker left in the folder."""
    for pk in due_snapshots(timezone.now()).values_list("pk", flat=True):
        dispatch.make_snapshot(pk)
    _drop_unnamed()


def _drop_unnamed() -> None:
    folder = Path(settings.SNAPSHOTS_DIR)
    if not folder.is_dir():
        return
    long_ago = time.time() - UNNAMED_FOR
    found = [path for path in folder.glob("*/*") if path.is_file()]
    named = set(Snapshot.objects.exclude(file="").values_list("file", flat=True))
    for path in found:
        name = f"{path.parent.name}/{path.name}"
        if name not in named and path.stat().st_mtime < long_ago:
            path.unlink(missing_ok=True)


def begin_snapshots_anew(project: Project) -> None:
    """Take from workers what they are writing: they may have read a text that is erased now."""
    writing = project.snapshots.filter(status=Snapshot.Status.WRITING)
    for snapshot in writing:
        project.snapshots.filter(pk=snapshot.pk, status=Snapshot.Status.WRITING).update(
            status=Snapshot.Status.WAITING, claimed_until=None
        )
        dispatch.make_snapshot(snapshot.pk)


def erase_from_snapshots(project: Project, tasks: Collection[int], *, reason: str) -> int:
    """Put a tombstone in the place of every row of these tasks (ids), in every kept snapshot. A
    file is written anew and takes the old one's place; the old checksum stays beside the new one.
    Returns how many files changed."""
    done = project.snapshots.filter(status=Snapshot.Status.DONE).order_by("pk")
    return sum(_erase_from(pk, tasks, reason) for pk in list(done.values_list("pk", flat=True)))


def _erase_from(pk: int, tasks: Collection[int], reason: str) -> bool:
    """The same of one snapshot. Where another worker put its own file in place of the one that was
    read, that one is read: it may lack what is erased here."""
    while snapshot := Snapshot.objects.filter(pk=pk, status=Snapshot.Status.DONE).first():
        try:
            changed = _rewritten(snapshot, tasks, reason)
        except SnapshotDamaged as damaged:
            # It may hold the text, and nobody can read it any more: it goes as it is.
            changed = False if _give_up(snapshot, damaged.message) else None
        if changed is not None:
            return changed
    return False


def _rewritten(snapshot: Snapshot, tasks: Collection[int], reason: str) -> bool | None:
    """Whether the file had to change; None where it is not the snapshot's any more."""
    erased = 0
    at = timezone.now().isoformat()

    def lines() -> Iterator[Line]:
        nonlocal erased
        for line in checked_lines(snapshot):
            if "row" in line and line["task"] in tasks:
                erased += 1
                line = {"task": line["task"], "erased": at}
            yield line

    written = write_file(snapshot, lines())
    if not erased:  # the same rows, so the same bytes under the same name
        _drop_unless_named(written)  # another worker may have replaced it
        return False
    rewrite = {
        "at": at,
        "reason": reason,
        "rows": erased,
        "old_sha256": snapshot.sha256,
        "sha256": written.sha256,
    }
    with transaction.atomic():
        replaced = _standing(snapshot).update(
            file=written.file,
            sha256=written.sha256,
            size=written.size,
            erased=written.erased,
            rewrites=[*snapshot.rewrites, rewrite],
        )
        if not replaced:
            _drop_unless_named(written)
            return None
        record(
            snapshot.project,
            "erasure",
            "snapshot_rewritten",
            snapshot,
            old={"sha256": snapshot.sha256},
            new={"sha256": written.sha256, "rows": erased},
        )
    path_of(snapshot).unlink(missing_ok=True)
    return True


def _standing(snapshot: Snapshot) -> QuerySet[Snapshot]:
    """The snapshot, if its file is still the one that was read."""
    return Snapshot.objects.filter(pk=snapshot.pk, sha256=snapshot.sha256)


@transaction.atomic
def _give_up(snapshot: Snapshot, why: str) -> bool:
    lost = {"status": Snapshot.Status.FAILED, "failure": why, "file": "", "sha256": ""}
    if not _standing(snapshot).update(**lost):
        return False
    path_of(snapshot).unlink(missing_ok=True)
    record(snapshot.project, "erasure", "snapshot_lost", snapshot, old={"file": snapshot.file})
    return True
