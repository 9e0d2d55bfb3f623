"""What else the labeling page can do, by keyboard alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from labeling.models import Flag, Project, Skip, Task
from tests.labeling.cast import deferred, ranked

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def tasks(project: Project) -> list[Task]:
    """Two tasks with candidates, in the order in which they come."""
    found = [
        deferred(project, text=text, priority=priority)
        for text, priority in (("my phone sees no card", 3), ("took my money twice", 2))
    ]
    for task in found:
        ranked(task, "SIM not seen", "Activate a SIM", "Charged twice")
    return found


def open_queue(page: Page) -> None:
    page.goto("/p/heron/annotate/")
    expect(page.locator("#text")).to_contain_text("my phone sees no card")


def test_s_and_a_digit_skip_the_text_and_backspace_brings_it_back(
    page: Page, tasks: list[Task]
) -> None:
    open_queue(page)
    page.keyboard.press("s")
    expect(page.get_by_text("Skip this text: why?")).to_be_visible()
    page.keyboard.press("s")
    expect(page.get_by_text("Skip this text: why?")).to_be_hidden()
    page.keyboard.press("s")
    page.keyboard.press("2")
    expect(page.locator("#text")).to_contain_text("took my money twice")
    assert Skip.objects.get().reason == "language"
    page.keyboard.press("Backspace")
    expect(page.locator("#text")).to_contain_text("my phone sees no card")
    assert not Skip.objects.get().current


def test_f_flags_the_text_with_a_note_and_the_answer_goes_on(page: Page, tasks: list[Task]) -> None:
    open_queue(page)
    page.keyboard.press("f")
    page.keyboard.type("2 wishes, g?")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Flagged")).to_be_visible()
    expect(page.locator("#announce")).to_contain_text("Flagged for the experts")
    assert Flag.objects.get().note == "2 wishes, g?"
    page.keyboard.press("1")
    expect(page.locator("#text")).to_contain_text("took my money twice")
    expect(page.get_by_role("button", name="Flag for an expert")).to_be_visible()


def test_e_opens_the_card_of_a_candidate_and_digits_turn_to_another(
    page: Page, tasks: list[Task]
) -> None:
    open_queue(page)
    cards = page.locator("[popover]:popover-open h2")
    page.keyboard.press("e")
    expect(cards).to_have_text("SIM not seen")
    page.keyboard.press("3")
    expect(cards).to_have_text("Charged twice")
    page.keyboard.press("e")
    expect(cards).to_have_count(0)
    page.keyboard.press("1")
    expect(page.locator("#text")).to_contain_text("took my money twice")
