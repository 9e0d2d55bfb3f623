"""Files over REST: kept aside, imported by a job that goes on where a dead one was, told, ended."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from labeling.actions import imports
from labeling.actions.imports import work_on_import
from labeling.actions.ingest import ingest_part, ingest_predictions
from labeling.api.encoding import Whole
from labeling.formats.predictions import read_predictions
from labeling.models import Event, Prediction, Project, RefusedRow, Role, Task, Upload
from llm_worker.pipeline.sweep import sweep
from tests.labeling.builders import make_project
from tests.labeling.rest import client_as

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]
IMPORTS = "/api/v1/projects/shop/imports/"
NDJSON = "application/x-ndjson"


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.UPLOADS_DIR = tmp_path / "uploads"
    return tmp_path / "uploads"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def admin(project: Project) -> APIClient:
    return client_as(project, Role.ADMIN)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "CHUNK", 3)


def lines(n: int = 10, **changed: Any) -> bytes:
    """Rows of a file; `changed` by the number of a row, as r3={...}."""
    rows = [
        {"external_id": f"t/{i}", "text": f"text {i}", "logits": [3.0, 0.5, i / 10]}
        | changed.get(f"r{i}", {})
        for i in range(n)
    ]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def sent(client: APIClient, body: Any, query: str = "", kind: str = NDJSON, **more: str) -> Any:
    url = f"{IMPORTS}?model_version=m1{query}"
    return client.generic("POST", url, body, content_type=kind, headers=more)


def progress(client: APIClient, pk: int) -> dict[str, Any]:
    answer = client.get(f"{IMPORTS}{pk}/")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_file_is_taken_with_202_and_stored_by_a_job(
    project: Project, admin: APIClient, folder: Path
) -> None:
    answer = sent(admin, lines())
    assert answer.status_code == 202
    job = answer.json()
    assert (job["status"], job["rows_read"], job["runs"]) == ("waiting", 0, [])
    assert job["size"] == len(lines())
    assert len(files(folder)) == 1
    assert not Task.objects.exists()

    work_on_import(job["id"])
    done = progress(admin, job["id"])
    assert (done["status"], done["said"]) == ("done", "")
    assert (done["rows_checked"], done["rows_read"], done["created"]) == (10, 10, 10)
    assert done["finished_at"] is not None
    assert Task.objects.count() == 10
    assert (
        admin.get(f"/api/v1/projects/shop/runs/{done['runs'][0]}/").json()["progress"]["planned"]
        == 10
    )
    assert files(folder) == []
    assert list(folder.iterdir()) == []
    assert list(
        Event.objects.filter(verb__startswith="import_").order_by("pk").values_list("verb")
    ) == [("import_asked",), ("import_ended",)]

    again = sent(admin, lines()).json()
    work_on_import(again["id"])
    assert progress(admin, again["id"])["unchanged"] == 10
    newest = admin.get(IMPORTS).json()["results"]
    assert [one["id"] for one in newest] == [again["id"], job["id"]]


def test_a_repeat_under_the_same_key_gets_its_answer_though_a_new_one_would_be_refused(
    admin: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = {"Idempotency-Key": "night/1"}
    first = sent(admin, lines(), **key)
    monkeypatch.setattr(imports, "MOST_OPEN", 1)
    assert sent(admin, lines()).status_code == 409
    again = sent(admin, lines(), **key)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert again.headers["Idempotency-Replayed"] == "true"
    assert Upload.objects.count() == 1


def test_mistakes_are_said_in_the_language_of_who_sent_the_file(admin: APIClient) -> None:
    body = lines(3, r1={"text": ""})
    said = {}
    for language in ("en", "ru", "zh-hans"):
        job = sent(admin, body, **{"Accept-Language": language}).json()
        work_on_import(job["id"])
        refused = RefusedRow.objects.get(upload=job["id"])
        said[language] = [refused.message, refused.upload.said]
    assert all(re.fullmatch(r"[ -~“”]+", sentence) for sentence in said["en"])
    assert all(re.search("[а-я]", sentence) for sentence in said["ru"])
    assert all(re.search("[一-龥]", sentence) for sentence in said["zh-hans"])


def test_a_table_and_a_packed_file_come_in_as_well(admin: APIClient) -> None:
    table = b"external_id,text,a,b,c\nx/1,hello,0.7,0.2,0.1\nx/2,bye,0.1,0.1,0.8\n"
    job = sent(admin, table, kind="text/csv").json()
    assert job["name"] == "predictions.csv"
    work_on_import(job["id"])
    assert progress(admin, job["id"])["created"] == 2
    packed = {"Content-Encoding": "gzip"}
    url = f"{IMPORTS}?model_version=m2&name=nightly.jsonl"
    body: Any = gzip.compress(lines())
    job = admin.generic("POST", url, body, content_type=NDJSON, headers=packed).json()
    assert (job["name"], job["size"]) == ("nightly.jsonl", len(lines()))
    work_on_import(job["id"])
    assert progress(admin, job["id"])["created"] == 10


def test_the_order_of_lists_of_scores_may_be_named(admin: APIClient) -> None:
    job = sent(admin, lines(1), "&labels=c&labels=b&labels=a").json()
    work_on_import(job["id"])
    assert Prediction.objects.get().label.name == "c"


def test_a_mistake_keeps_everything_out_and_every_one_is_listed(
    admin: APIClient, small_parts: None
) -> None:
    body = lines(10, r4={"logits": [1.0]}, r7={"text": "=1+1", "logits": None}, r9={"text": ""})
    job = sent(admin, body).json()
    work_on_import(job["id"])
    done = progress(admin, job["id"])
    assert (done["status"], done["refused"], done["created"]) == ("refused", 3, 0)
    assert "nothing of it was stored" in done["said"]
    assert not Task.objects.exists()

    answer = admin.get(f"{IMPORTS}{job['id']}/errors/")
    assert answer["Content-Type"] == NDJSON
    rows = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]  # type: ignore[attr-defined]
    assert [(row["row"], row["field"]) for row in rows] == [
        (4, "logits"),
        (7, "logits"),
        (9, "text"),
    ]
    answer = admin.get(f"{IMPORTS}{job['id']}/errors/?format=csv")
    table = io.StringIO(b"".join(answer.streaming_content).decode())  # type: ignore[attr-defined]
    assert [row["row"] for row in csv.DictReader(table)] == ["4", "7", "9"]
    assert "import-" in answer["Content-Disposition"]


def test_an_identifier_that_stands_in_two_parts_of_a_file_is_a_mistake(
    admin: APIClient, small_parts: None
) -> None:
    job = sent(admin, lines(9, r8={"external_id": "t/0"})).json()
    work_on_import(job["id"])
    assert list(RefusedRow.objects.values_list("row", "field")) == [(8, "external_id")]
    assert not Task.objects.exists()


def test_what_no_database_holds_is_told_of_a_row_without_it(admin: APIClient) -> None:
    names = (b'"no\\u0000such"', b'"half \\ud83d"')
    rows = [b'{"external_id": "t", "text": "x", "logits": {%s: 1}}\n' % name for name in names]
    job = sent(admin, b"".join(rows)).json()
    work_on_import(job["id"])
    assert progress(admin, job["id"])["refused"] == 2
    said = list(RefusedRow.objects.order_by("row").values_list("message", flat=True))
    assert "no\ufffdsuch" in said[0]
    assert "half ?" in said[1]


def test_bad_rows_are_left_out_where_the_sender_says_so(
    admin: APIClient, small_parts: None
) -> None:
    body = lines(10, r4={"logits": [1.0]}, r9={"text": ""})
    job = sent(admin, body, "&on_error=skip_row").json()
    work_on_import(job["id"])
    done = progress(admin, job["id"])
    assert (done["status"], done["rows_read"], done["created"], done["refused"]) == (
        "done", 10, 8, 2,
    )  # fmt: skip
    assert list(RefusedRow.objects.order_by("row").values_list("row", flat=True)) == [4, 9]


class Killed(BaseException):
    """What ends a worker without a word."""


def kill_after(monkeypatch: pytest.MonkeyPatch, parts: int) -> None:
    """The next worker dies in the transaction of the part that follows `parts` whole ones."""
    real, seen = ingest_part, iter(range(parts))

    def part(**arguments: Any) -> Any:
        report = real(**arguments)
        if next(seen, None) is None:
            raise Killed
        return report

    monkeypatch.setattr(imports, "ingest_part", part)


def claim_is_over() -> None:
    Upload.objects.update(claimed_until=timezone.now() - datetime.timedelta(seconds=1))


@pytest.mark.parametrize("on_error", ["reject_batch", "skip_row"])
@pytest.mark.parametrize("kind", [NDJSON, "text/csv"])
def test_another_worker_goes_on_where_a_killed_one_was(
    project: Project,
    admin: APIClient,
    small_parts: None,
    monkeypatch: pytest.MonkeyPatch,
    on_error: str,
    kind: str,
) -> None:
    body = lines(10)
    if kind == "text/csv":
        body = b"external_id,text,a,b,c\n" + b"".join(
            b"t/%d,text %d,3,0.5,1\n" % (i, i) for i in range(10)
        )
    job = sent(admin, body, f"&on_error={on_error}", kind).json()
    with monkeypatch.context() as patch:
        kill_after(patch, parts=2)
        with pytest.raises(Killed):
            work_on_import(job["id"])
    now = progress(admin, job["id"])
    assert (now["status"], now["rows_read"], now["created"]) == ("storing", 6, 6)
    assert Task.objects.count() == 6  # of the third part nothing

    work_on_import(job["id"])  # the dead worker's claim holds yet
    assert progress(admin, job["id"])["rows_read"] == 6
    claim_is_over()
    offsets: list[int] = []

    def part(**given: Any) -> Any:
        offsets.append(given["offset"])
        return ingest_part(**given)

    monkeypatch.setattr(imports, "ingest_part", part)
    work_on_import(job["id"])
    done = progress(admin, job["id"])
    assert offsets == [6, 9]
    assert (done["status"], done["rows_read"], done["created"], done["unchanged"]) == (
        "done", 10, 10, 0,
    )  # fmt: skip
    assert Task.objects.count() == Prediction.objects.count() == 10


def meanwhile(monkeypatch: pytest.MonkeyPatch, row: int, happens: Callable[[], object]) -> None:
    """Once, while the first worker reads this row, something else happens."""
    real, calls = read_predictions, iter([None])

    def read(*arguments: Any, **more: Any) -> Iterator[object]:
        first = next(calls, "again") is None
        for number, item in enumerate(real(*arguments, **more)):
            if first and number == row:
                happens()
            yield item

    monkeypatch.setattr(imports, "read_predictions", read)


def test_a_worker_that_wakes_up_late_writes_nothing_twice(
    admin: APIClient, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = sent(admin, lines(10), "&on_error=skip_row").json()

    def another_takes_over() -> None:
        claim_is_over()
        work_on_import(job["id"])

    meanwhile(monkeypatch, 4, another_takes_over)
    work_on_import(job["id"])
    done = progress(admin, job["id"])
    assert (done["status"], done["rows_read"], done["created"], done["unchanged"]) == (
        "done", 10, 10, 0,
    )  # fmt: skip
    assert Event.objects.filter(verb="import_ended").count() == 1
    assert Event.objects.filter(verb="predictions_ingested").count() == 4


def test_a_worker_that_dies_while_it_checks_is_followed_by_one_that_begins_anew(
    admin: APIClient, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = sent(admin, lines(10, r1={"text": ""})).json()
    beats = iter([1, 2])

    def beat() -> None:
        if next(beats, None) is None:
            raise Killed

    with pytest.raises(Killed):
        work_on_import(job["id"], beat=beat)
    assert progress(admin, job["id"])["status"] == "checking"
    claim_is_over()
    work_on_import(job["id"])
    done = progress(admin, job["id"])
    assert (done["status"], done["refused"], done["rows_checked"]) == ("refused", 1, 10)


def test_a_file_that_kills_every_worker_ends_with_a_sentence(
    admin: APIClient, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    job = sent(admin, lines(3)).json()
    kill_after(monkeypatch, parts=0)
    for _ in range(1 + 5):  # the first one has checked the file, which counts as progress
        with pytest.raises(Killed):
            work_on_import(job["id"])
        claim_is_over()
    work_on_import(job["id"])
    done = progress(admin, job["id"])
    assert done["status"] == "refused"
    assert "cut short 5 times" in done["said"]
    assert files(folder) == []


def test_a_long_import_gives_other_jobs_a_turn_and_goes_on(
    admin: APIClient, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "TURN_SECONDS", -1.0)
    nudged: list[int] = []
    job = sent(admin, lines(4), "&on_error=skip_row").json()
    monkeypatch.setattr("labeling.actions.imports.dispatch.import_upload", nudged.append)
    work_on_import(job["id"])
    assert nudged == [job["id"]]
    assert progress(admin, job["id"])["status"] == "storing"
    monkeypatch.setattr(imports, "TURN_SECONDS", 60.0)
    work_on_import(job["id"])
    assert progress(admin, job["id"])["created"] == 4


def test_a_lost_message_is_found_by_the_sweep(
    admin: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = sent(admin, lines()).json()
    nudged: list[int] = []
    monkeypatch.setattr("labeling.actions.imports.dispatch.import_upload", nudged.append)
    sweep()
    assert nudged == [job["id"]]
    work_on_import(job["id"])
    sweep()
    assert nudged == [job["id"]]


def test_a_cancelled_import_keeps_what_it_has_stored_and_stores_no_more(
    admin: APIClient, small_parts: None, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    job = sent(admin, lines(10), "&on_error=skip_row").json()

    def cancel() -> None:
        answer = admin.post(f"{IMPORTS}{job['id']}/cancel/")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")

    meanwhile(monkeypatch, 7, cancel)
    work_on_import(job["id"])
    done = progress(admin, job["id"])
    assert (done["status"], done["rows_read"], done["created"]) == ("cancelled", 6, 6)
    assert Task.objects.count() == 6
    assert files(folder) == []
    assert admin.post(f"{IMPORTS}{job['id']}/cancel/").status_code == 200
    assert Event.objects.filter(verb="import_cancelled").count() == 1


def test_what_has_ended_cannot_be_cancelled(admin: APIClient) -> None:
    job = sent(admin, lines(1)).json()
    work_on_import(job["id"])
    answer = admin.post(f"{IMPORTS}{job['id']}/cancel/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")


def test_a_file_that_breaks_off_in_the_middle_says_where_and_what_stands(
    admin: APIClient, small_parts: None
) -> None:
    body = lines(7) + b'{"external_id": "t/7", "te'
    job = sent(admin, body, "&on_error=skip_row").json()
    work_on_import(job["id"])
    done = progress(admin, job["id"])
    assert (done["status"], done["created"]) == ("failed", 6)
    assert "line 8: this is not JSON" in done["said"]
    assert "What was stored before stays." in done["said"]
    whole = sent(admin, body).json()
    work_on_import(whole["id"])
    assert progress(admin, whole["id"])["status"] == "refused"


@pytest.mark.parametrize(
    ("query", "kind", "status", "words"),
    [
        ("?on_error=skip_row", NDJSON, 400, "model_version"),
        ("?model_version=%20", NDJSON, 400, "model_version"),
        ("?model_version=m1&labels=a&labels=nobody", NDJSON, 422, "nobody"),
        ("?model_version=m1&colour=red", NDJSON, 400, "colour"),
        ("?model_version=m1", "application/json", 415, "application/x-ndjson"),
        ("?model_version=m1", "application/zip", 415, "text/csv"),
    ],
)
def test_what_no_file_could_mend_is_refused_before_the_file_is_kept(
    admin: APIClient, folder: Path, query: str, kind: str, status: int, words: str
) -> None:
    body: Any = lines(1)
    answer = admin.generic("POST", IMPORTS + query, body, content_type=kind)
    assert answer.status_code == status
    assert words in json.dumps(answer.json())
    assert not Upload.objects.exists()
    assert not folder.exists()


def test_a_file_that_is_too_large_leaves_nothing_behind(
    admin: APIClient, settings: Any, folder: Path
) -> None:
    settings.UPLOAD_MAX_BYTES = 500
    answer = sent(admin, lines(100))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"
    bomb = {"Content-Encoding": "gzip"}
    assert sent(admin, gzip.compress(b"\n" * 10_000_000), "", NDJSON, **bomb).status_code == 413
    assert sent(admin, b"").status_code == 422
    assert not Upload.objects.exists()
    assert list(folder.iterdir()) == []


def test_a_sender_who_is_cut_off_has_sent_no_file(admin: APIClient, folder: Path) -> None:
    length = str(len(lines(3)) + 10)
    cut: dict[str, Any] = {"wsgi.input": io.BytesIO(lines(3)), "CONTENT_LENGTH": length}
    answer = admin.generic(
        "POST",
        f"{IMPORTS}?model_version=m1",
        content_type=NDJSON,
        **cut,
    )
    assert answer.status_code == 400
    assert "send it again" in answer.json()["error"]["message"]
    assert not Upload.objects.exists()
    assert files(folder) == []


def test_half_a_stream_is_no_stream() -> None:
    stream = Whole(io.BytesIO(b"abc"), 5)
    assert stream.read(10) == b"abc"
    with pytest.raises(Exception, match="ended before its end"):
        stream.read(10)


def test_no_more_imports_wait_than_there_is_room_for(
    admin: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "MOST_OPEN", 2)
    assert [sent(admin, lines(1)).status_code for _ in range(3)] == [202, 202, 409]


def test_imports_are_for_those_who_may_send_predictions(project: Project, admin: APIClient) -> None:
    job = sent(admin, lines(1)).json()
    for role in (Role.REGULAR, Role.EXPERT):
        client = client_as(project, role)
        assert sent(client, lines(1)).status_code == 403
        for path in ("", f"{job['id']}/", f"{job['id']}/errors/"):
            assert client.get(IMPORTS + path).status_code == 403
        assert client.post(f"{IMPORTS}{job['id']}/cancel/").status_code == 403
    stranger = client_as(make_project("other"), Role.ADMIN)
    assert stranger.get(f"{IMPORTS}{job['id']}/").status_code == 404
    assert admin.get(f"{IMPORTS}{job['id'] + 1}/").status_code == 404
    elsewhere = f"/api/v1/projects/other/imports/{job['id']}/"
    assert stranger.get(elsewhere).status_code == 404


def test_what_came_meanwhile_is_refused_by_row(
    project: Project, admin: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the check of a file and its storing somebody else sends another text."""
    job = sent(admin, lines(2)).json()
    real = imports._is_clean

    def and_then(*arguments: Any) -> bool:
        clean = real(*arguments)
        item = {"external_id": "t/1", "text": "another", "logits": [1.0, 2.0, 3.0]}
        ingest_predictions(project=project, model_version="m1", items=[item], by="rest")
        return clean

    monkeypatch.setattr(imports, "_is_clean", and_then)
    work_on_import(job["id"])
    done = progress(admin, job["id"])
    assert (done["status"], done["created"], done["refused"]) == ("done", 1, 1)


def test_imports_that_ended_go_after_a_month(admin: APIClient) -> None:
    job = sent(admin, lines(2, r1={"text": ""})).json()
    work_on_import(job["id"])
    sweep()
    assert RefusedRow.objects.count() == 1
    Upload.objects.update(finished_at=timezone.now() - datetime.timedelta(days=31))
    sweep()
    assert not Upload.objects.exists()
    assert not RefusedRow.objects.exists()


def test_memory_holds_a_part_of_the_file_whatever_its_length(
    admin: APIClient, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more rows are alive than a part has: what is read is handed on and let go."""
    job = sent(admin, lines(30), "&on_error=skip_row").json()
    ahead: list[int] = []
    real_read, real_part = read_predictions, ingest_part
    taken = 0

    def read(*arguments: Any, **more: Any) -> Iterator[object]:
        nonlocal taken
        for item in real_read(*arguments, **more):
            taken += 1
            yield item

    def part(**arguments: Any) -> Any:
        ahead.append(taken - arguments["offset"])
        return real_part(**arguments)

    monkeypatch.setattr(imports, "read_predictions", read)
    monkeypatch.setattr(imports, "ingest_part", part)
    work_on_import(job["id"])
    assert progress(admin, job["id"])["created"] == 30
    assert max(ahead) <= 3
