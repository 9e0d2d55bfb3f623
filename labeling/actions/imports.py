"""Imports as jobs: a file that came in is checked and stored part by part, by whatever worker.

The row of the upload is the truth. A part and the note that it is stored are one transaction, and
the note holds only while this worker's claim does: a worker that is killed, or that wakes up late,
stores nothing twice.
"""

from __future__ import annotations

import datetime
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

from labeling import dispatch, rules
from labeling.actions.errors import ActionRefused, Conflict, Detail
from labeling.actions.events import Actor, record
from labeling.actions.ingest import (
    Against,
    IngestReport,
    OnChangedText,
    OnError,
    ingest_part,
    open_source,
)
from labeling.actions.ingest_file import check_file, chunks
from labeling.actions.ingest_parse import OutsideNames
from labeling.actions.mappings import outside_names
from labeling.actions.uploads import drop_file, path_of
from labeling.formats.mapping import ColumnMap, read_mapped
from labeling.formats.predictions import read_predictions
from labeling.formats.records import FileRefused
from labeling.models import Project, RefusedRow, Upload

CHUNK = 1000
MOST_OPEN = 20
"""Imports of a project that wait or are at work; files take room."""
TURN_SECONDS = 30.0
"""How long a worker stores without giving other jobs of its queue a turn."""


@dataclass(frozen=True)
class Options:
    """How a file of predictions is read. `labels` is the order of plain lists of scores, `columns`
    a map of columns (`formats.mapping`) where the file has not those of the contract, `names` those
    of the saved `mapping` as it stood when the import was asked for, `language` that in which
    mistakes are said: of who asked."""

    model_version: str
    on_error: OnError = "reject_batch"
    on_changed_text: OnChangedText = "error"
    score_kind: str | None = None
    labels: Sequence[str] | None = None
    columns: ColumnMap | None = None
    names: Mapping[str, int] | None = None
    mapping: str = ""
    language: str | None = None

    def with_mapping(self, project: Project, mapping: str) -> Options:
        """These, with the names of a saved mapping of the project; ActionRefused where it has no
        such one."""
        found = outside_names(project, mapping)
        return self if found is None else replace(self, mapping=mapping, names=found.labels)

    def stored(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, upload: Upload) -> Options:
        kept = dict(upload.options)
        if kept.get("columns") is not None:
            columns: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in kept["columns"].items()
            }
            kept["columns"] = ColumnMap(**columns)
        return cls(**kept)

    def against(self, project: Project) -> Against:
        names = OutsideNames(self.mapping, self.names) if self.names else None
        return Against(project, self.model_version, labels=self.labels, names=names)


class _Lost(Exception):
    """Another worker has the import, or it was cancelled."""


# --- Asking --------------------------------------------------------------------------------------


def may_start(project: Project, options: Options) -> None:
    """Raise before a file comes in what no file could mend: ActionRefused without a model version
    or with labels that are none, Conflict where too many imports are open."""
    open_source(options.against(project), lock=False)
    if project.uploads.filter(status__in=Upload.OPEN).count() >= MOST_OPEN:
        raise Conflict(
            _("%(n)d imports of this project are not through yet; wait until some are.")
            % {"n": MOST_OPEN}
        )


def start_import(*, upload: Upload, options: Options, by: Actor) -> Upload:
    """Have a worker import a kept file. Raises as `may_start`, and Conflict where it is started
    already."""
    with transaction.atomic():
        project = Project.objects.select_for_update(no_key=True).get(pk=upload.project_id)
        may_start(project, options)
        kept = Upload.objects.filter(pk=upload.pk, status=Upload.Status.KEPT)
        asked = replace(options, language=get_language())
        if not kept.update(status=Upload.Status.WAITING, options=asked.stored()):
            raise Conflict(_("The import of this file was started before."))
        said = {"model_version": options.model_version, "mapping": options.mapping}
        record(project, by, "import_asked", upload, new={k: v for k, v in said.items() if v})
        dispatch.import_upload(upload.pk)
    upload.refresh_from_db()
    return upload


def cancel_import(*, upload: Upload, by: Actor) -> None:
    """End an import where it is; what it has stored stays. Harmless to repeat; Conflict where it
    has ended otherwise."""
    said = _("Cancelled. What was stored before stays.")
    with transaction.atomic():
        open_ = Upload.objects.filter(pk=upload.pk, status__in=Upload.OPEN)
        if open_.update(**_ended(Upload.Status.CANCELLED, said)):
            record(upload.project, by, "import_cancelled", upload)
        elif not Upload.objects.filter(pk=upload.pk, status=Upload.Status.CANCELLED).exists():
            raise Conflict(_("This import has ended already."))
    drop_file(upload.file)
    upload.refresh_from_db()


# --- Working -------------------------------------------------------------------------------------


def due_imports(now: datetime.datetime) -> QuerySet[Upload]:
    """Those that wait for a worker, or whose worker died."""
    unclaimed = Q(claimed_until__isnull=True) | Q(claimed_until__lt=now)
    return Upload.objects.filter(
        unclaimed, status__in=Upload.OPEN, project__archived_at__isnull=True
    )


def look_after_imports() -> None:
    """Nudge a worker for every import that is due: the message may have been lost."""
    for pk in due_imports(timezone.now()).values_list("pk", flat=True):
        dispatch.import_upload(pk)


def work_on_import(upload_id: int, *, beat: Callable[[], None] = lambda: None) -> None:
    """Go on with an import, if no other worker does, for one turn; `beat` tells that this worker
    is alive. What goes wrong with the file ends it with a sentence."""
    upload = _claim(upload_id)
    if upload is None:
        return
    options = Options.of(upload)
    with override(options.language):
        _work_on(upload, options, beat)


def _work_on(upload: Upload, options: Options, beat: Callable[[], None]) -> None:
    try:
        if upload.attempts > rules.MAX_ATTEMPTS:
            raise ActionRefused(
                _("The work on this file was cut short %(n)d times.") % {"n": rules.MAX_ATTEMPTS}
            )
        if upload.status == Upload.Status.STORING or _is_clean(upload, options, beat):
            _store(upload, options, beat)
    except _Lost:
        return
    except FileRefused as refused:
        _fail(upload, str(refused))
    except ActionRefused as refused:
        _fail(upload, refused.sentence())


def _claim(upload_id: int) -> Upload | None:
    """Take a due import; the first to take it says what comes first, checking or storing."""
    now = timezone.now()
    mine = str(uuid.uuid4())
    due = due_imports(now).filter(pk=upload_id)
    until = now + datetime.timedelta(seconds=settings.CLAIM_SECONDS)
    if not due.update(claimed_by=mine, claimed_until=until, attempts=F("attempts") + 1):
        return None
    upload = Upload.objects.select_related("project", "member").get(pk=upload_id)
    if upload.claimed_by != mine:
        return None
    if upload.status == Upload.Status.WAITING:
        checks = upload.options["on_error"] == "reject_batch"
        first = Upload.Status.CHECKING if checks else Upload.Status.STORING
        if not _mine(upload).update(status=first):
            return None
        upload.status = first
    return upload


def _mine(upload: Upload) -> QuerySet[Upload]:
    return Upload.objects.filter(pk=upload.pk, claimed_by=upload.claimed_by, status__in=Upload.OPEN)


def _note(upload: Upload, **fields: Any) -> None:
    """Write what is done so far, and renew the claim. Raises _Lost where it is lost."""
    until = timezone.now() + datetime.timedelta(seconds=settings.CLAIM_SECONDS)
    if not _mine(upload).update(claimed_until=until, **fields):
        raise _Lost
    for name, value in fields.items():
        setattr(upload, name, value)


def _is_clean(upload: Upload, options: Options, beat: Callable[[], None]) -> bool:
    """Look at every row before the first is stored. It begins anew where a worker died: nothing
    but its findings was written. A file with mistakes ends here."""
    RefusedRow.objects.filter(upload=upload).delete()

    def tick(_what: str, rows: int) -> None:
        _note(upload, rows_checked=rows)
        beat()

    found = check_file(
        against=options.against(upload.project),
        read=lambda: _items(upload, options),
        on_changed_text=options.on_changed_text,
        chunk=CHUNK,
        progress=tick,
        keep=lambda errors: _keep(upload, errors),
    )
    if found.bad_rows:
        refused = RefusedRow.objects.filter(upload=upload).count()
        said = _("The file has mistakes, so nothing of it was stored.")
        _end(upload, Upload.Status.REFUSED, said, refused=refused)
        return False
    _note(upload, status=Upload.Status.STORING, attempts=0)
    return True


def _store(upload: Upload, options: Options, beat: Callable[[], None]) -> None:
    """Store from the last batch that is done on, until the end or the end of this turn."""
    began = time.monotonic()
    rows = _items(upload, options, skip=upload.rows_read)
    for offset, items in chunks(rows, CHUNK, start=upload.rows_read):
        if time.monotonic() - began > TURN_SECONDS:
            _give_turn(upload)
            return
        with transaction.atomic():
            part = ingest_part(
                against=options.against(upload.project),
                items=items,
                offset=offset,
                on_changed_text=options.on_changed_text,
                by=upload.member,
            )
            _keep(upload, part.errors)
            _note(upload, rows_read=offset + len(items), attempts=0, **_counted(upload, part))
        beat()
    _end(upload, Upload.Status.DONE, "")


def _items(upload: Upload, options: Options, *, skip: int = 0) -> Iterator[object]:
    path = path_of(upload)
    if options.columns is not None:
        return read_mapped(path, options.columns, skip=skip)
    return read_predictions(path, score_kind=options.score_kind, skip=skip)


def _counted(upload: Upload, part: IngestReport) -> dict[str, Any]:
    runs = list(upload.runs)
    if part.run is not None and part.run.pk not in runs:
        runs.append(part.run.pk)
    return {
        "created": upload.created + part.created,
        "updated": upload.updated + part.updated,
        "unchanged": upload.unchanged + part.unchanged,
        "refused": upload.refused + len(part.errors),
        "runs": runs,
    }


def _keep(upload: Upload, errors: Sequence[Detail]) -> None:
    """Rows that are not taken, each once: the first thing that is wrong with it."""
    RefusedRow.objects.bulk_create(
        [
            RefusedRow(
                upload=upload,
                row=error.index or 0,
                field=_storable(error.field, 200),
                message=_storable(error.message, 1000),
            )
            for error in errors
        ],
        batch_size=CHUNK,
        ignore_conflicts=True,
    )


def _storable(text: str, most: int) -> str:
    """What a row says of itself, without what no database holds: NUL, halves of surrogate pairs."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()[:most]


def _give_turn(upload: Upload) -> None:
    with transaction.atomic():
        if not _mine(upload).update(claimed_by="", claimed_until=None, attempts=0):
            raise _Lost
        dispatch.import_upload(upload.pk)


# --- Ending --------------------------------------------------------------------------------------


def _ended(status: str, said: str) -> dict[str, Any]:
    return {
        "status": status,
        "said": _storable(said, 2000),
        "file": "",
        "finished_at": timezone.now(),
        "claimed_by": "",
        "claimed_until": None,
    }


def _fail(upload: Upload, said: str) -> None:
    """End it for what is wrong with the file or its place, saying what stands."""
    if upload.rows_read:
        said = f"{said} {_('What was stored before stays.')}"
        _end(upload, Upload.Status.FAILED, said)
    else:
        _end(upload, Upload.Status.REFUSED, said)


def _end(upload: Upload, status: str, said: str, **fields: Any) -> None:
    """End it for this worker's claim, and drop the file. Nothing happens without the claim."""
    file = upload.file
    with transaction.atomic():
        if not _mine(upload).update(**_ended(status, said), **fields):
            return
        counts = ("rows_read", "created", "updated", "unchanged", "refused")
        new = {"status": status, **{name: getattr(upload, name) for name in counts}, **fields}
        record(upload.project, upload.member, "import_ended", upload, new=new)
    drop_file(file)
