"""A run is steered by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from labeling.actions import runs
from labeling.models import Member, Project
from tests.labeling.builders import make_prediction, make_run, make_task

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_an_admin_pauses_resumes_and_cancels_a_run_by_key(
    page: Page, project: Project, ann: Member
) -> None:
    Member.objects.filter(pk=ann.pk).update(role="admin")
    run = make_run(project)
    runs.add_to_plan(run, [make_prediction(make_task(project)) for _ in range(2)])
    page.goto(f"/p/heron/runs/{run.pk}/")
    page.get_by_role("button", name="Pause").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Paused: 0 of 2 tasks are through.")).to_be_visible()
    page.get_by_role("button", name="Go on").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("0 of 2 tasks are through.")).to_be_visible()
    pause = page.get_by_role("button", name="Pause")
    pause.focus()
    with page.expect_response(lambda answer: answer.request.headers.get("hx-request") == "true"):
        pass
    expect(pause).to_be_focused()  # the part that htmx replaced takes nothing from the keyboard
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Cancel run")).to_be_visible()
    page.get_by_role("button", name="Cancel the run").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("People get the 2 tasks that it had not decided.")).to_be_visible()
    expect(page.get_by_text("Cancelled.", exact=True)).to_be_visible()
