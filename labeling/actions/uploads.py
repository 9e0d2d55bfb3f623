"""Files that come in: kept aside while they are looked at and imported, then dropped."""

from __future__ import annotations

import datetime
import shutil
import time
import uuid
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.actions.documents import ImportReport, import_documents
from labeling.actions.errors import ActionRefused
from labeling.actions.import_project import ProjectImport, import_project
from labeling.actions.ingest import OnError
from labeling.formats.foreign.readers import ForeignFile
from labeling.formats.mapping import read_documents_mapped
from labeling.formats.records import suffix_of
from labeling.models import Member, Project, Upload

KEPT = datetime.timedelta(days=1)
MISTAKES_KEPT = datetime.timedelta(days=30)
"""How long an import and what it refused can be read after its end; history keeps its event."""
LONGEST_NAME = 150  # bytes


def keep_upload(
    *, member: Member, kind: str, name: str, blocks: Iterable[bytes], suffixes: Iterable[str]
) -> Upload:
    """Keep a file, block by block, for its member to look at or to have imported.

    Raises FileRefused for a name with another ending, ActionRefused for an empty file or where
    there is no room; what `blocks` raises goes through. Nothing is left of a file that did not come
    in whole.
    """
    name = plain_name(name)
    suffix_of(Path(name), suffixes)
    folder = Path(settings.UPLOADS_DIR) / uuid.uuid4().hex
    size = 0
    try:
        folder.mkdir(parents=True, mode=0o700)
        with (folder / name).open("wb") as handle:
            for block in blocks:
                size += handle.write(block)
        if not size:
            raise ActionRefused(_("The file is empty."))
        return Upload.objects.create(
            project=member.project,
            member=member,
            kind=kind,
            name=name,
            file=f"{folder.name}/{name}",
            size=size,
        )
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ActionRefused(
            _("The file cannot be kept here: %(why)s.") % {"why": error.strerror or error}
        ) from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def plain_name(name: str) -> str:
    """The last part of a path, without what no file may be called; its ending stays."""
    last = PurePosixPath(name.replace("\\", "/")).name
    kept = "".join(letter if letter.isprintable() else "_" for letter in last)
    return kept.encode(errors="replace")[-LONGEST_NAME:].decode(errors="ignore") or "file"


def path_of(upload: Upload) -> Path:
    """Where the file lies, under its own name, until its import has ended."""
    return Path(settings.UPLOADS_DIR) / upload.file


def drop_file(file: str) -> None:
    """Remove a file that no upload names any more."""
    shutil.rmtree((Path(settings.UPLOADS_DIR) / file).parent, ignore_errors=True)


def drop_files_of(project: Project) -> None:
    """Remove all files that wait in a project. An import whose row stays ends with a sentence."""
    for file in project.uploads.exclude(file="").values_list("file", flat=True):
        drop_file(file)


def drop_upload(upload: Upload) -> None:
    """Drop a file and its row."""
    file = upload.file
    upload.delete()
    drop_file(file)


def drop_unstarted(upload: Upload) -> None:
    """Drop a file whose import was not begun."""
    if Upload.objects.filter(pk=upload.pk, status=Upload.Status.KEPT).exists():
        drop_upload(upload)


def drop_old_uploads() -> None:
    """Drop what nobody stored within a day, imports that ended a month ago, and files that no row
    names."""
    now = timezone.now()
    for upload in Upload.objects.filter(status=Upload.Status.KEPT, created_at__lt=now - KEPT):
        drop_upload(upload)
    Upload.objects.filter(finished_at__lt=now - MISTAKES_KEPT).delete()
    _drop_unnamed()


def _drop_unnamed() -> None:
    """Folders that a process left behind when it died; young ones may still be written."""
    folder = Path(settings.UPLOADS_DIR)
    if not folder.is_dir():
        return
    long_ago = time.time() - KEPT.total_seconds()
    old = [path for path in folder.iterdir() if path.stat().st_mtime < long_ago]
    if old:
        files = Upload.objects.exclude(file="").values_list("file", flat=True)
        named = {file.partition("/")[0] for file in files}
        for path in old:
            if path.name not in named:
                shutil.rmtree(path, ignore_errors=True)


def store_documents(*, upload: Upload, columns: dict[str, str], on_error: OnError) -> ImportReport:
    """Store the file's documents, all of them or (with "skip_row") the good ones, and drop it."""
    file = upload.file
    with transaction.atomic():
        report = import_documents(
            project=upload.project,
            items=read_documents_mapped(path_of(upload), columns),
            by=upload.member,
            on_error=on_error,
        )
        upload.delete()
    drop_file(file)
    return report


def store_project(
    *, upload: Upload, file: ForeignFile, add_labels: bool, on_error: OnError
) -> ProjectImport:
    """Store what the file of another tool says, all of it or its good rows, and drop it."""
    name = upload.file
    with transaction.atomic():
        report = import_project(
            project=upload.project,
            read=file.read,
            tool=file.tool,
            add_labels=add_labels,
            on_error=on_error,
            by=upload.member,
        )
        upload.delete()
    drop_file(name)
    return report
