"""Labeling in a real browser, by keyboard alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from labeling.models import (
    Annotation,
    Document,
    HelpfulDocument,
    Lease,
    Member,
    Project,
    Resolution,
    Retrieved,
    Task,
)
from tests.labeling.builders import label_of, make_artifact, make_validator
from tests.labeling.cast import deferred, ranked

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def tasks(project: Project) -> list[Task]:
    """Three tasks with candidates, in the order in which they come."""
    found = [
        deferred(project, text=text, priority=priority)
        for text, priority in (("my phone sees no card", 3), ("took my money twice", 2), ("bye", 1))
    ]
    for task in found:
        ranked(task, "SIM not seen", "Activate a SIM", "Charged twice")
    return found


def open_queue(page: Page) -> None:
    page.goto("/p/heron/annotate/")
    expect(page.locator("#text")).to_contain_text("my phone sees no card")
    page.evaluate("window.sameDocument = true")


def all_sent(page: Page) -> None:
    """Wait until no answer waits in the browser."""
    expect(page.locator("html")).to_have_attribute("data-outbox", "0")


def stayed(page: Page) -> bool:
    """Whether no page load happened since `open_queue`."""
    return bool(page.evaluate("window.sameDocument === true"))


def test_a_task_is_labeled_by_keyboard_and_the_next_appears(page: Page, tasks: list[Task]) -> None:
    open_queue(page)
    page.keyboard.press("1")
    expect(page.locator("#text")).to_have_text("took my money twice")
    expect(page.locator("#announce")).to_contain_text("Next text: took my money twice")
    page.keyboard.press("3")
    expect(page.locator("#text")).to_have_text("bye")
    page.keyboard.press("0")
    page.keyboard.press("1")
    expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
    assert stayed(page)
    resolutions = Resolution.objects.order_by("pk").values_list("label__name", "unk_reason")
    assert list(resolutions) == [("SIM not seen", ""), ("Charged twice", ""), (None, "none_fits")]
    stored = Annotation.objects.first()
    assert stored is not None
    assert stored.seconds is not None
    assert stored.visible["candidates"][0] == stored.label_id


def test_backspace_takes_the_last_answer_back(page: Page, tasks: list[Task]) -> None:
    open_queue(page)
    page.keyboard.press("2")
    expect(page.locator("#text")).to_have_text("took my money twice")
    page.keyboard.press("Backspace")
    expect(page.locator("#text")).to_have_text("my phone sees no card")
    expect(page.locator(".choice[data-chosen] .name")).to_have_text("Activate a SIM")
    all_sent(page)
    assert not Resolution.objects.filter(current=True).exists()
    page.keyboard.press("1")
    expect(page.locator("#text")).to_have_text("took my money twice")
    page.keyboard.press("Control+z")
    expect(page.locator("#text")).to_have_text("my phone sees no card")
    assert stayed(page)


def test_h_marks_the_open_document_as_helpful_and_takes_the_mark_back(
    page: Page, tasks: list[Task]
) -> None:
    index = make_artifact(tasks[0].project, "document_index")
    for rank, title in enumerate(("Opening hours", "Cards"), start=1):
        document = Document.objects.create(project=tasks[0].project, external_id=title, title=title)
        Retrieved.objects.create(
            task=tasks[0],
            revision=1,
            index=index,
            document=document,
            rank=rank,
            score=1,
            passage="p",
        )
    open_queue(page)
    page.locator("summary", has_text="Cards").click()
    page.keyboard.press("h")
    cards = page.get_by_role("button", name="Cards helped")
    expect(cards).to_have_attribute("aria-pressed", "true")
    assert HelpfulDocument.objects.get().document.title == "Cards"
    page.keyboard.press("h")
    expect(cards).to_have_attribute("aria-pressed", "false")
    assert not HelpfulDocument.objects.exists()
    page.keyboard.press("1")
    expect(page.locator("#text")).to_have_text("took my money twice")
    assert stayed(page)


def test_slash_searches_all_labels_and_enter_takes_the_marked_one(
    page: Page, tasks: list[Task]
) -> None:
    open_queue(page)
    page.keyboard.press("/")
    expect(page.locator("#hits .choice")).to_have_count(6)
    page.keyboard.type("canc")
    page.keyboard.press("Enter")
    expect(page.locator("#text")).to_have_text("took my money twice")
    all_sent(page)
    assert Resolution.objects.get().label == label_of(tasks[0].project, "Cancel contract")
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    expect(page.locator("#hits .choice")).to_have_count(0)
    page.keyboard.press("1")
    expect(page.locator("#text")).to_have_text("bye")
    assert stayed(page)


def test_a_blind_task_shows_no_bars(page: Page, tasks: list[Task]) -> None:
    make_validator(tasks[0].project, name="judge")
    open_queue(page)
    expect(page.locator(".share svg").first).to_be_visible()
    Project.objects.update(blind_share=1.0)
    Lease.objects.all().delete()
    page.reload()
    expect(page.locator(".candidate")).to_have_count(3)
    expect(page.locator("main svg, main meter, aside")).to_have_count(0)


def test_where_the_project_asks_an_answer_waits_for_enter(page: Page, tasks: list[Task]) -> None:
    Project.objects.update(confirm_answers=True)
    open_queue(page)
    page.keyboard.press("1")
    page.keyboard.press("2")
    expect(page.locator(".choice[data-chosen] .name")).to_have_text("Activate a SIM")
    assert Annotation.objects.count() == 0
    page.keyboard.press("Enter")
    expect(page.locator("#text")).to_have_text("took my money twice")
    all_sent(page)
    assert Annotation.objects.get().label == label_of(tasks[0].project, "Activate a SIM")


def test_several_labels_are_ticked_by_shift_and_sent_by_enter(
    page: Page, tasks: list[Task]
) -> None:
    Project.objects.update(allow_conf=True)
    open_queue(page)
    page.keyboard.press("Shift+Digit1")
    page.keyboard.press("/")
    page.keyboard.type("eta")
    page.keyboard.press("Shift+Enter")
    expect(page.get_by_label("Eta", exact=True)).to_be_checked()
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(page.locator("#text")).to_have_text("took my money twice")
    all_sent(page)
    names = Annotation.objects.get().conf_labels.values_list("name", flat=True)
    assert sorted(names) == ["Eta", "SIM not seen"]


def test_a_yes_or_no_question_takes_y_and_n(page: Page, project: Project, ann: Member) -> None:
    asked = label_of(project, "Charged twice")
    deferred(project, text="twice!", priority=2, question="binary", asked_label=asked)
    deferred(project, text="hello", priority=1, question="binary", asked_label=asked)
    page.goto("/p/heron/annotate/")
    page.keyboard.press("y")
    expect(page.locator("#text")).to_have_text("hello")
    page.keyboard.press("n")
    expect(page.locator("#notice")).to_contain_text("goes on with all labels")
    answers = Annotation.objects.order_by("pk").values_list("answer", flat=True)
    assert list(answers) == ["yes", "no"]


def test_help_opens_and_closes_by_key(page: Page, tasks: list[Task]) -> None:
    Project.objects.update(guidelines="Label what is wanted.")
    open_queue(page)
    page.keyboard.press("g")
    expect(page.get_by_text("Label what is wanted.")).to_be_visible()
    page.keyboard.press("1")
    page.keyboard.press("Escape")
    expect(page.get_by_text("Label what is wanted.")).to_be_hidden()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_hidden()
    assert Annotation.objects.count() == 0


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_the_screen(page: Page, tasks: list[Task], width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    for path in ("/", "/p/heron/", "/p/heron/annotate/", "/p/heron/runs/", "/account/tokens/"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
