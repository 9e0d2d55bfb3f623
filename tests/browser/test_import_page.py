"""A file goes in by keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from labeling.actions.imports import work_on_import
from labeling.models import Member, Project, Task, Upload

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_file_is_chosen_looked_at_and_stored_by_key(
    page: Page, project: Project, ann: Member, tmp_path: Path
) -> None:
    Member.objects.filter(pk=ann.pk).update(role="admin")
    file = tmp_path / "chats.csv"
    file.write_text("id,text,label,confidence\n1,no card,SIM not seen,0.9\n2,,Eta,0.5\n")
    page.goto("/p/heron/import/")
    page.get_by_label("File", exact=True).set_input_files(file)
    page.get_by_role("button", name="Look at the file").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("2 rows were read.")).to_be_visible()
    expect(page.get_by_text("The text is missing or empty.").first).to_be_visible()
    page.get_by_role("button", name="Leave the bad rows out and store 1 row").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Waiting for a worker.")).to_be_visible()
    work_on_import(Upload.objects.get().pk)
    # The page asks by itself how far it is.
    expect(page.get_by_text("1 row is stored.")).to_be_visible()
    expect(page.get_by_text("The text is missing or empty.")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="All of them as CSV").click()
    assert "missing or empty" in download.value.path().read_text()
    assert Task.objects.get().text == "no card"
