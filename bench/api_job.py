"""Steps of `bench.api` that run in a process of their own, so that their memory can be measured.

    python -m bench.api_job job SLUG FILE      the job that a file over REST starts, to its end
    python -m bench.api_job floor FILE         the bare thing: texts and scores into plain tables

The floor is COPY on PostgreSQL, executemany in transactions of a thousand on SQLite: the rows of a
task and a prediction without a check, a plan or a foreign key.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

BLOCK = 64 * 1024
PART = 1000
TABLES = (
    "CREATE {temporary} TABLE bare_task (id integer, external_id text, text text, metadata text)",
    "CREATE {temporary} TABLE bare_prediction (task integer, label integer, score real, v {bytes})",
)
Bare = tuple[int, str, str, int, float, bytes]


def job(slug: str, path: Path) -> None:
    """Keep the file as a request does, and import it as a worker does, in one process."""
    import django

    django.setup()
    from labeling.actions.imports import Options, start_import, work_on_import
    from labeling.actions.projects import add_member
    from labeling.actions.uploads import keep_upload
    from labeling.models import Member, Project, Role, Upload, User

    project = Project.objects.get(slug=slug)
    member = Member.objects.filter(project=project, role=Role.ADMIN).first()
    if member is None:
        user, _made = User.objects.get_or_create(username="bench")
        member = add_member(project=project, user=user, role=Role.ADMIN, by="bench")
    with path.open("rb") as file:
        blocks = iter(lambda: file.read(BLOCK), b"")
        upload = keep_upload(
            member=member,
            kind=Upload.Kind.PREDICTIONS,
            name=path.name,
            blocks=blocks,
            suffixes=[path.suffix],
        )
    start_import(upload=upload, options=Options(model_version="bench"), by=member)
    while Upload.objects.get(pk=upload.pk).is_open:
        work_on_import(upload.pk)
    upload.refresh_from_db()
    if upload.status != Upload.Status.DONE:
        raise SystemExit(f"The import ended as {upload.status}: {upload.said}")


def bare_rows(path: Path) -> Iterator[Bare]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            item = json.loads(line)
            scores = np.asarray(item["logits"], dtype=np.float32)
            best = int(scores.argmax())
            yield (
                number,
                item["external_id"],
                item["text"],
                best,
                float(scores[best]),
                scores.tobytes(),
            )


def floor(path: Path) -> None:
    """Write the rows as fast as the database of the environment takes them."""
    if url := os.environ.get("DATABASE_URL"):
        _copy(url, path)
        return
    with tempfile.TemporaryDirectory() as folder:
        _executemany(Path(folder) / "bare.sqlite3", path)


def _copy(url: str, path: Path) -> None:
    import psycopg

    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(table.format(temporary="TEMPORARY", bytes="bytea").encode())
        with cursor.copy("COPY bare_task FROM STDIN") as copy:
            for number, external_id, text, *_rest in bare_rows(path):
                copy.write_row((number, external_id, text, "{}"))
        with cursor.copy("COPY bare_prediction FROM STDIN") as copy:
            for number, _id, _text, best, score, vector in bare_rows(path):
                copy.write_row((number, best, score, vector))


def _executemany(database: Path, path: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    for table in TABLES:
        connection.execute(table.format(temporary="", bytes="blob"))
    rows = bare_rows(path)
    while part := list(islice(rows, PART)):
        with connection:
            connection.executemany(
                "INSERT INTO bare_task VALUES (?, ?, ?, '{}')", [row[:3] for row in part]
            )
            connection.executemany(
                "INSERT INTO bare_prediction VALUES (?, ?, ?, ?)",
                [(row[0], *row[3:]) for row in part],
            )
    connection.close()


if __name__ == "__main__":
    what, *given = sys.argv[1:]
    if what == "job":
        job(given[0], Path(given[1]))
    else:
        floor(Path(given[0]))
