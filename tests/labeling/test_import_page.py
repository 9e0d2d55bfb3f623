"""A file is looked at, its columns are chosen, and all of it or its good rows are stored."""

from __future__ import annotations

import datetime
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from labeling.actions.documents import import_documents
from labeling.actions.errors import ActionRefused
from labeling.actions.imports import work_on_import
from labeling.actions.ingest import ingest_predictions
from labeling.actions.uploads import keep_upload, path_of
from labeling.models import Document, Event, ModelVersion, Prediction, Project, Task, Upload
from labeling.scores import unpack
from labeling.views import import_look
from llm_worker.pipeline.sweep import sweep
from tests.labeling.builders import make_artifact, make_member, make_project
from tests.labeling.test_pages import client_of

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]

IMPORT = "/p/shop/import/"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def admin(project: Project) -> Client:
    return client_of(make_member(project, "admin"))


def chosen(
    client: Client, content: str | bytes, name: str = "chats.csv", kind: str = "predictions"
) -> Any:
    """The answer to an upload, redirects followed."""
    raw = content.encode() if isinstance(content, str) else content
    given = {"kind": kind, "file": SimpleUploadedFile(name, raw)}
    return client.post(IMPORT, given, follow=True)


def fields(page: Any, **changed: Any) -> dict[str, Any]:
    """What the browser sends of the form with the columns."""
    form = page.context["form"]
    values = {name: form[name].value() for name in form.fields} | changed
    sent = {name: value for name, value in values.items() if value not in (None, "", [])}
    return sent | {"seen": page.context.get("seen", "")}


def looked(client: Client, page: Any, **changed: Any) -> Any:
    """The page once more under other columns."""
    return client.post(page.redirect_chain[-1][0], fields(page, **changed), follow=True)


def stored(client: Client, page: Any, path: str, which: str = "all") -> str:
    """What stands on the page of the import once a worker has been there; of documents, at once."""
    sent = fields(page) | {"store": which}
    answer = client.post(path, sent, follow=True)
    for upload in Upload.objects.filter(status=Upload.Status.WAITING):
        assert "Waiting for a worker." in answer.content.decode()
        work_on_import(upload.pk)
        answer = client.get(answer.redirect_chain[-1][0])
    return str(answer.content.decode())


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.UPLOADS_DIR = tmp_path / "uploads"
    return tmp_path / "uploads"


def test_a_csv_with_a_column_for_each_label_goes_in_as_it_was_shown(
    project: Project, admin: Client, folder: Path
) -> None:
    page = chosen(admin, "id,text,a,b,c,channel\n1,hello,0.7,0.2,0.1,mail\n2,bye,0.1,0.1,0.8,\n")
    html = page.content.decode()
    assert "2 rows were read" in html
    assert "None has a mistake." in html
    assert "a 0.7, b 0.2, c 0.1" in html
    assert not Task.objects.exists()
    path = page.redirect_chain[-1][0]
    again = looked(admin, page, metadata=["channel"])
    assert "channel: mail" in again.content.decode()
    html = stored(admin, again, path)
    assert "2 rows are stored." in html
    one, two = Task.objects.order_by("pk")
    assert (one.external_id, one.text, one.metadata) == ("1", "hello", {"channel": "mail"})
    assert two.metadata == {}
    version = ModelVersion.objects.get()
    assert (version.name, version.score_kind) == ("chats", "probabilities")
    assert [round(float(x), 2) for x in unpack(Prediction.objects.get(task=one).scores)] == [
        0.7, 0.2, 0.1,
    ]  # fmt: skip
    assert list(folder.iterdir()) == []
    assert Event.objects.filter(verb="predictions_ingested").count() == 1


def test_what_goes_in_by_the_page_is_what_goes_in_over_rest(
    project: Project, admin: Client
) -> None:
    page = chosen(admin, "external_id,text,label,confidence\nx/1,hello,a,0.9\n")
    stored(admin, page, page.redirect_chain[-1][0])
    item = {"external_id": "x/1", "text": "hello", "probabilities": {"a": 0.9}}
    report = ingest_predictions(project=project, model_version="chats", items=[item], by="rest")
    assert (report.created, report.updated, report.unchanged) == (0, 0, 1)


def test_every_bad_row_is_named_and_none_goes_in_unless_they_are_left_out(
    project: Project, admin: Client
) -> None:
    rows = [
        {"id": 1, "text": "fine", "logits": [1, 2, 3]},
        {"id": 2, "text": "", "logits": [1, 2, 3]},
        {"id": 3, "text": "short", "logits": [1, 2]},
        {"id": 1, "text": "twice", "logits": [1, 2, 3]},
        {"id": 5, "text": "lost", "logits": {"lost": 1}},
        ["no", "object"],
        {"id": 7, "text": "x" * 20_001, "logits": [1, 2, 3]},
        {"id": 8, "text": "=HYPERLINK(1)", "logits": [1, 2, 3]},
    ]
    content = (
        "\n".join(json.dumps(row) for row in rows)
        + '\n{"id": 9, "text": "n", "logits": [NaN, 1, 2]}\n'
    )
    page = chosen(admin, content, "chats.jsonl")
    html = page.content.decode()
    path = page.redirect_chain[-1][0]
    assert "9 rows were read" in html
    assert "7 have mistakes" in html
    found = re.findall(r'<td class="number">(\d+)</td><td>\w*</td><td>([^<]+)</td></tr>', html)
    assert [int(number) for number, _what in found] == [2, 3, 4, 5, 6, 7, 9]
    assert "There are 3 labels but 2 scores." in html
    assert "not finite" in html
    assert "Store 2 rows</button>" not in html
    refused = admin.post(path, fields(page) | {"store": "all"})
    assert refused.status_code == 422
    assert not Task.objects.exists()
    html = stored(admin, page, path, "good")
    assert "2 rows are stored." in html
    assert "There are 3 labels but 2 scores." in html
    job = Upload.objects.get()
    assert (job.refused, list(job.refused_rows.order_by("row").values_list("row", flat=True))) == (
        7,
        [1, 2, 3, 4, 5, 6, 8],
    )
    assert set(Task.objects.values_list("external_id", "text")) == {
        ("1", "fine"),
        ("8", "=HYPERLINK(1)"),
    }


UNREADABLE = [
    ("chats.csv", b"id,text\n1,caf\xe9\n", "byte 6 is not UTF-8"),
    ("chats.csv", "id,text\n1,x\n".encode("utf-16"), "UTF-16"),
    ("chats.csv", b"id,text\n1,x,y\n", "line 2: 3 cells, but the header has 2"),
    ("chats.csv", b'id,text\n1,"cut', "line 2"),
    ("chats.jsonl", b'{"id": 1, "text": "x"}\n{"id": 2, "te', "line 2: this is not JSON"),
    ("chats.jsonl", b"[" * 100_000, "nested too deeply"),
    ("chats.json", b'{"id": 1}', "should hold a list"),
    ("chats.csv", b"", "is empty"),
    ("chats.csv", b"\n\n", "no header line"),
    ("chats.csv", b"id,text,text\n1,a,b\n", "stands there twice"),
    ("chats.csv", (",".join(f"c{n}" for n in range(1200)) + "\n").encode(), "1200 columns"),
    ("chats.xlsx", b"PK", "should end in"),
    ("chats.jsonl", b"1\n2\n", "no rows with named values"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), UNREADABLE)
def test_a_file_that_cannot_be_read_is_refused_with_the_place(
    project: Project, admin: Client, name: str, content: bytes, sentence: str
) -> None:
    make_artifact(project, "classifier", active=True)
    page = chosen(admin, content, name)
    assert page.status_code == 422
    assert sentence in page.content.decode()
    assert not Task.objects.exists()


def test_a_byte_order_mark_and_a_disarmed_formula_come_in_as_they_were(
    project: Project, admin: Client
) -> None:
    make_artifact(project, "classifier", active=True)
    page = chosen(admin, b"\xef\xbb\xbfid,text\n1,'=1+1\n")
    stored(admin, page, page.redirect_chain[-1][0])
    assert Task.objects.get().text == "=1+1"


def test_rows_without_an_identifier_are_called_by_file_and_number(
    project: Project, admin: Client
) -> None:
    make_artifact(project, "classifier", active=True)
    page = chosen(admin, "message\nhello\nbye\n")
    stored(admin, page, page.redirect_chain[-1][0])
    assert set(Task.objects.values_list("external_id", flat=True)) == {"chats-1", "chats-2"}


def test_columns_that_were_not_looked_at_are_shown_before_they_are_stored(
    project: Project, admin: Client
) -> None:
    make_artifact(project, "classifier", active=True)
    page = chosen(admin, "id,text,other\n1,hello,bye\n")
    path = page.redirect_chain[-1][0]
    answer = admin.post(path, fields(page, text="other") | {"store": "all"})
    assert "Nothing is stored yet" in answer.content.decode()
    assert not Task.objects.exists()
    stored(admin, answer, path)
    assert Task.objects.get().text == "bye"


def test_a_file_that_is_too_large_names_the_command(
    project: Project, admin: Client, settings: Any
) -> None:
    settings.UPLOAD_MAX_BYTES = 1024 * 1024
    page = chosen(admin, "id,text\n" + "1,x\n" * 300_000)
    assert page.status_code == 422
    assert "python manage.py import_predictions shop FILE" in page.content.decode()
    assert not Upload.objects.exists()


def test_of_a_long_file_the_first_rows_are_looked_at_and_all_are_checked_by_the_job(
    project: Project, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_artifact(project, "classifier", active=True)
    monkeypatch.setattr(import_look, "LOOKED_AT", 3)
    page = chosen(admin, "id,text\n1,a\n2,b\n3,c\n")
    assert "Store 3 rows</button>" in page.content.decode()
    page = chosen(admin, "id,text\n1,a\n2,b\n3,c\n4,\n")
    html = page.content.decode()
    assert "3 rows were read." in html
    assert "A worker looks at all of them." in html
    assert "Store the whole file</button>" in html
    html = stored(admin, page, page.redirect_chain[-1][0])
    assert "Nothing is stored." in html
    assert "The file has mistakes" in html
    assert '<td class="number">4</td>' in html
    assert not Task.objects.exists()


def test_an_import_can_be_cancelled_on_its_page(project: Project, admin: Client) -> None:
    make_artifact(project, "classifier", active=True)
    page = chosen(admin, "id,text\n1,a\n")
    path = page.redirect_chain[-1][0]
    answer = admin.post(path, fields(page) | {"store": "all"}, follow=True)
    assert "Cancel the import" in answer.content.decode()
    job = Upload.objects.get()
    answer = admin.post(f"/p/shop/import/{job.pk}/cancel/", follow=True)
    assert "The import was cancelled." in answer.content.decode()
    work_on_import(job.pk)
    assert not Task.objects.exists()
    assert admin.post(f"/p/shop/import/{job.pk}/cancel/").status_code == 302
    assert "chats.csv" in admin.get(IMPORT).content.decode()
    assert admin.get(path).status_code == 302  # there is nothing more to look at


def test_the_page_of_an_import_is_for_the_admins_of_its_project(
    project: Project, admin: Client
) -> None:
    make_artifact(project, "classifier", active=True)
    page = chosen(admin, "id,text\n1,a\n")
    look = Upload.objects.get()
    assert admin.get(f"/p/shop/import/{look.pk}/progress/").status_code == 404
    stored(admin, page, page.redirect_chain[-1][0])
    path = f"/p/shop/import/{look.pk}/progress/"
    other = client_of(make_member(project, "admin"))
    assert other.get(path).status_code == 200
    assert client_of(make_member(project, "expert")).get(path).status_code == 403
    assert client_of(make_member(make_project("bank"), "admin")).get(path).status_code == 404


def test_documents_go_in_the_same_way(project: Project, admin: Client) -> None:
    page = chosen(admin, "id,title,text\n1,SIM,Wipe it.\n2,,\n", "docs.csv", "documents")
    html = page.content.decode()
    assert "1 has a mistake" in html
    path = page.redirect_chain[-1][0]
    assert admin.post(path, fields(page) | {"store": "all"}).status_code == 422
    html = stored(admin, page, path, "good")
    assert "1 row is stored." in html
    assert Document.objects.get().title == "SIM"
    with pytest.raises(ActionRefused):
        import_documents(project=project, items=[{"id": "1"}], by="test")


def test_importing_is_for_admins_and_a_file_for_who_chose_it(
    project: Project, admin: Client
) -> None:
    page = chosen(admin, "id,text,a,b,c\n1,hello,1,2,3\n")
    path = page.redirect_chain[-1][0]
    for role in ("regular", "expert"):
        client = client_of(make_member(project, role))
        assert client.get(IMPORT).status_code == 403
        assert client.get(path).status_code == 403
    assert client_of(make_member(project, "admin")).get(path).status_code == 404


def test_files_nobody_stored_go_after_a_day(project: Project, folder: Path) -> None:
    member = make_member(project, "admin")
    given: dict[str, Any] = {"kind": "documents", "blocks": [b"x"], "suffixes": [".csv"]}
    old = keep_upload(member=member, name="old.csv", **given)
    Upload.objects.update(created_at=timezone.now() - datetime.timedelta(hours=25))
    kept = keep_upload(member=member, name="new.csv", **given)
    left = folder / "of a process that died"
    left.mkdir()
    sweep()
    assert list(Upload.objects.all()) == [kept] != [old]
    assert [path.name for path in folder.rglob("*.csv")] == ["new.csv"]
    assert left.exists()  # it may still be written
    long_ago = time.time() - 25 * 3600
    for path in folder.iterdir():
        os.utime(path, (long_ago, long_ago))
    sweep()
    assert not left.exists()
    assert path_of(kept).read_bytes() == b"x"


@pytest.mark.parametrize(
    "name", ["../../etc/passwd.csv", "a\x00b\n.csv", "x" * 500 + ".csv", "данные" * 50 + ".csv"]
)
def test_a_file_lies_in_its_folder_whatever_it_is_called(
    project: Project, folder: Path, name: str
) -> None:
    member = make_member(project, "admin")
    upload = keep_upload(
        member=member, kind="predictions", name=name, blocks=[b"x"], suffixes=[".csv"]
    )
    assert path_of(upload).resolve().parent.parent == folder.resolve()
    assert path_of(upload).read_bytes() == b"x"
    assert upload.name.endswith(".csv")
    assert upload.name.isprintable()


def test_markup_in_a_file_is_shown_as_text(project: Project, admin: Client) -> None:
    page = chosen(admin, "id,<b>text</b>\n1,<script>alert(1)</script>\n")
    html = page.content.decode()
    assert "<script>alert" not in html
    assert "<b>text" not in html
