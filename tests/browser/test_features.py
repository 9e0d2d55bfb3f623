"""What else the labeling page can do, by keyboard alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from labeling.actions.guidelines import write_guidelines
from labeling.models import (
    Annotation,
    Decision,
    DoubleCheck,
    Flag,
    Member,
    Project,
    Resolution,
    Skip,
    Task,
)
from tests.browser.test_annotate import all_sent
from tests.labeling.builders import label_of, make_policy, make_run
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


def test_g_opens_the_guidelines_as_they_stand_now_and_the_notice_goes(
    page: Page, tasks: list[Task], project: Project
) -> None:
    open_queue(page)
    notice = page.locator("#guidelines-news")
    expect(notice).to_be_empty()
    write_guidelines(project=project, text="Ask **twice**.", by="somebody")
    page.keyboard.press("1")
    expect(page.locator("#text")).to_contain_text("took my money twice")
    expect(notice).to_contain_text("new to you or have changed")
    page.keyboard.press("g")
    expect(page.locator("#guidelines strong")).to_have_text("twice")
    expect(notice).to_be_empty()
    page.keyboard.press("g")
    expect(page.locator("#guidelines")).to_be_hidden()
    page.reload()
    expect(page.locator("#text")).to_contain_text("took my money twice")
    expect(notice).to_be_empty()


def test_guidelines_are_written_with_a_preview(page: Page, project: Project, ann: Member) -> None:
    Member.objects.update(role="admin")
    page.goto("/p/heron/guidelines/edit/")
    page.get_by_label("Markdown").focus()
    page.keyboard.type("# Wishes")
    expect(page.locator("#preview h3")).to_have_text("Wishes")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Annotators are told")).to_be_visible()
    project.refresh_from_db()
    assert project.guidelines == "# Wishes"


def sure_of(task: Task, name: str) -> None:
    """A certified policy is sure of another label than the one that will be chosen."""
    policy = make_policy(task.project, status="active", certificate={"alpha": 0.05})
    Decision.objects.create(
        task=task,
        revision=1,
        run=make_run(task.project),
        policy=policy,
        label=label_of(task.project, name),
        outcome="accept",
        confidence=0.98,
        question="multiclass",
        mode="shadow",
    )


def test_asked_once_more_backspace_brings_the_answer_back(page: Page, tasks: list[Task]) -> None:
    Project.objects.update(double_check=True)
    sure_of(tasks[0], "Charged twice")
    open_queue(page)
    page.keyboard.press("1")
    asked = page.locator("#doubt")
    expect(asked).to_contain_text("the machines were confident of “Charged twice”")
    page.keyboard.press("Backspace")
    expect(page.locator("#text")).to_contain_text("my phone sees no card")
    expect(asked).to_have_count(0)
    page.keyboard.press("3")
    expect(page.locator("#text")).to_contain_text("took my money twice")
    expect(asked).to_have_count(0)
    all_sent(page)
    assert DoubleCheck.objects.get().outcome == "changed"
    assert Resolution.objects.get(current=True).label == label_of(tasks[0].project, "Charged twice")


def test_asked_once_more_k_keeps_the_answer(page: Page, tasks: list[Task]) -> None:
    Project.objects.update(double_check=True)
    sure_of(tasks[0], "Charged twice")
    open_queue(page)
    page.keyboard.press("1")
    expect(page.locator("#doubt")).to_be_visible()
    page.keyboard.press("k")
    expect(page.locator("#doubt")).to_have_text("Your answer is kept.")
    assert DoubleCheck.objects.get().outcome == "kept"


def test_a_list_of_look_alikes_is_confirmed_by_keyboard(page: Page, tasks: list[Task]) -> None:
    open_queue(page)
    page.keyboard.press("b")
    expect(page.get_by_role("heading", name="Are these 2 all")).to_be_visible()
    boxes = page.get_by_role("checkbox")
    expect(boxes.first).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(boxes.nth(1)).to_be_focused()
    page.keyboard.press("Space")
    expect(boxes.nth(1)).not_to_be_checked()
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 answer is stored.")).to_be_visible()
    stored = Annotation.objects.get()
    assert stored.visible["bulk"]["size"] == 1
    assert stored.seconds is not None


@pytest.mark.parametrize("width", [390, 1280])
def test_none_of_these_pages_is_wider_than_the_screen(
    page: Page, tasks: list[Task], project: Project, width: int
) -> None:
    Member.objects.update(role="admin")
    wide = f"# A guideline\n\n{'unbroken' * 30}\n\n| a | b |\n|---|---|\n| {'long ' * 40}| x |"
    write_guidelines(project=project, text=wide, by="somebody")
    page.set_viewport_size({"width": width, "height": 800})
    open_queue(page)
    page.keyboard.press("f")
    page.keyboard.type("look")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Flagged")).to_be_visible()
    for path in ("bulk/", "marks/", "guidelines/", "guidelines/edit/", "guidelines/versions/"):
        page.goto(f"/p/heron/{path}")
        page.locator("h1").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
