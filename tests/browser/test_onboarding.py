"""A new member labels the onboarding round by keyboard alone, does not pass, labels another and
goes on to the queue."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from labeling.actions.onboarding_texts import choose_text
from labeling.models import Annotation, Member, Project
from tests.browser.test_every_page import TOO_WIDE, WIDTHS, broken_rules
from tests.browser.test_people import press
from tests.labeling.builders import label_of, make_benchmark_item, make_member, make_task
from tests.labeling.cast import ranked

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_new_member_gets_through_the_round(page: Page, project: Project, ann: Member) -> None:
    Project.objects.update(onboarding_tasks=2, onboarding_pass_mark=1.0)
    project.refresh_from_db()
    right, other = "Charged twice", "Eta"
    expert = make_member(project, "expert", "ida")
    for number in range(4):
        task = make_task(project, text=f"I was charged twice, number {number}")
        ranked(task, right, other)
        item = make_benchmark_item(
            task, "fit", reference="label", reference_label=label_of(project, right)
        )
        choose_text(task=item.task, by=expert, explanation="Money left twice.")
    ranked(make_task(project, text="The first of the queue", status="deferred"), right, other)

    def answer(name: str) -> None:
        """By the key that stands at this candidate: they come in any order."""
        page.wait_for_load_state()  # the keys are there with the script
        row = page.locator(f'button.choice[data-name="{name}"]')
        page.keyboard.press(str(row.get_attribute("data-key")))
        expect(page.get_by_text("Money left twice.")).to_be_visible()

    page.goto("/p/heron/")
    press(page, "link", "Label")
    expect(page.get_by_role("button", name="Begin", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("text 1 of 2")).to_be_visible()
    answer(other)
    expect(page.get_by_role("heading", name="Not as the experts")).to_be_visible()
    expect(page.get_by_role("link", name="Next text")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("text 2 of 2")).to_be_visible()
    answer(right)
    expect(page.get_by_role("heading", name="Right")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 of 2 are right; 2 were needed.")).to_be_visible()
    press(page, "button", "Label another round")
    for place in (1, 2):
        expect(page.get_by_text(f"text {place} of 2")).to_be_visible()
        answer(right)
        page.keyboard.press("Enter")
    expect(page.get_by_text("You have passed: 2 of 2 are right")).to_be_visible()
    expect(page.get_by_role("link", name="Begin to label")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("The first of the queue")).to_be_visible()
    assert set(Annotation.objects.values_list("purpose", flat=True)) == {"onboarding"}
    assert ann.annotations.count() == 4


@pytest.mark.parametrize("width", WIDTHS)
def test_who_has_no_further_round_is_told_so_on_a_page_that_is_whole(
    page: Page, project: Project, ann: Member, width: int
) -> None:
    Project.objects.update(onboarding_tasks=1, onboarding_pass_mark=1.0)
    task = make_task(project, text="I was charged twice " * 12)
    ranked(task, "Charged twice", "Eta")
    right = label_of(project, "Charged twice")
    make_benchmark_item(task, "fit", reference="label", reference_label=right)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/p/heron/onboarding/")
    states = ["Before you begin", "text 1 of 1", "Not as the experts", "0 of 1 are right"]
    states.append("There is no further text for a round. An admin can let you in.")

    def look(state: str) -> None:
        expect(page.get_by_text(state).first).to_be_visible()
        assert broken_rules(page) == [], state
        assert page.evaluate(TOO_WIDE) == [], state

    look(states[0])
    page.keyboard.press("Enter")
    look(states[1])
    page.wait_for_load_state()
    row = page.locator('button.choice[data-name="Eta"]')
    page.keyboard.press(str(row.get_attribute("data-key")))
    look(states[2])
    press(page, "link", "See the whole round")
    look(states[3])
    press(page, "button", "Label another round")
    look(states[4])
    assert ann.onboarding_rounds.get().outcome == "failed"
