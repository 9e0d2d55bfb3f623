"""The task browser in a real browser, by keyboard alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from labeling.actions.lease import next_tasks
from labeling.models import AssignedTask, AuditPick, Member, Project, Task
from tests.browser.conftest import signed_in
from tests.labeling.builders import label_of, make_member
from tests.labeling.cast import deferred, ranked
from tests.labeling.test_task_pages import accepted

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from pytest_django.live_server_helper import LiveServer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def eve(ann: Member) -> Member:
    """Ann, as an expert."""
    Member.objects.filter(pk=ann.pk).update(role="expert")
    ann.refresh_from_db()
    return ann


def test_a_task_is_found_and_read_by_keyboard(page: Page, project: Project, eve: Member) -> None:
    for text in ("my phone sees no card", "took my money twice", "bye"):
        deferred(project, text=text)
    page.goto("/p/heron/tasks/")
    expect(page.get_by_role("status").filter(has_text="3 tasks")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("MONEY")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="1 task")).to_be_visible()
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="took my money twice")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What happened, in order")).to_be_visible()
    expect(page.locator(".sheet-text")).to_contain_text("took my money twice")


def test_ticked_tasks_go_to_an_expert_by_keyboard(
    page: Page, project: Project, eve: Member
) -> None:
    for text in ("my phone sees no card", "took my money twice", "bye"):
        deferred(project, text=text)
    page.goto("/p/heron/tasks/")
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)
    expect(page.locator("[name=task]:checked")).to_have_count(2)
    page.get_by_role("button", name="Send to an expert").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Yes, for these 2 tasks").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".messages")).to_contain_text("2 tasks were changed.")
    disputed = Task.objects.filter(status="disputed").order_by("pk")
    assert [task.text for task in disputed] == ["took my money twice", "bye"]


def test_an_admin_keeps_ticked_tasks_for_experts_by_keyboard(
    page: Page, project: Project, eve: Member
) -> None:
    Member.objects.filter(pk=eve.pk).update(role="admin")
    for text in ("my phone sees no card", "took my money twice"):
        deferred(project, text=text)
    page.goto("/p/heron/tasks/")
    for key in ("j", "x"):
        page.keyboard.press(key)
    page.get_by_role("button", name="Keep for experts").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Yes, for this 1 task").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".found tr", has_text="took my money twice")).to_contain_text("for experts")
    assert [task.text for task in Task.objects.filter(expert_only=True)] == ["took my money twice"]


def test_an_admin_assigns_tasks_and_releases_them_by_keyboard(
    page: Page, project: Project, eve: Member
) -> None:
    Member.objects.filter(pk=eve.pk).update(role="admin")
    bob = make_member(project, username="bob", name="Bob")
    for text in ("my phone sees no card", "took my money twice"):
        deferred(project, text=text)
    page.goto("/p/heron/tasks/")
    for key in ("j", "x"):
        page.keyboard.press(key)
    page.get_by_role("button", name="Assign", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_label("For whom").focus()
    page.keyboard.type("Bob")
    page.get_by_role("button", name="Yes, for this 1 task").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".found tr", has_text="took my money twice")).to_contain_text("for Bob")
    assert next_tasks(member=bob, count=1)[0].task.text == "took my money twice"
    page.get_by_role("link", name="Assigned tasks").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Release").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".messages")).to_contain_text("1 task is released.")
    assert not AssignedTask.objects.live().exists()


def test_accepted_labels_go_to_an_experts_audit_by_keyboard(
    page: Page, project: Project, eve: Member, browser: Browser, live_server: LiveServer
) -> None:
    right, wrong = "Charged twice", "SIM not seen"
    for text in ("took my money twice", "billed me two times"):
        ranked(accepted(project, wrong, text=text), wrong, right)
    ida = make_member(project, "expert", "ida")
    page.goto("/p/heron/tasks/")
    for key in ("j", "x"):
        page.keyboard.press(key)
    page.get_by_role("button", name="Send to audit").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Yes, for this 1 task").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".messages")).to_contain_text("1 task was changed.")
    with signed_in(browser, live_server.url, "ida") as desk:
        desk.goto("/p/heron/annotate/")
        expect(desk.locator("#text")).to_contain_text("billed me two times")
        row = desk.locator(f'#desk button.choice[data-name="{right}"]')
        expect(row).to_be_visible()
        expect(desk.locator("#desk .share")).to_have_count(0)  # blind: no machine's share
        desk.wait_for_load_state()
        desk.keyboard.press(str(row.get_attribute("data-key")))
        expect(desk.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
    pick = AuditPick.objects.get()
    assert pick.task.text == "billed me two times"
    assert pick.wrong is True
    assert pick.annotation is not None
    assert pick.annotation.member == ida
    standing = pick.task.resolutions.get(current=True)
    assert standing.source == "audit"
    assert standing.label == label_of(project, right)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_list_fits_a_phone(page: Page, project: Project, eve: Member, scheme: str) -> None:
    deferred(project, text="a-word-that-has-no-end-" * 20, external_id="x" * 180)
    page.set_viewport_size({"width": 390, "height": 800})
    page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
    for path in ("", "?machines=on"):
        page.goto(f"/p/heron/tasks/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator(".found a").first.click()
    page.get_by_role("heading", name="What stands").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
