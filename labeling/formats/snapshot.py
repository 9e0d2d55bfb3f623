"""The file of a snapshot: gzip'd JSON lines, one a task, sorted by the task's id.

A line is {"task": id, "row": {...}} with a row of the export, or {"task": id, "erased": when} where
the text was erased since: a tombstone. Written aside and renamed, so what has its name is whole.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.utils.translation import gettext as _

from labeling.actions.errors import Conflict
from labeling.formats.writers import About, Download, as_download
from labeling.models import Snapshot

BLOCK = 1024 * 1024
ENDING = ".jsonl.gz"
Line = dict[str, Any]


class SnapshotDamaged(Conflict):
    """The file is not the one that was kept: it is gone, or its bytes differ."""

    code = "snapshot_damaged"


@dataclass(frozen=True)
class Written:
    """A file under its name, below the folder of the snapshots."""

    file: str
    sha256: str
    size: int
    rows: int
    erased: int


def folder_of(project_id: int) -> Path:
    """Where the files of a project's snapshots lie, and nothing else does."""
    return Path(settings.SNAPSHOTS_DIR) / str(project_id)


def path_of(snapshot: Snapshot) -> Path:
    return Path(settings.SNAPSHOTS_DIR) / snapshot.file


def write_file(snapshot: Snapshot, lines: Iterable[Line]) -> Written:
    """The lines as a file named by the snapshot's number and its own checksum. Nothing is left of
    it where the lines end in an error."""
    folder = folder_of(snapshot.project_id)
    folder.mkdir(parents=True, exist_ok=True)
    rows = erased = 0
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=folder)
    aside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as raw:
            hashed = _Hashed(raw)
            # No time and no name in the header: equal rows give equal bytes.
            with gzip.GzipFile(filename="", mode="wb", fileobj=hashed, mtime=0) as packed:
                for line in lines:
                    packed.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
                    rows += 1
                    erased += "erased" in line
            raw.flush()
            os.fsync(raw.fileno())
        digest = hashed.sha256.hexdigest()
        path = folder / f"{snapshot.number}-{digest[:16]}{ENDING}"
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    file = f"{snapshot.project_id}/{path.name}"
    return Written(file, digest, hashed.size, rows, erased)


class _Hashed(io.RawIOBase):
    """Passes on what is written to it and knows its SHA-256 and length."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.sha256 = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._raw.write(piece)
        self.sha256.update(piece)
        self.size += len(piece)
        return len(piece)


def checked_lines(snapshot: Snapshot) -> Iterator[Line]:
    """The lines of the file, tombstones too, once its checksum was found right.

    Raises SnapshotDamaged before the first line. The file is read twice, and held never.
    """
    lines = _lines(_open_checked(snapshot))
    next(lines)  # into the block that closes the file, even if nobody reads on
    return (line for line in lines if line is not None)


def _open_checked(snapshot: Snapshot) -> BinaryIO:
    try:
        handle = path_of(snapshot).open("rb")
    except OSError as error:
        raise SnapshotDamaged(
            _("The file of snapshot %(n)d cannot be read: %(error)s.")
            % {"n": snapshot.number, "error": error.strerror}
        ) from error
    digest = hashlib.sha256()
    while block := handle.read(BLOCK):
        digest.update(block)
    if digest.hexdigest() != snapshot.sha256:
        handle.close()
        raise SnapshotDamaged(
            _(
                "The file of snapshot %(n)d is not the one that was kept: its SHA-256 is %(found)s "
                "and should be %(kept)s. Nothing is read from it; put the file back from a backup."
            )
            % {"n": snapshot.number, "found": digest.hexdigest(), "kept": snapshot.sha256}
        )
    handle.seek(0)
    return handle


def _lines(handle: BinaryIO) -> Iterator[Line | None]:
    with handle, gzip.GzipFile(fileobj=handle, mode="rb") as packed:
        yield None
        for line in packed:
            yield json.loads(line)


def snapshot_rows(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """The rows as they were exported; what was erased is left out. Raises SnapshotDamaged."""
    lines = checked_lines(snapshot)
    return (line["row"] for line in lines if "row" in line)


def snapshot_download(snapshot: Snapshot, kind: str, *, raw: bool = False) -> Download:
    """The snapshot in one of FORMATS, with the label names of its time."""
    about = About(
        project=snapshot.project.slug,
        name=snapshot.project.name,
        labels=dict(snapshot.labels),
        columns=tuple(snapshot.columns),
        taxonomy_version=snapshot.taxonomy_version or 0,
    )
    name = f"{snapshot.project.slug}-{snapshot.number}"
    return as_download(about, snapshot_rows(snapshot), kind, raw=raw, name=name)
