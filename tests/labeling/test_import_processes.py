"""Files over real HTTP, imported by real workers, one of which is killed in the middle."""

from __future__ import annotations

import gzip
import http.client
import io
import json
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labeling.models import PlanRow, Prediction, Project, Role, Task, Upload
from tests.labeling.builders import make_member, make_project
from tests.labeling.rest import secret_of
from tests.processes import Fleet, WebServer

pytestmark = [pytest.mark.slow, pytest.mark.embedded, pytest.mark.django_db(transaction=True)]
ROWS = 20_000
NDJSON = "application/x-ndjson"
PARQUET = "application/vnd.apache.parquet"
CHUNKED = "Transfer-Encoding: chunked\r\n"


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    return tmp_path / "uploads"


@pytest.fixture
def project(transactional_db: None) -> Project:
    return make_project()


@pytest.fixture
def secret(project: Project) -> str:
    return secret_of(make_member(project, Role.ADMIN))


@pytest.fixture
def server(project: Project, uploads: Path) -> Iterator[WebServer]:
    server = WebServer(UPLOADS_DIR=str(uploads), UPLOAD_MAX_MB="4")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def fleet(uploads: Path, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, UPLOADS_DIR=str(uploads))
    yield fleet
    fleet.end()


def items(n: int) -> list[dict[str, Any]]:
    return [
        {"external_id": f"t/{i}", "text": f"text {i}", "logits": [3.0, 0.5, i % 7]}
        for i in range(n)
    ]


def as_lines(n: int) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in items(n))


def as_parquet(n: int) -> bytes:
    """A table in several row groups, its lists typed."""
    rows = items(n)
    columns = {name: [row[name] for row in rows] for name in ("external_id", "text", "logits")}
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, row_group_size=max(1, n // 3))
    return file.getvalue()


def pieces(body: bytes, size: int = 7_001) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def sent(
    server: WebServer, secret: str, blocks: Iterable[bytes], kind: str, **headers: str
) -> tuple[int, dict[str, Any]]:
    """The answer to a body of a length that nobody tells beforehand."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request(
        "POST",
        "/api/v1/projects/shop/imports/?model_version=m1",
        body=blocks,
        headers={"Authorization": f"Token {secret}", "Content-Type": kind, **headers},
        encode_chunked=True,
    )
    answer = connection.getresponse()
    found: dict[str, Any] = json.loads(answer.read())
    connection.close()
    return answer.status, found


def files(uploads: Path) -> list[Path]:
    return [path for path in uploads.rglob("*") if path.is_file()]


def test_chunked_files_come_in_whole_and_a_worker_stores_them(
    server: WebServer, fleet: Fleet, secret: str, uploads: Path
) -> None:
    lines, table = as_lines(2_500), as_parquet(2_500)
    packed = {"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}
    first, job = sent(server, secret, pieces(lines), NDJSON, **{"Transfer-Encoding": "chunked"})
    assert (first, job["size"]) == (202, len(lines))
    again, copy = sent(server, secret, pieces(gzip.compress(lines)), NDJSON, **packed)
    assert (again, copy["size"]) == (202, len(lines))
    third, typed = sent(server, secret, pieces(table), PARQUET, **{"Transfer-Encoding": "chunked"})
    assert (third, typed["size"], typed["name"]) == (202, len(table), "predictions.parquet")

    fleet.worker("one", "default")
    fleet.wait(lambda: Upload.objects.filter(status="done").count() == 3, "three imports")
    counts = {one.pk: (one.created, one.unchanged) for one in Upload.objects.all()}
    assert sorted(counts.values()) == [(0, 2_500), (0, 2_500), (2_500, 0)]
    assert Task.objects.count() == Prediction.objects.count() == 2_500
    assert files(uploads) == []


def test_a_chunked_file_above_the_limit_or_without_a_byte_leaves_nothing(
    server: WebServer, secret: str, uploads: Path
) -> None:
    large = gzip.compress(b" " * (4 * 1024 * 1024 + 1))
    headers = {"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}
    status, said = sent(server, secret, pieces(large), NDJSON, **headers)
    assert (status, said["error"]["code"]) == (413, "too_large")
    status, said = sent(server, secret, iter(()), NDJSON, **{"Transfer-Encoding": "chunked"})
    assert (status, said["error"]["message"]) == (422, "The file is empty.")
    assert not Upload.objects.exists()
    assert files(uploads) == []


def test_a_chunked_file_whose_sender_goes_away_is_not_kept(
    server: WebServer, secret: str, uploads: Path
) -> None:
    body = as_lines(500)
    head = (
        "POST /api/v1/projects/shop/imports/?model_version=m1 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Token {secret}\r\nContent-Type: {NDJSON}\r\n{CHUNKED}\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as wire:
        wire.sendall(head.encode() + b"%x\r\n%s\r\n" % (len(body), body))
        wire.sendall(b"ffff\r\nhalf of a chunk")
        until = time.monotonic() + 60
        while not files(uploads):
            assert time.monotonic() < until, "the file does not come in"
            time.sleep(0.05)
    status, job = sent(server, secret, pieces(body), NDJSON, **{"Transfer-Encoding": "chunked"})
    assert status == 202
    assert [one.pk for one in Upload.objects.all()] == [job["id"]]
    until = time.monotonic() + 60
    while len(files(uploads)) > 1:
        assert time.monotonic() < until, "half a file stays"
        time.sleep(0.05)
    assert files(uploads)[0].stat().st_size == len(body)


@pytest.mark.parametrize("kind", [NDJSON, PARQUET])
def test_an_import_outlives_the_worker_that_is_killed_in_the_middle(
    server: WebServer, fleet: Fleet, secret: str, uploads: Path, kind: str
) -> None:
    body = as_lines(ROWS) if kind == NDJSON else as_parquet(ROWS)
    doomed = fleet.worker("doomed", "default")
    fleet.wait_until_ready()
    status, job = sent(server, secret, pieces(body), kind, **{"Transfer-Encoding": "chunked"})
    assert status == 202

    def now() -> Upload:
        return Upload.objects.get(pk=job["id"])

    fleet.wait(lambda: now().rows_read > 0, "first rows")
    fleet.kill(doomed)
    died_at = now()
    assert died_at.status == "storing"
    assert 0 < died_at.rows_read < ROWS
    assert died_at.claimed_by  # the claim of a worker that is no more
    assert Task.objects.count() == Prediction.objects.count() == died_at.rows_read

    fleet.worker("rescuer", "default")
    fleet.beat()
    fleet.wait(lambda: now().finished_at is not None, "the import's end")

    done = now()
    assert (done.status, done.said) == ("done", "")
    assert (done.rows_read, done.created) == (ROWS, ROWS)
    assert (done.updated, done.unchanged, done.refused) == (0, 0, 0)
    ids = set(Task.objects.values_list("external_id", flat=True))
    assert ids == {item["external_id"] for item in items(ROWS)}
    assert Task.objects.count() == ROWS
    predicted = Counter(Prediction.objects.values_list("task_id", flat=True))
    assert (len(predicted), set(predicted.values())) == (ROWS, {1})
    planned = Counter(PlanRow.objects.values_list("task_id", flat=True))
    assert (set(planned), set(planned.values())) == (set(predicted), {1})
    assert set(PlanRow.objects.values_list("run_id", flat=True)) == set(done.runs)
    assert files(uploads) == []
