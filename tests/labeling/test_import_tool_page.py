"""A file of another annotation tool is looked at on the page, then stored as it was seen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from labeling.models import Annotation, Event, Member, Project, Resolution, Task, Upload
from tests.labeling.builders import make_member, make_project
from tests.labeling.test_import_project import DOCCANO, EXAMPLES, LABEL_STUDIO
from tests.labeling.test_pages import client_of

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]

IMPORT = "/p/shop/import/"


@pytest.fixture
def project() -> Project:
    return make_project(labels=[{"key": "a", "name": "card lost"}, "b", "c"])


@pytest.fixture
def admin(project: Project) -> Client:
    return client_of(make_member(project, "admin"))


def chosen(client: Client, content: object, name: str = "export.json") -> Any:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    given = {"kind": "project", "file": SimpleUploadedFile(name, raw)}
    return client.post(IMPORT, given, follow=True)


def looked(client: Client, page: Any, **changed: Any) -> Any:
    form = page.context["form"]
    values = {name: form[name].value() or "" for name in form.fields} | changed
    sent = {name: value for name, value in values.items() if value not in ("", None, False)}
    path = page.redirect_chain[-1][0] if page.redirect_chain else page.request["PATH_INFO"]
    return client.post(path, {"seen": page.context.get("seen", ""), **sent}, follow=True)


@pytest.mark.parametrize("tool", list(EXAMPLES))
def test_the_tool_is_guessed_and_everything_told_before_anything_is_stored(
    admin: Client, tool: str
) -> None:
    page = chosen(admin, EXAMPLES[tool])

    assert page.status_code == 200
    assert page.context["form"]["tool"].value() == tool
    assert page.context["look"].rows == len(EXAMPLES[tool])
    assert page.context["lost"]
    for model in (Task, Annotation, Resolution):
        assert not model.objects.exists()
    assert Member.objects.count() == 1


def test_what_was_seen_is_stored_and_the_upload_dropped(admin: Client) -> None:
    page = chosen(admin, LABEL_STUDIO)
    assert "spans, relations and other marks within a text" in page.content.decode()

    done = looked(admin, page, store="all")

    assert "new tasks 5, answers 6, predictions 2" in done.content.decode()
    assert Task.objects.count() == 5
    assert not Upload.objects.exists()
    event = Event.objects.get(verb="project_imported")
    assert (event.new or {})["tool"] == "label_studio"


def test_unknown_labels_are_mistakes_until_they_are_to_be_added(
    admin: Client, project: Project
) -> None:
    items = [*DOCCANO[:2], {"id": 9, "text": "x", "label": ["<b>new</b>"]}]
    page = chosen(admin, items)
    said = page.content.decode()
    assert "The project has no label “&lt;b&gt;new&lt;/b&gt;”." in said
    assert "Leave the bad rows out and store 2 rows" in said

    again = looked(admin, page, add_labels="on")

    assert (again.context["look"].bad_rows, again.context["look"].new_labels) == (
        0, ["<b>new</b>"],
    )  # fmt: skip
    assert project.labels.count() == 3
    looked(admin, again, add_labels="on", store="all")
    assert project.labels.filter(name="<b>new</b>").exists()


def test_good_rows_go_in_alone_and_only_as_they_were_looked_at(admin: Client) -> None:
    items = [*DOCCANO[:1], {"id": 9, "text": "x", "label": ["new"]}]
    page = chosen(admin, items)

    changed = looked(admin, page, annotator="ann", store="good")
    assert changed.context["changed"]
    assert not Task.objects.exists()

    looked(admin, changed, store="good")
    assert Task.objects.count() == 1
    assert Annotation.objects.get().member.name == "doccano ann"


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"a,b\n", "x.csv", "should end in .json, .jsonl, .ndjson"),
        (b"{", "x.json", "is not JSON"),
        (b'{"a": 1}', "x.json", "should hold a list"),
        (b"\xff\xfe", "x.jsonl", "UTF-16"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_words(
    admin: Client, content: bytes, name: str, words: str
) -> None:
    page = chosen(admin, content, name)

    assert page.status_code == 422
    assert words in page.content.decode()
    assert not Upload.objects.exists()


def test_a_file_of_no_known_tool_says_so(admin: Client) -> None:
    page = chosen(admin, [{"whatever": 1}])

    assert page.status_code == 422
    assert page.context["form"].errors["tool"]
    assert not Task.objects.exists()
