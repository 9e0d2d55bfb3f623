"""A project is made and set up by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from labeling.models import Member, Project

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_project_is_made_and_its_settings_changed_by_key(page: Page, ann: Member) -> None:
    page.get_by_role("link", name="New project").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Name").focus()
    page.keyboard.type("My bank")
    page.keyboard.press("Tab")
    page.keyboard.type("bank")
    page.get_by_label("Labels", exact=True).focus()
    page.keyboard.type("card lost\nfee")
    page.get_by_role("button", name="Look at the labels").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="2 labels were read")).to_be_visible()
    page.get_by_role("button", name="Make the project").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="My bank")).to_be_visible()
    page.get_by_role("link", name="Manage").focus()
    page.keyboard.press("Enter")
    needed = page.get_by_label("Equal answers needed")
    needed.focus()
    needed.fill("1")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The settings are changed.")).to_be_visible()
    expect(page.get_by_text("One answer settles a task; nobody looks at it again.")).to_be_visible()
    assert Project.objects.get(slug="bank").answers_needed == 1


def test_a_narrow_screen_begins_with_the_current_entry_of_the_menu(
    page: Page, project: Project, ann: Member
) -> None:
    Member.objects.filter(pk=ann.pk).update(role="admin")
    page.set_viewport_size({"width": 390, "height": 800})
    for path, entry in (("settings/", "Manage"), ("", "Overview")):
        page.goto(f"/p/{project.slug}/{path}")
        link = page.get_by_role("navigation", name="Project").get_by_role("link", name=entry)
        expect(link).to_have_attribute("aria-current", "page")
        expect(link).to_be_in_viewport(ratio=0.9)
