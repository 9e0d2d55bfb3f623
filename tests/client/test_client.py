"""The client against the running site."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer

from countersign import Client, ClientError, RefusedError, SignedOutError, StillRunningError
from countersign.__main__ import main
from countersign.errors import FileError, UnreachableError
from labeling.actions.imports import due_imports, work_on_import
from labeling.actions.mappings import make_mapping
from labeling.actions.projects import create_token
from labeling.actions.snapshots import due_snapshots, make_snapshot
from labeling.models import ApiToken, Prediction, Project, Role, Run, Scope, Task, Upload
from tests.labeling.builders import make_member, make_project
from tests.labeling.rest import user_of
from tests.proxy import Wire

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = [
    {"external_id": f"t/{i}", "text": f"text {i}", "logits": [3.0, 0.5, i / 10]} for i in range(7)
]


@pytest.fixture
def project(transactional_db: None) -> Project:
    return make_project()


@pytest.fixture
def secret(project: Project) -> str:
    user = user_of(make_member(project, Role.ADMIN))
    _token, secret = create_token(user=user, name="client", scopes=[Scope.READ, Scope.INGEST])
    return secret


@pytest.fixture
def client(live_server: LiveServer, secret: str) -> Iterator[Client]:
    with Client(live_server.url, secret, tries=1) as client:
        yield client


@pytest.fixture
def signed_in(
    live_server: LiveServer, secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A home in which `countersign login` was run; the file that it wrote."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COUNTERSIGN_TOKEN", secret)
    assert main(["login", live_server.url]) == 0
    monkeypatch.delenv("COUNTERSIGN_TOKEN")
    return tmp_path / "config" / "countersign" / "login.json"


def test_rows_go_out_in_batches_and_come_back_as_tasks(client: Client) -> None:
    sent: list[int] = []
    done = client.push("shop", ROWS, model_version="m1", batch=3, progress=sent.append)
    assert (done.created, done.unchanged, done.errors) == (7, 0, [])
    assert sent == [3, 6, 7]
    assert [label["key"] for label in client.labels("shop")] == ["a", "b", "c"]
    assert {task["external_id"] for task in client.tasks("shop", page_size=2)} == {
        row["external_id"] for row in ROWS
    }
    again = client.push("shop", ROWS, model_version="m1")
    assert (again.created, again.unchanged) == (0, 7)


def test_scores_may_be_arrays(client: Client) -> None:
    rows = [{"external_id": "n", "text": "x", "logits": np.array([1, 2, 4], dtype=np.float32)}]
    assert client.push("shop", rows, model_version="m1").created == 1
    assert Prediction.objects.get().label.name == "c"


def test_a_number_without_json_is_refused_before_anything_is_sent(client: Client) -> None:
    rows = [*ROWS[:2], {"external_id": "n", "text": "x", "logits": [1.0, float("nan"), 0.0]}]
    with pytest.raises(ClientError, match="Row 2 cannot be sent as JSON"):
        client.push("shop", rows, model_version="m1")
    assert not Task.objects.exists()


def test_refused_rows_are_counted_from_the_first_one_sent(client: Client) -> None:
    rows = [dict(row) for row in ROWS]
    rows[4]["logits"] = [1.0]
    with pytest.raises(RefusedError) as refused:
        client.push("shop", rows, model_version="m1", batch=3)
    assert [detail["index"] for detail in refused.value.details] == [4]
    assert refused.value.status == 422
    assert Task.objects.count() == 3  # the batch before stays

    done = client.push("shop", rows, model_version="m1", batch=3, on_error="skip_row")
    assert [(error.row, error.field) for error in done.errors] == [(4, "logits")]
    assert Task.objects.count() == 6


def test_waiting_ends_when_the_run_is_completed(client: Client) -> None:
    done = client.push("shop", ROWS, model_version="m1")
    with pytest.raises(StillRunningError, match="7 tasks are unfinished"):
        client.wait("shop", done.runs, timeout=0)
    call_command("run_pipeline", "shop", "--wait")
    left: list[int] = []
    client.wait("shop", done.runs, progress=left.append)
    assert left == [0]
    rows = list(client.pull("shop"))
    assert [row["external_id"] for row in rows] == [row["external_id"] for row in ROWS]
    assert list(client.pull("shop", status="resolved")) == []


def test_a_revoked_token_and_a_wrong_address_are_told_apart(
    client: Client, live_server: LiveServer, secret: str
) -> None:
    ApiToken.objects.all().delete()
    with pytest.raises(SignedOutError):
        client.labels("shop")
    with (
        Client("http://127.0.0.1:9", secret, tries=1) as nobody,
        pytest.raises(UnreachableError, match="cannot be reached"),
    ):
        nobody.labels("shop")
    with pytest.raises(ClientError, match="is no address of a site"):
        Client("ftp://example.org", secret)


def test_a_site_that_comes_back_is_found_again(live_server: LiveServer, secret: str) -> None:
    wire = Wire(live_server.thread.port)
    back = threading.Timer(1.0, wire.mend)
    back.start()
    try:
        with Client(f"http://127.0.0.1:{wire.port}", secret) as client:
            assert client.push("shop", ROWS, model_version="m1").created == 7
    finally:
        back.join()
        wire.cut()


def test_what_is_sent_again_since_the_answer_was_lost_is_made_once(
    live_server: LiveServer, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = user_of(make_member(project, Role.ADMIN))
    _token, secret = create_token(user=user, name="all", scopes=list(Scope.values))
    real, sent = httpx2.Client.request, Counter[str]()

    def lossy(self: httpx2.Client, method: str, url: str, **more: Any) -> httpx2.Response:
        reply = real(self, method, url, **more)
        sent[url] += 1
        if method == "POST" and sent[url] == 1:
            raise httpx2.ReadError("the answer got lost")
        return reply

    monkeypatch.setattr(httpx2.Client, "request", lossy)
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    with Client(live_server.url, secret, tries=2) as client:
        assert client.create_project("mine", name="Mine", labels=["x", "y"])["slug"] == "mine"
        with pytest.raises(StillRunningError):
            client.make_snapshot("shop", timeout=0)
        with pytest.raises(StillRunningError):
            client.push_file("shop", file, model_version="m1", timeout=0)
    assert Project.objects.filter(slug="mine").count() == 1
    assert (project.snapshots.count(), project.uploads.count()) == (1, 1)


def test_a_project_that_is_not_there_is_refused_in_words(client: Client) -> None:
    with pytest.raises(RefusedError, match="No project of yours") as refused:
        list(client.pull("nowhere"))
    assert refused.value.status == 404


def test_the_login_is_for_its_owner_alone(signed_in: Path) -> None:
    assert stat.S_IMODE(signed_in.stat().st_mode) == 0o600


def test_a_file_is_pushed_and_pulled_from_the_terminal(
    signed_in: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    file = tmp_path / "scores.csv"
    file.write_text("external_id,text,a,b,c\n1,first,1.5,0.5,\n2,“second”,0,2,1\n")
    capsysbinary.readouterr()
    assert main(["push", "shop", str(file), "--model-version", "m1"]) == 0
    told = capsysbinary.readouterr()
    assert b"2 created, 0 updated, 0 unchanged, 0 refused." in told.err
    run = told.out.decode().strip()
    call_command("run_pipeline", "shop", "--wait")
    capsysbinary.readouterr()
    assert main(["wait", "shop", run]) == 0
    assert main(["pull", "shop"]) == 0
    rows = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert [(row["external_id"], row["text"]) for row in rows] == [
        ("1", "first"),
        ("2", "“second”"),
    ]

    out = tmp_path / "labels.csv"
    assert main(["pull", "shop", "-o", str(out), "--format", "csv"]) == 0
    assert out.read_text().startswith("external_id,")
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


@pytest.mark.parametrize("as_file", [False, True])
def test_names_of_another_system_are_pushed_under_a_mapping(
    signed_in: Path,
    project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    as_file: bool,
) -> None:
    make_mapping(project=project, name="crm", pairs=[("X-1", "a"), ("X-2", "b")], by="test")
    monkeypatch.setattr("countersign.client.POLL_SECONDS", 0.05)
    if as_file:
        monkeypatch.setattr("countersign.__main__.AS_FILE_ABOVE", 0)
    file = tmp_path / "scores.csv"
    file.write_text("external_id,text,X-1,X-2,c\n1,first,0.5,1.5,0\n")
    line = ["push", "shop", str(file), "--model-version", "m1", "--mapping"]
    with a_worker():
        assert main([*line, "crm"]) == 0
    assert Prediction.objects.get().label.name == "b"
    assert main([*line, "none"]) == 1
    assert "has no label mapping “none”. It has: crm." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.jsonl", b'{"external_id": 1}\n{"a"', "x.jsonl, line 2: no JSON"),
        ("x.jsonl", b"[1]\n", "x.jsonl, line 1: not a JSON object."),
        ("x.jsonl", b"\xff\xfe{", "x.jsonl is not UTF-8"),
        ("x.csv", b"id,text\n1,a\n", "x.csv lacks the column"),
        ("x.csv", b"external_id,text\n1,a,b\n", "x.csv, line 2: not as many cells"),
        ("x.csv", b"external_id,text\n1\n", "x.csv, line 2: not as many cells"),
        ("x.txt", b"", "x.txt: the name should end in"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_its_line(
    signed_in: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes,
    sentence: str,
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    assert main(["push", "shop", str(file), "--model-version", "m1"]) == 1
    assert sentence in capsys.readouterr().err
    assert not Task.objects.exists()


def test_refused_rows_are_listed_at_the_terminal(
    signed_in: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({**row, "logits": [1.0]}) + "\n" for row in ROWS[:2]))
    assert main(["push", "shop", str(file), "--model-version", "m1"]) == 1
    said = capsys.readouterr().err
    assert "row 1, logits: There are 3 labels but 1 score" in said


def test_nobody_signed_in_is_told_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert main(["pull", "shop"]) == 1
    assert "run `countersign login SITE`" in capsys.readouterr().err


def test_the_client_loads_nothing_of_the_server() -> None:
    code = (
        "import sys, countersign, countersign.__main__\n"
        "ours = {'labeling', 'llm_worker', 'rerank_engine', 'annotation_site', 'django', 'numpy'}\n"
        "print(sorted(ours & {name.partition('.')[0] for name in sys.modules}))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "[]"


def test_a_project_is_made_and_a_task_answered(live_server: LiveServer, project: Project) -> None:
    user = user_of(make_member(project, Role.ADMIN))
    _token, secret = create_token(user=user, name="all", scopes=list(Scope.values))
    with Client(live_server.url, secret, tries=1) as client:
        client.create_project("mine", name="Mine", labels=["x", "y"], answers_needed=1)
        rows = [{"external_id": "1", "text": "one", "logits": {"x": 1.0, "y": 0.5}}]
        client.push("mine", rows, model_version="m1")
        call_command("run_pipeline", "mine", "--wait")
        assert client.annotate("mine", "1", label="y")["status"] == "resolved"
        assert [row["label"] for row in client.pull("mine", status="resolved")] == ["y"]
        with pytest.raises(RefusedError) as refused:
            client.create_project("mine", name="Mine", labels=["x", "y"])
        assert refused.value.status == 409


def test_a_snapshot_is_made_and_pulled_from_the_terminal(
    project: Project,
    signed_in: Path,
    client: Client,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ApiToken.objects.update(scopes=[str(scope) for scope in Scope])
    client.push("shop", ROWS, model_version="m")
    ended = threading.Event()

    def work() -> None:
        """What a worker does beside the site."""
        while not ended.wait(0.2):
            for pk in due_snapshots(timezone.now()).values_list("pk", flat=True):
                make_snapshot(pk)
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        assert main(["snapshot", "shop", "--note", "first", "--split", "80,10,10"]) == 0
    finally:
        ended.set()
        worker.join()
    assert capsys.readouterr().out == "1\n"
    assert [kept["note"] for kept in client.snapshots("shop")] == ["first"]
    Task.objects.filter(external_id="t/3").update(metadata={"changed": True})
    rows = list(client.pull("shop", snapshot=1))
    assert [row["external_id"] for row in rows] == [row["external_id"] for row in ROWS]
    assert not any(row["metadata"] for row in rows)
    assert all(row["split"] for row in rows)
    out = tmp_path / "kept.csv"
    assert main(["pull", "shop", "--snapshot", "1", "-o", str(out), "--format", "csv"]) == 0
    assert len(out.read_text().splitlines()) == len(ROWS) + 1


@contextmanager
def a_worker() -> Iterator[None]:
    """What a worker does beside the site: it imports what waits."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.1):
            for pk in due_imports(timezone.now()).values_list("pk", flat=True):
                work_on_import(pk)
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        ended.set()
        worker.join()


def test_a_large_file_is_sent_whole_and_imported_by_a_worker(
    project: Project,
    signed_in: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("countersign.client.POLL_SECONDS", 0.05)
    monkeypatch.setattr("countersign.__main__.AS_FILE_ABOVE", 10)
    file = tmp_path / "night.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    with a_worker():
        assert main(["push", "shop", str(file), "--model-version", "m1"]) == 0
    said = capsys.readouterr()
    assert "7 created, 0 updated, 0 unchanged, 0 refused." in said.err
    run = Run.objects.get()
    assert said.out.split() == [str(run.pk)]
    assert run.status != "open"
    job = Upload.objects.get()
    assert (job.name, job.status) == ("night.jsonl", "done")

    table = tmp_path / "night.csv"
    table.write_text("external_id,text,a,b,c\nx/1,hello,0.7,0.2,0.1\n,bye,0.1,0.1,0.8\n")
    with a_worker():
        assert main(["push", "shop", str(table), "--model-version", "m1"]) == 1
    said = capsys.readouterr()
    assert "The file has mistakes" in said.err
    assert "row 1, external_id" in said.err
    with a_worker():
        skip = ["--on-error", "skip_row"]
        assert main(["push", "shop", str(table), "--model-version", "m1", *skip]) == 1
    assert "1 created, 0 updated, 0 unchanged, 1 refused." in capsys.readouterr().err


def test_waiting_for_an_import_ends_while_the_site_goes_on(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "x.ndjson"
    file.write_text(json.dumps(ROWS[0]) + "\n")
    with pytest.raises(StillRunningError, match="is not done after 0 seconds"):
        client.push_file("shop", file, model_version="m1", timeout=0)
    assert Upload.objects.get().status == "waiting"
    with pytest.raises(FileError, match="should end in"):
        client.push_file("shop", tmp_path / "x.xlsx", model_version="m1")
    with pytest.raises(FileError, match="cannot be read"):
        client.push_file("shop", tmp_path / "gone.csv", model_version="m1")


def test_the_next_texts_are_those_that_the_classifier_is_least_sure_of(client: Client) -> None:
    client.push("shop", ROWS, model_version="m1")
    Task.objects.update(status="deferred")
    texts = client.next_texts("shop", strategy="least_confidence", n=2, diverse=True)
    assert [text["external_id"] for text in texts] == ["t/6", "t/5"]
