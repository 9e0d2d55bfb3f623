"""Guidelines: versions, who read what, and Markdown that cannot harm."""

from __future__ import annotations

import re

import pytest

from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.guidelines import mark_read, unread, write_guidelines
from labeling.actions.projects import change_settings
from labeling.markdown import MAX_CHARACTERS, rendered
from labeling.models import Event, GuidelineVersion, Member, Project
from labeling.views.guidelines import Line, changes
from tests.labeling.builders import label_of, make_member, make_project
from tests.labeling.cast import deferred, ranked
from tests.labeling.test_pages import client_of, page

EDIT = "/p/heron/guidelines/edit/"


@pytest.fixture
def project(db: None) -> Project:
    return make_project("heron", blind_share=0.0)


@pytest.fixture
def ann(project: Project) -> Member:
    return make_member(project, username="ann")


@pytest.fixture
def boss(project: Project) -> Member:
    return make_member(project, "admin", "boss")


def numbers(project: Project) -> list[tuple[int, str]]:
    return list(project.guideline_versions.order_by("pk").values_list("number", "text"))


def test_every_change_is_a_version_with_its_writer_and_the_same_text_is_none(
    project: Project, boss: Member
) -> None:
    write_guidelines(project=project, text="one", by=boss)
    write_guidelines(project=project, text=" one\n", by=boss)
    write_guidelines(project=project, text="one\r\ntwo", by=boss)
    assert numbers(project) == [(1, "one"), (2, "one\ntwo")]
    project.refresh_from_db()
    assert project.guidelines == "one\ntwo"
    event = Event.objects.filter(verb="guidelines_changed").first()
    assert event is not None
    assert event.member == boss
    assert event.new == {"number": 2, "label": None, "characters": 7}


def test_guidelines_set_as_a_setting_are_versions_too(project: Project, boss: Member) -> None:
    assert numbers(make_project("other", guidelines="from the start")) == [(1, "from the start")]
    change_settings(project=project, settings={"guidelines": "by setting"}, by=boss)
    change_settings(project=project, settings={"guidelines": ""}, by=boss)
    assert numbers(project) == [(1, "by setting"), (2, "")]


def test_labels_have_guidelines_of_their_own(project: Project, boss: Member) -> None:
    for label in ("a", "b"):
        write_guidelines(project=project, label=label_of(project, label), text=label, by=boss)
    assert numbers(project) == [(1, "a"), (1, "b")]
    project.refresh_from_db()
    assert project.guidelines == ""
    stranger = make_project("other")
    with pytest.raises(ActionRefused, match="not one of this project"):
        write_guidelines(project=stranger, label=label_of(project, "a"), text="x", by=boss)


def test_who_started_from_an_older_version_is_told(project: Project, boss: Member) -> None:
    write_guidelines(project=project, text="one", by=boss, base=0)
    with pytest.raises(Conflict, match="while you wrote"):
        write_guidelines(project=project, text="mine", by=boss, base=0)
    with pytest.raises(ActionRefused, match="at most"):
        write_guidelines(project=project, text="x" * (MAX_CHARACTERS + 1), by=boss)
    assert numbers(project) == [(1, "one")]


def test_a_change_is_unread_until_the_member_looks_and_never_for_its_writer(
    project: Project, ann: Member, boss: Member
) -> None:
    assert not unread(ann).exists()
    write_guidelines(project=project, text="one", by=boss)
    assert unread(ann).exists()
    assert not unread(boss).exists()
    mark_read(member=ann)
    assert not unread(ann).exists()
    write_guidelines(project=project, label=label_of(project, "a"), text="more", by=boss)
    assert [version.text for version in unread(ann)] == ["more"]


# --- Markdown -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("# Big", "<h3>Big</h3>\n"),
        ("**b** *e* `c`", "<p><strong>b</strong> <em>e</em> <code>c</code></p>\n"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ('<img src=x onerror="alert(1)">', "&lt;img src=x onerror="),
        ("![x](https://evil/x.png)", '!<a href="https://evil/x.png"'),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>\n"),
        ("[x](https://a.b)", 'rel="noopener noreferrer nofollow"'),
        ("|a|b|\n|-|:-:|\n|1|2|", "<td>2</td>"),
        ("3. three", '<ol start="3">'),
        ("[x](data:text/html,x)", "<p>[x](data:text/html,x)</p>\n"),
    ],
)
def test_markdown_becomes_html_that_cannot_harm(text: str, html: str) -> None:
    found = rendered(text)
    assert html in found
    assert not re.search(r"<(?:script|img|iframe)|<[^>]*\s(?:on\w+|style)=", found)
    assert not re.search(r'<[^>]*href="(?!https:)', found)


def test_a_comparison_keeps_the_order_of_lines() -> None:
    assert changes("a\nb\nc", "a\nx\nc\nd") == [
        Line("", "a"),
        Line("removed", "b"),
        Line("added", "x"),
        Line("", "c"),
        Line("added", "d"),
    ]


# --- Pages ----------------------------------------------------------------------------------


def test_the_labeling_page_says_what_changed_until_it_is_read(
    project: Project, ann: Member, boss: Member
) -> None:
    deferred(project)
    assert "new to you" not in page(ann, "/p/heron/annotate/")
    write_guidelines(project=project, text="Read **this**.", by=boss)
    html = page(ann, "/p/heron/annotate/")
    assert "new to you or have changed" in html
    assert "Read <strong>this</strong>." in html
    client = client_of(ann)
    reply = client.post("/p/heron/guidelines/read/", headers={"HX-Request": "true"})
    assert "Read <strong>this</strong>." in reply.content.decode()
    assert "the project's guidelines" in reply.content.decode()
    assert '<div id="guidelines-news" hx-swap-oob="true"></div>' in reply.content.decode()
    assert "new to you" not in page(ann, "/p/heron/annotate/")


def test_the_card_of_a_candidate_has_the_guidelines_of_its_label(
    project: Project, ann: Member, boss: Member
) -> None:
    write_guidelines(project=project, label=label_of(project, "a"), text="*Only* a.", by=boss)
    ranked(deferred(project), "a", "b")
    assert page(ann, "/p/heron/annotate/").count("<em>Only</em> a.") == 1
    assert "<em>Only</em> a." in page(ann, "/p/heron/guidelines/")


def test_an_admin_writes_with_a_preview_and_loses_nothing_to_another(
    project: Project, boss: Member
) -> None:
    client = client_of(boss)
    sent = {"text": "# New", "base": "0", "do": "save"}
    preview = client.post(EDIT, sent, headers={"HX-Request": "true"})
    assert "<h3>New</h3>" in preview.content.decode()
    assert "<h3>New</h3>" in client.post(EDIT, sent | {"do": "preview"}).content.decode()
    assert not GuidelineVersion.objects.exists()
    assert client.post(EDIT, sent).status_code == 302
    late = client.post(EDIT, sent | {"text": "late <words>"})
    assert late.status_code == 409
    assert "while you wrote" in late.content.decode()
    assert "late &lt;words&gt;</textarea>" in late.content.decode()
    assert client.post(EDIT, sent | {"base": "x"}).status_code == 422
    assert numbers(project) == [(1, "# New")]


def test_an_admin_writes_for_a_label_and_sees_what_each_version_changed(
    project: Project, boss: Member
) -> None:
    client = client_of(boss)
    label = label_of(project, "b")
    for number, text in enumerate(("old line", "new line")):
        sent = {"text": text, "base": str(number), "do": "save"}
        client.post(f"{EDIT}?label={label.pk}", sent)
    html = client.get(f"/p/heron/guidelines/versions/?label={label.pk}").content.decode()
    assert re.search(r"<del>.*old line</del>", html)
    assert re.search(r"<ins>.*new line</ins>", html)
    assert "boss" in html
    first = client.get(f"/p/heron/guidelines/versions/?label={label.pk}&to=1").content.decode()
    assert "<del>" not in first
    for wrong in ("versions/?to=9", f"edit/?label={label.pk + 99}", "edit/?label=x"):
        assert client.get(f"/p/heron/guidelines/{wrong}").status_code == 404
