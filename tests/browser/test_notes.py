"""A note from an expert, found and put away by keyboard alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from labeling.actions.notes import send_note
from labeling.models import Member, Note, Project
from tests.labeling.builders import make_member
from tests.labeling.cast import deferred, say

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_note_is_read_and_put_away_by_keyboard(page: Page, project: Project, ann: Member) -> None:
    given = say(ann, deferred(project, text="took my money twice"), "Change plan").annotation
    send_note(annotation=given, by=make_member(project, "expert", "eve"), text="Two charges.")
    page.goto("/p/heron/")
    link = page.get_by_role("link", name="My answers (1 unread note)")
    link.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Notes from experts")).to_be_visible()
    expect(page.get_by_text("Two charges.")).to_be_visible()
    page.get_by_role("button", name="I have read the note").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="My answers", exact=True)).to_be_visible()
    expect(page.get_by_text("Two charges.")).to_be_hidden()
    page.get_by_text("Notes you have read").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Two charges.")).to_be_visible()
    assert Note.objects.unread().count() == 0
