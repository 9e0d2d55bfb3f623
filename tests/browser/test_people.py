"""An invitation from the admin's page to the new member's first page, by keyboard alone."""

from __future__ import annotations

import pytest
from django.conf import LazySettings
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from labeling.actions.people import invite
from labeling.models import Member, Project
from tests.labeling.builders import make_task
from tests.oidc import running_provider, use

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


def test_the_invited_come_in_by_another_site(
    browser: Browser,
    live_server: LiveServer,
    settings: LazySettings,
    project: Project,
    ann: Member,
) -> None:
    invite(project=project, role="expert", by=ann, email="nora@heron.example")
    context = browser.new_context(base_url=live_server.url, locale="en-US")
    guest = context.new_page()
    with running_provider() as provider:
        use(settings, provider.url)
        provider.say("n1", email="nora@heron.example", email_verified=True)
        provider.say("n2", email="eve@heron.example", email_verified=True)
        for who in ("n2", "n1"):
            guest.goto("/accounts/login/")
            press(guest, "link", "Sign in with Heron ID")
            guest.get_by_placeholder("sub").focus()
            guest.keyboard.type(who)
            guest.keyboard.press("Enter")
            if who == "n2":
                expect(guest.get_by_role("alert")).to_contain_text("no invitation")
                press(guest, "link", "Back to signing in")
                expect(guest.get_by_label("Login")).to_be_visible()
        expect(guest.get_by_role("link", name="Heron", exact=True)).to_be_visible()
        expect(guest.get_by_text("Welcome to the project")).to_be_visible()
    context.close()


def test_an_admin_gives_a_goal_and_the_member_sees_how_far_it_is(
    page: Page, browser: Browser, live_server: LiveServer, project: Project, ann: Member
) -> None:
    Member.objects.filter(pk=ann.pk).update(role="admin")
    make_task(project, status="deferred")
    page.goto("/p/heron/people/")
    page.get_by_label("Goal of a day of ann").focus()
    page.keyboard.type("34")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The goal of ann is changed.")).to_be_visible()
    page.goto("/p/heron/annotate/")
    expect(page.locator("#numbers")).to_contain_text("0 of 34 today")
    page.keyboard.press("0")
    page.keyboard.press("1")
    expect(page.locator("#numbers")).to_contain_text("1 of 34 today")
    page.goto("/p/heron/me/")
    expect(page.get_by_text("1 of 34 today")).to_be_visible()
    page.get_by_label("At midnight in the time zone").focus()
    page.keyboard.type("Asia/Shang")
    press(page, "button", "Save")
    expect(page.get_by_text("Your day begins as you wish.")).to_be_visible()
    expect(page.get_by_label("At midnight in the time zone")).to_have_value("Asia/Shanghai")


def test_a_member_says_what_they_read_and_the_queue_follows(
    page: Page, project: Project, ann: Member
) -> None:
    Project.objects.filter(pk=project.pk).update(language_queues="only")
    Member.objects.filter(pk=ann.pk).update(languages=["de"])
    make_task(project, text="Де моя картка?", status="deferred", language="uk")
    page.goto("/p/heron/annotate/")
    expect(page.get_by_text("1 text waits for somebody else")).to_be_visible()
    page.goto("/p/heron/me/")
    page.get_by_label("Their tags").focus()
    page.keyboard.press("End")
    page.keyboard.type(" uk")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Your queue follows the languages that you read.")).to_be_visible()
    page.goto("/p/heron/annotate/")
    expect(page.get_by_text("Де моя картка?").first).to_be_visible()
