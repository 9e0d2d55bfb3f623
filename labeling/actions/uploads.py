"""Files from the import page: kept while they are looked at, checked, then stored or dropped."""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from labeling.actions.documents import ImportReport, import_documents
from labeling.actions.import_project import ProjectImport, import_project
from labeling.actions.ingest import FileReport, OnError, ingest_file
from labeling.formats.foreign.readers import ForeignFile
from labeling.formats.mapping import ColumnMap, read_documents_mapped, read_mapped
from labeling.models import Member, Upload

KEPT = datetime.timedelta(days=1)


def keep_upload(*, member: Member, kind: str, name: str, content: bytes) -> Upload:
    """Keep a file for its member to look at."""
    return Upload.objects.create(
        project=member.project, member=member, kind=kind, name=name[-200:], content=content
    )


def drop_old_uploads() -> None:
    """Drop what nobody stored within a day."""
    Upload.objects.filter(created_at__lt=timezone.now() - KEPT).delete()


@contextmanager
def file_of(upload: Upload) -> Iterator[Path]:
    """The upload as a file under its own name while the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / upload.name
        path.write_bytes(bytes(upload.content))
        yield path


@transaction.atomic
def store_predictions(
    *, upload: Upload, columns: ColumnMap, model_version: str, on_error: OnError
) -> FileReport:
    """Ingest the file, all of it or (with "skip_row") its good rows, and drop the upload."""
    with file_of(upload) as path:
        report = ingest_file(
            project=upload.project,
            model_version=model_version,
            read=lambda: read_mapped(path, columns),
            on_error=on_error,
            by=upload.member,
        )
    upload.delete()
    return report


@transaction.atomic
def store_documents(*, upload: Upload, columns: dict[str, str], on_error: OnError) -> ImportReport:
    """Store the file's documents, all of them or (with "skip_row") the good ones, and drop it."""
    with file_of(upload) as path:
        report = import_documents(
            project=upload.project,
            items=read_documents_mapped(path, columns),
            by=upload.member,
            on_error=on_error,
        )
    upload.delete()
    return report


@transaction.atomic
def store_project(
    *, upload: Upload, file: ForeignFile, add_labels: bool, on_error: OnError
) -> ProjectImport:
    """Store what the file of another tool says, all of it or its good rows, and drop it."""
    report = import_project(
        project=upload.project,
        read=file.read,
        tool=file.tool,
        add_labels=add_labels,
        on_error=on_error,
        by=upload.member,
    )
    upload.delete()
    return report
