"""The list of projects, a new one, its settings in words, its end and its return."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from labeling.actions.projects import SETTINGS, archive_project, change_settings
from labeling.models import Event, Label, Member, Project
from labeling.views.setting_groups import ELSEWHERE, GROUPS
from labeling.views.settings import form_of
from tests.labeling.builders import make_member, make_project, make_run, make_task, make_user
from tests.labeling.cast import deferred, say
from tests.labeling.test_pages import client_of

pytestmark = pytest.mark.django_db

SETTINGS_PAGE = "/p/shop/settings/"
NEW = "/projects/new/"


@pytest.fixture
def project() -> Project:
    return make_project(answers_needed=1)


@pytest.fixture
def admin(project: Project) -> Client:
    return client_of(make_member(project, "admin", "ada"))


def sent(project: Project, key: str, **changed: Any) -> dict[str, Any]:
    """What the browser sends for the group as it stands, but for what was `changed`."""
    group = next(one for one in GROUPS if one.key == key)
    form = form_of(group, project)
    values = {name: form[name].value() for name in group.names} | changed
    last = project.events.filter(verb="settings_changed").first()
    return {
        "group": key,
        "seen": last.pk if last else 0,
        **{
            f"{key}-{name}": value
            for name, value in values.items()
            if value is not None and value is not False
        },
    }


# --- The list -----------------------------------------------------------------------------------


def test_the_list_tells_what_waits_for_whom_and_how_far_the_project_is(project: Project) -> None:
    ann, ben = make_member(project), make_member(project)
    tasks = [deferred(project) for _ in range(3)]
    make_task(project)
    say(ann, tasks[0], "a")
    html = client_of(ann).get("/").content.decode()
    assert "2 wait for you" in html
    assert "Resolved: <b>1</b>" in html
    assert "Waiting for people: <b>2</b>" in html
    assert "last activity" in html
    Member.objects.filter(pk=ben.pk).update(role="expert")
    say(ben, tasks[1], "a")
    say(ben, tasks[2], "a")
    assert "Nothing waits for you" in client_of(ben).get("/").content.decode()


def test_the_list_asks_the_database_as_often_for_many_tasks(project: Project) -> None:
    client = client_of(make_member(project))
    asked = []
    for more in (1, 20):
        for _ in range(more):
            deferred(project)
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/").status_code == 200
        asked.append(len(queries))
    assert asked[0] == asked[1]


# --- A new project ------------------------------------------------------------------------------


def test_labels_are_looked_at_before_a_project_is_made() -> None:
    user = make_user("eve")
    client = Client()
    client.force_login(user)
    given = {"name": "Bank", "slug": "bank", "labels": "card lost\nfee\n\n"}
    looked = client.post(NEW, given).content.decode()
    assert "2 labels were read" in looked
    assert "card_lost" in looked
    assert not Project.objects.exists()
    made = client.post(NEW, given | {"make": "1"})
    assert made["Location"] == "/p/bank/"
    member = Member.objects.get()
    assert (member.user, member.role) == (user, "admin")
    assert set(Label.objects.values_list("key", "name")) == {
        ("card_lost", "card lost"),
        ("fee", "fee"),
    }


def test_labels_of_a_file_are_kept_in_the_form_with_all_that_they_have() -> None:
    client = Client()
    client.force_login(make_user())
    content = "- name: fee\n  description: what it costs\n  examples: [why 5 euros]\n- card lost\n"
    file = SimpleUploadedFile("labels.yaml", content.encode())
    given = {"name": "Bank", "slug": "bank"}
    looked = client.post(NEW, given | {"file": file})
    assert "2 labels were read" in looked.content.decode()
    pasted = looked.context["form"]["labels"].value()
    assert client.post(NEW, given | {"labels": pasted, "make": "1"}).status_code == 302
    fee = Label.objects.get(key="fee")
    assert (fee.description, fee.examples) == ("what it costs", ["why 5 euros"])


BAD = [
    ("labels.txt", b"fee\nfee\n", "stands here twice"),
    ("labels.txt", b"one\n", "2 to 5000 labels"),
    ("labels.txt", b"unk\nfee\n", "answers of their own"),
    ("labels.txt", b"fee\ncaf\xe9\n", "line 2: byte 4 is not UTF-8"),
    ("labels.txt", "fee\ncard".encode("utf-16"), "UTF-16"),
    ("labels.csv", b"label\nfee\n", "lacks the column"),
    ("labels.json", b'["fee", "card"', "is not JSON"),
    ("labels.exe", b"MZ", "should end in"),
    ("labels.yaml", b"a: &a [x, x]\nb: [*a, *a]\n", "alias"),
    ("labels.yaml", b"- !!python/object/apply:os.system [ls]\n- b\n", "line 1"),
    ("labels.yaml", b"[" * 5000, "is not YAML"),
    ("labels.yaml", b"- no\n- yes\n", "a name or an object with a name"),
    ("labels.json", b'[{"name": "a", "examples": [{"text": "x", "more": []}]}, "b"]', "list of"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), BAD)
def test_a_file_that_holds_no_label_set_is_refused_in_a_sentence(
    name: str, content: bytes, sentence: str
) -> None:
    client = Client()
    client.force_login(make_user())
    given = {"name": "B", "slug": "b", "file": SimpleUploadedFile(name, content), "make": "1"}
    answer = client.post(NEW, given)
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert not Project.objects.exists()


@pytest.mark.parametrize(("slug", "sentence"), [("shop", "already"), ("a b", "valid")])
def test_an_address_that_is_taken_or_wrong_keeps_the_labels(
    project: Project, slug: str, sentence: str
) -> None:
    client = Client()
    client.force_login(make_user())
    answer = client.post(NEW, {"name": "B", "slug": slug, "labels": "x\ny", "make": "1"})
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert "x\ny" in answer.content.decode()


# --- Settings -----------------------------------------------------------------------------------


def test_every_setting_stands_on_the_page_in_words(project: Project, admin: Client) -> None:
    html = admin.get(SETTINGS_PAGE).content.decode()
    shown = set(SETTINGS) - ELSEWHERE
    assert [name for name in shown if f'-{name}"' not in html] == []
    named = [name for group in GROUPS for name in group.names]
    assert sorted(set(named)) == sorted(named), "none stands twice"
    assert "One answer settles a task; nobody looks at it again." in html
    assert "/p/shop/guidelines/edit/" in html


def test_settings_are_for_admins(project: Project) -> None:
    for role in ("regular", "expert"):
        client = client_of(make_member(project, role))
        assert client.get(SETTINGS_PAGE).status_code == 403
        assert client.post(SETTINGS_PAGE, {}).status_code == 403
        assert client.post("/p/shop/archive/", {"slug": "shop"}).status_code == 403
        assert "/p/shop/settings/" not in client.get("/p/shop/").content.decode()


def test_a_change_is_an_event_and_stands_in_the_log(project: Project, admin: Client) -> None:
    change = sent(project, "people", answers_needed=2, confirm_answers=True)
    html = admin.post(SETTINGS_PAGE, change, follow=True).content.decode()
    project.refresh_from_db()
    assert (project.answers_needed, project.confirm_answers) == (2, True)
    event = Event.objects.get(verb="settings_changed")
    assert event.old == {"answers_needed": 1, "confirm_answers": False}
    assert event.new == {"answers_needed": 2, "confirm_answers": True}
    assert "<del>1</del> → <ins>2</ins>" in html
    assert "<del>no</del> → <ins>yes</ins>" in html
    assert "A task is settled when 2 people gave the same answer." in html
    assert admin.post(SETTINGS_PAGE, sent(project, "people")).status_code == 302
    assert Event.objects.filter(verb="settings_changed").count() == 1


WRONG = [
    ("people", {"answers_needed": 5, "answers_at_most": 3}, "is below “answers needed”"),
    ("people", {"answers_needed": "many"}, "whole number"),
    ("people", {"lease_minutes": 0}, "greater than or equal to 1"),
    ("audit", {"audit_share": "1.5"}, "less than or equal to 1"),
    ("audit", {"audit_share": "nan"}, "number"),
    ("documents", {"documents_found": 1, "documents_kept": 9}, "documents kept"),
    ("about", {"name": ""}, "required"),
    ("asked", {"question": "riddle"}, "not one of the available choices"),
]


@pytest.mark.parametrize(("group", "changed", "sentence"), WRONG)
def test_a_wrong_value_changes_nothing_and_is_named(
    project: Project, admin: Client, group: str, changed: dict[str, Any], sentence: str
) -> None:
    before = Project.objects.filter(pk=project.pk).values().get()
    answer = admin.post(SETTINGS_PAGE, sent(project, group, **changed))
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert Project.objects.filter(pk=project.pk).values().get() == before
    assert not Event.objects.filter(verb="settings_changed").exists()


def test_who_saves_over_another_admins_change_is_told(project: Project, admin: Client) -> None:
    stale = sent(project, "people", answers_needed=2)
    change_settings(project=project, settings={"lease_minutes": 30}, by="Zoe")
    answer = admin.post(SETTINGS_PAGE, stale)
    assert answer.status_code == 422
    assert "Zoe changed these settings meanwhile" in answer.content.decode()
    elsewhere = sent(project, "about", name="Other") | {"seen": 0}
    assert admin.post(SETTINGS_PAGE, elsewhere).status_code == 302


def test_markup_in_a_setting_is_shown_as_text(project: Project, admin: Client) -> None:
    change = sent(project, "about", name="<script>alert(1)</script>")
    html = admin.post(SETTINGS_PAGE, change, follow=True).content.decode()
    assert "<script>alert" not in html


# --- The end ------------------------------------------------------------------------------------


def test_an_archived_project_is_gone_and_comes_back_with_its_runs_paused(
    project: Project, admin: Client
) -> None:
    run = make_run(project)
    assert admin.post("/p/shop/archive/", {"slug": "shoppe"}).status_code == 302
    assert admin.get("/p/shop/").status_code == 200
    html = admin.post("/p/shop/archive/", {"slug": "shop"}, follow=True).content.decode()
    assert "Bring it back" in html
    assert admin.get("/p/shop/").status_code == 404
    run.refresh_from_db()
    assert run.paused_at is not None
    assert admin.post("/projects/shop/restore/").status_code == 302
    assert admin.get("/p/shop/").status_code == 200
    assert [event.verb for event in Event.objects.filter(object_type="project")][:2] == [
        "project_restored",
        "project_archived",
    ]


def test_only_admins_of_an_archived_project_bring_it_back(project: Project) -> None:
    archive_project(project=project, by="test")
    archive_project(project=project, by="test")
    assert Event.objects.filter(verb="project_archived").count() == 1
    for role in ("regular", "expert"):
        client = client_of(make_member(project, role))
        assert "Bring it back" not in client.get("/").content.decode()
        assert client.post("/projects/shop/restore/").status_code == 404
