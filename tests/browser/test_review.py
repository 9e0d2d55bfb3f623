"""Settling disputes and overriding in a real browser, by keyboard alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from labeling.models import Member, Note, Project, Resolution
from tests.labeling.builders import label_of, make_member
from tests.labeling.cast import deferred, ranked, say
from tests.labeling.test_task_pages import accepted

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def eve(ann: Member) -> Member:
    """The browser's member, as an expert."""
    Member.objects.filter(pk=ann.pk).update(role="expert")
    ann.refresh_from_db()
    return ann


def dispute(project: Project, text: str) -> None:
    Project.objects.update(answers_needed=2, answers_at_most=2)
    project.refresh_from_db()
    task = deferred(project, text=text)
    ranked(task, "SIM not seen", "Activate a SIM", "Charged twice")
    for number, name in enumerate(("Charged twice", "Cancel contract")):
        say(
            make_member(project, username=f"p{number}-{text}"[:30]),
            task,
            name,
            comment=f"because {name}",
        )


def test_a_dispute_is_settled_with_a_reason_and_a_note_back(
    page: Page, project: Project, eve: Member
) -> None:
    for text in ("took my money", "took my phone"):
        dispute(project, text)
    page.goto("/p/heron/adjudicate/")
    expect(page.locator(".sides article")).to_have_count(2)
    expect(page.locator(".sides")).to_contain_text("because Cancel contract")
    page.keyboard.press("r")
    page.keyboard.type("it was twice, really 1 2 u")
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    page.keyboard.type("look at the dates")
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    expect(page.locator("#text")).to_contain_text("took my phone")
    settled = Resolution.objects.get()
    assert settled.label == label_of(project, "Charged twice")
    assert Note.objects.get().text == "look at the dates"
    page.keyboard.press("u")
    page.keyboard.press("1")
    expect(page.get_by_role("heading", name="No dispute waits")).to_be_visible()
    assert Resolution.objects.latest("pk").unk_reason == "none_fits"


def test_a_label_is_overridden_from_the_page_of_its_task(
    page: Page, project: Project, eve: Member
) -> None:
    task = accepted(project, "Charged twice", text="another plan please")
    ranked(task, "Charged twice", "Change plan")
    page.goto(f"/p/heron/tasks/{task.pk}/")
    page.get_by_role("link", name="Override this label").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Override the label").wait_for()
    page.wait_for_load_state()  # the keys are there once the page has loaded
    page.keyboard.press("2")
    expect(page.get_by_role("alert")).to_contain_text("needs a reason")
    page.keyboard.press("r")
    page.keyboard.type("they ask for a plan")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    expect(page.locator(".story")).to_contain_text("they ask for a plan")
    assert Resolution.objects.get(current=True).source == "override"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_sides_fit_a_phone(page: Page, project: Project, eve: Member, scheme: str) -> None:
    dispute(project, "took-my-money-" * 30)
    page.set_viewport_size({"width": 390, "height": 800})
    page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
    page.goto("/p/heron/adjudicate/")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
