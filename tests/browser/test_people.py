"""An invitation from the admin's page to the new member's first page, by keyboard alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from labeling.models import Member, Project

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def press(page: Page, role: str, name: str) -> None:
    """Press Enter on what has this role and name; it must be reachable by the Tab key."""
    found = page.get_by_role(role, name=name, exact=True)  # type: ignore[arg-type]
    expect(found).to_be_visible()
    for _step in range(60):
        if found.evaluate("element => element === document.activeElement"):
            page.keyboard.press("Enter")
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the Tab key does not reach {role} “{name}”")


def test_an_admin_invites_and_the_invited_make_an_account(
    page: Page, browser: Browser, live_server: LiveServer, project: Project, ann: Member
) -> None:
    Member.objects.filter(pk=ann.pk).update(role="admin")
    page.goto("/p/heron/")
    press(page, "link", "Manage")
    expect(page.get_by_role("heading", name="Settings", exact=True)).to_be_visible()
    press(page, "link", "People")
    expect(page.get_by_role("heading", name="Invite somebody")).to_be_visible()
    press(page, "button", "Make the link")
    link = page.locator("code.secret").inner_text()

    context = browser.new_context(locale="en-US")
    guest = context.new_page()
    guest.goto(link)
    expect(guest.get_by_role("heading", name="You are invited to “Heron”")).to_be_visible()
    press(guest, "link", "Make an account")
    guest.get_by_label("Username").focus()
    guest.keyboard.type("nora")
    for label in ("Password", "Password (again)"):
        guest.get_by_label(label, exact=True).focus()
        guest.keyboard.type("kestrel-over-7")
    guest.keyboard.press("Enter")
    expect(guest.get_by_role("link", name="Heron", exact=True)).to_be_visible()
    context.close()

    page.goto("/p/heron/people/")
    ends = page.locator("summary", has_text="End").last
    ends.focus()
    page.keyboard.press("Enter")
    press(page, "button", "End the membership")
    expect(page.get_by_text("nora has left the project")).to_be_visible()
    expect(page.get_by_role("heading", name="Who has left")).to_be_visible()
