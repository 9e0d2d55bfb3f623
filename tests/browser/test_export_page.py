"""An export is chosen, counted and fetched by keyboard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from labeling.models import Member, Project
from tests.labeling.builders import make_task

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_choices_are_counted_as_they_are_made_and_the_file_holds_them(
    page: Page, project: Project, ann: Member, tmp_path: Path
) -> None:
    Member.objects.filter(pk=ann.pk).update(role="admin")
    make_task(project, "waits", status="deferred")
    make_task(project, "new")
    page.goto("/p/heron/export/")
    expect(page.get_by_text("2 rows")).to_be_visible()
    page.get_by_label("Status").focus()
    page.keyboard.type("waiting for p")
    expect(page.get_by_text("1 row", exact=True)).to_be_visible()
    page.get_by_role("button", name="Download").focus()
    with page.expect_download() as fetched:
        page.keyboard.press("Enter")
    target = tmp_path / fetched.value.suggested_filename
    fetched.value.save_as(target)
    assert target.name == "heron.jsonl"
    assert json.loads(target.read_text())["external_id"] == "waits"


def test_what_a_format_cannot_hold_is_said_when_it_is_chosen(
    page: Page, project: Project, ann: Member
) -> None:
    Member.objects.filter(pk=ann.pk).update(role="admin")
    page.goto("/p/heron/export/")
    expect(page.get_by_text("under the name “countersign”")).to_have_count(0)

    page.get_by_label("Format").select_option("doccano")

    expect(page.get_by_text("no scores or answers of people")).to_be_visible()
    expect(page.get_by_text("under the name “countersign”")).to_be_visible()
