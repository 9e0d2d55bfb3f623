"""Labels are searched and merged by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from labeling.models import Member, Project

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_label_is_found_and_merged_by_key(page: Page, project: Project, ann: Member) -> None:
    Member.objects.filter(pk=ann.pk).update(role="admin")
    page.goto("/p/heron/labels/")
    page.get_by_role("searchbox").focus()
    page.keyboard.type("twice")
    expect(page.get_by_text("1 of 6 labels")).to_be_visible()
    page.get_by_role("link", name="Charged twice").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Merge it into another label").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Merge it into").focus()
    page.keyboard.type("Eta")
    page.get_by_role("button", name="Merge", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("“Charged twice” was merged into “Eta”.")).to_be_visible()
    assert not project.labels.active().filter(name="Charged twice").exists()
