"""Files that the site imports as a whole: sent as they are, watched until the job has ended."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from countersign.batches import Pushed, RowError
from countersign.connection import Connection, a_key
from countersign.errors import FileError, RefusedError, StillRunningError

TYPES = {
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
    ".csv": "text/csv",
}
OPEN = ("waiting", "checking", "storing")
BLOCK = 1024 * 1024
ERRORS_READ = 1000


def send_file(
    site: Connection, project: str, file: Path, choices: dict[str, str]
) -> dict[str, Any]:
    """Send a file, block by block; the job that imports it."""
    kind = TYPES.get(file.suffix.lower())
    if kind is None:
        raise FileError(f"{file.name}: the name should end in {', '.join(TYPES)}.")
    try:
        size = file.stat().st_size
    except OSError as error:
        raise FileError(f"{file} cannot be read: {error.strerror}.") from error
    query = urlencode({**choices, "name": file.name})
    started: dict[str, Any] = site.send(
        "POST",
        f"projects/{project}/imports/?{query}",
        content=lambda: _blocks(file),
        headers={"Content-Type": kind, "Content-Length": str(size), **a_key()},
    )
    return started


def _blocks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as handle:
        while block := handle.read(BLOCK):
            yield block


def wait_for(
    site: Connection,
    project: str,
    job: dict[str, Any],
    *,
    every: float,
    timeout: float | None,
    progress: Callable[[int], None] | None,
) -> Pushed:
    """What became of the rows once the job has ended. Raises `RefusedError` where it is not done,
    with the first thousand rows that were refused, and `StillRunningError` after `timeout`."""
    until = None if timeout is None else time.monotonic() + timeout
    while job["status"] in OPEN:
        if progress is not None:
            progress(job["rows_read"] or job["rows_checked"])
        if until is not None and time.monotonic() >= until:
            raise StillRunningError(f"Import {job['id']} is not done after {timeout:g} seconds.")
        time.sleep(every)
        job = site.send("GET", f"projects/{project}/imports/{job['id']}/")
    errors = _errors(site, project, job) if job["refused"] else []
    if job["status"] != "done":
        details = [{"index": e.row, "field": e.field, "message": e.message} for e in errors]
        said = job["said"] or f"The import ended as “{job['status']}”."
        raise RefusedError(said, status=422, code=job["status"], details=details)
    return Pushed(
        created=job["created"],
        updated=job["updated"],
        unchanged=job["unchanged"],
        runs=list(job["runs"]),
        errors=errors,
        refused=job["refused"],
    )


def _errors(site: Connection, project: str, job: dict[str, Any]) -> list[RowError]:
    found: list[RowError] = []
    for line in site.lines(f"projects/{project}/imports/{job['id']}/errors/"):
        row = json.loads(line)
        found.append(RowError(row["row"], row["field"], row["message"]))
        if len(found) == ERRORS_READ:
            break
    return found
