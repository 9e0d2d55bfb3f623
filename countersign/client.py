"""The client: a few calls, each a REST request that may be sent again without harm."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from countersign.batches import Pushed, Row, RowError, batches
from countersign.connection import Connection
from countersign.errors import ClientError, RefusedError, StillRunningError
from countersign.imports import send_file, wait_for

BATCH_ROWS = 500
TRIES = 5
POLL_SECONDS = 2.0
Progress = Callable[[int], None]


class Client:
    """One site and one token. Use it in a `with` block, or call `close`.

    `site` is the address of the site without /api/v1; `timeout` is in seconds, for one request.
    Requests that find the site away or busy are sent again, `tries` times in all.
    """

    def __init__(self, site: str, token: str, *, timeout: float = 60.0, tries: int = TRIES) -> None:
        self._site = Connection(site, token, timeout=timeout, tries=tries)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._site.close()

    # --- Reading ------------------------------------------------------------------------------

    def projects(self) -> Iterator[dict[str, Any]]:
        """The projects that the token opens."""
        return self._site.pages("projects/")

    def labels(self, project: str) -> list[dict[str, Any]]:
        """The labels of a project in the order in which lists of scores are read."""
        return list(self._site.get(f"projects/{project}/labels/")["labels"])

    def tasks(self, project: str, **filters: str | int | bool) -> Iterator[dict[str, Any]]:
        """Tasks, page after page; `filters` as in the API: status, hard, label, run."""
        return self._site.pages(f"projects/{project}/tasks/", _query(filters))

    def next_texts(
        self, project: str, *, strategy: str = "margin", n: int = 20, **options: int | bool
    ) -> list[dict[str, Any]]:
        """The `n` texts most worth labeling next, best first; `strategy` and `options` as in the
        API: `seed`, `leased`, `diverse`."""
        query = _query({"strategy": strategy, "n": n, **options})
        return list(self._site.get(f"projects/{project}/next/", query)["texts"])

    def run(self, project: str, number: int) -> dict[str, Any]:
        """A run with its progress."""
        found: dict[str, Any] = self._site.get(f"projects/{project}/runs/{number}/")
        return found

    def snapshots(self, project: str) -> Iterator[dict[str, Any]]:
        """The snapshots of a project, newest first."""
        return self._site.pages(f"projects/{project}/snapshots/")

    def snapshot(self, project: str, number: int) -> dict[str, Any]:
        """What a snapshot holds and was made under."""
        found: dict[str, Any] = self._site.get(f"projects/{project}/snapshots/{number}/")
        return found

    def pull(
        self, project: str, *, snapshot: int | None = None, **filters: str | int | float | bool
    ) -> Iterator[dict[str, Any]]:
        """The rows of the export, one a task, as they arrive; or those of a snapshot, which were
        chosen when it was made and take no filters."""
        query = _query({**filters, "format": "jsonl"})
        with self._site.stream(_rows_of(project, snapshot), query) as reply:
            for line in reply.iter_lines():
                if line:
                    yield json.loads(line)

    def download(
        self,
        project: str,
        file: BinaryIO,
        *,
        format: str = "jsonl",
        snapshot: int | None = None,
        **filters: str | int | float | bool,
    ) -> int:
        """Write the export, or a snapshot, to `file`, whatever its format; the number of bytes."""
        size = 0
        query = _query({**filters, "format": format})
        with self._site.stream(_rows_of(project, snapshot), query) as reply:
            for block in reply.iter_bytes():
                size += file.write(block)
        return size

    # --- Sending ------------------------------------------------------------------------------

    def push(
        self,
        project: str,
        rows: Iterable[Row],
        *,
        model_version: str,
        labels: Sequence[str] | None = None,
        mapping: str = "",
        on_error: str = "reject_batch",
        on_changed_text: str = "error",
        batch: int = BATCH_ROWS,
        close: bool = True,
        progress: Progress | None = None,
    ) -> Pushed:
        """Send predictions in batches and, unless told otherwise, close their runs, so that the
        work on them ends.

        A row has `external_id`, `text`, and `logits` or `probabilities` (a list or array in the
        order of `labels`, or an object of label and number). `mapping` names a mapping that the
        project has saved, from the names in the rows to its labels. With `on_error="skip_row"` rows
        with a mistake are left out and listed; otherwise the first batch that has one raises
        `RefusedError`, whose details count rows from the first one sent. What was sent before
        stays; sending all of it again is harmless.
        """
        done = Pushed()
        sent = 0
        head: dict[str, Any] = {
            "model_version": model_version,
            "on_error": on_error,
            "on_changed_text": on_changed_text,
        }
        if labels is not None:
            head["labels"] = list(labels)
        if mapping:
            head["mapping"] = mapping
        for items in batches(rows, batch):
            body = f'{json.dumps(head)[:-1]}, "items": [{",".join(items)}]}}'
            try:
                reply = self._site.post(f"projects/{project}/predictions/", body)
            except RefusedError as error:
                _count_from(error, sent)
                raise
            done.created += reply["created"]
            done.updated += reply["updated"]
            done.unchanged += reply["unchanged"]
            done.errors += [
                RowError(sent + (e["index"] or 0), e["field"], e["message"])
                for e in reply["errors"]
            ]
            done.refused = len(done.errors)
            if reply["run"] is not None and reply["run"] not in done.runs:
                done.runs.append(reply["run"])
            sent += len(items)
            if progress is not None:
                progress(sent)
        if close:
            self._close(project, done)
        return done

    def push_file(
        self,
        project: str,
        file: Path,
        *,
        model_version: str,
        close: bool = True,
        timeout: float | None = None,
        progress: Progress | None = None,
        **choices: str,
    ) -> Pushed:
        """Send a file of predictions as it is (.jsonl, .ndjson, .csv), wait until the site's worker
        has imported it, and close its runs. For files of any size; memory holds a block of it.

        `choices` as in the API: on_error, on_changed_text, score_kind, mapping. With
        `on_error="skip_row"` rows with a mistake are left out; otherwise nothing of a file that has
        one is stored, and `RefusedError` lists the first thousand. Raises `StillRunningError` after
        `timeout` seconds, while the site goes on.
        """
        job = send_file(self._site, project, file, {"model_version": model_version, **choices})
        done = wait_for(
            self._site, project, job, every=POLL_SECONDS, timeout=timeout, progress=progress
        )
        if close:
            self._close(project, done)
        return done

    def _close(self, project: str, done: Pushed) -> None:
        for number in done.runs:
            self._site.post(f"projects/{project}/runs/{number}/close/")

    def wait(
        self,
        project: str,
        runs: Sequence[int],
        *,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Return when the runs are completed. `timeout` is in seconds.

        `progress` is told how many tasks are unfinished. Raises `StillRunningError`.
        """
        until = None if timeout is None else time.monotonic() + timeout
        waiting = list(runs)
        while True:
            found = [self.run(project, number) for number in waiting]
            open_ = [run for run in found if run["status"] != "completed"]
            left = sum(run["progress"]["unfinished"] for run in open_)
            if progress is not None:
                progress(left)
            if not open_:
                return
            if until is not None and time.monotonic() >= until:
                raise StillRunningError(f"{left} tasks are unfinished after {timeout:g} seconds.")
            waiting = [run["id"] for run in open_]
            time.sleep(POLL_SECONDS)

    def make_snapshot(
        self,
        project: str,
        *,
        note: str = "",
        timeout: float | None = None,
        **choices: str | float | bool | Sequence[str],
    ) -> dict[str, Any]:
        """Keep what an export with these choices holds now, and return it once it is kept. Takes
        the scope admin.

        Raises `StillRunningError` after `timeout` seconds, and `ClientError` where it failed.
        """
        body = json.dumps({"note": note, **choices})
        found: dict[str, Any] = self._site.make(f"projects/{project}/snapshots/", body)
        until = None if timeout is None else time.monotonic() + timeout
        while found["status"] in ("waiting", "writing"):
            if until is not None and time.monotonic() >= until:
                raise StillRunningError(
                    f"Snapshot {found['number']} is not written after {timeout:g} seconds."
                )
            time.sleep(POLL_SECONDS)
            found = self.snapshot(project, found["number"])
        if found["status"] == "failed":
            raise ClientError(f"Snapshot {found['number']} was not made: {found['failure']}")
        return found

    def create_project(
        self, slug: str, *, name: str, labels: Sequence[str | Mapping[str, Any]], **settings: Any
    ) -> dict[str, Any]:
        """Make a project and become its admin; `settings` as in the API. Takes the scope admin.

        Raises `RefusedError` with status 409 where the address is taken.
        """
        body = {"slug": slug, "name": name, "labels": list(labels), **settings}
        made: dict[str, Any] = self._site.make("projects/", json.dumps(body))
        return made

    def annotate(
        self, project: str, external_id: str, *, label: str, client_id: uuid.UUID | None = None
    ) -> dict[str, Any]:
        """Answer a task as the owner of the token. Takes the scope annotate.

        A `client_id` of your own makes sending the same answer again harmless.
        """
        body = {
            "external_id": external_id,
            "label": label,
            "client_id": str(client_id or uuid.uuid4()),
        }
        said: dict[str, Any] = self._site.post(f"projects/{project}/annotations/", json.dumps(body))
        return said


def _count_from(error: RefusedError, sent: int) -> None:
    """Let the details count rows from the first one that was sent, not from their batch's."""
    error.details = [
        {**detail, "index": detail["index"] + sent} if detail.get("index") is not None else detail
        for detail in error.details
    ]


def _rows_of(project: str, snapshot: int | None) -> str:
    if snapshot is None:
        return f"projects/{project}/export/"
    return f"projects/{project}/snapshots/{snapshot}/download/"


def _query(filters: Mapping[str, str | float | bool]) -> dict[str, str]:
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in filters.items()
    }
