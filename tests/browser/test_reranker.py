"""The reranker's page in a real browser: on a phone, by pointer and by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from labeling.models import Member, PlanRow, Project, Ranking, Role, User
from tests.labeling.builders import label_of, make_configuration, make_prediction, make_run
from tests.labeling.builders import make_task as task_of
from tests.labeling.reranker_report import make_reranker

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LONG = "a-very-long-identifier-of-a-task-" * 4


@pytest.fixture
def address(project: Project, ann: Member) -> str:
    """A reranker, and a hard task that a run of it turned; Ann administrates the project."""
    Member.objects.filter(pk=ann.pk).update(role=Role.ADMIN)
    User.objects.filter(username="ann").update(is_staff=True)
    project.labels.filter(name="Eta").update(name="unbroken_" * 20)
    artifact = make_reranker(project)
    fitted = {"k": 5, "threshold": 3.2}
    configuration = make_configuration(project, reranker=artifact.digest, hard_threshold=fitted)
    run = make_run(project, configuration)
    task = task_of(project, LONG, "my phone " + "sees_no_card" * 20)
    PlanRow.objects.create(run=run, task=task, revision=1, prediction=make_prediction(task))
    candidates = [
        [label_of(project, name).pk, after, before, 0.5]
        for name, after, before in (("Activate a SIM", 0.6, 0.2), ("SIM not seen", 0.3, 0.7))
    ]
    Ranking.objects.create(
        run=run, task=task, revision=1, hard=True, variance=1.0, candidates=candidates
    )
    return f"/admin/labeling/project/{project.pk}/reranker/"


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_and_its_cases_are_no_wider_than_the_screen(
    page: Page, address: str, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto("/p/heron/")
    page.get_by_role("link", name="The reranker").click()
    expect(page.get_by_role("heading", name="Reranker", exact=True)).to_be_visible()
    expect(page.locator("svg.chart:visible")).to_have_count(1)
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("link", name=LONG).click()
    for name in ("Scores", "Similarities", "Reranked"):
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    expect(page.locator(".case-bars").last.locator("li").first).to_contain_text("was no.")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_pointer_and_the_arrow_keys_name_a_cell_of_both_maps(page: Page, address: str) -> None:
    page.goto(address)
    first, second = page.locator("svg.heat").all()
    said = page.locator("#heat-cell")
    expect(said).to_contain_text("press an arrow key")
    box = first.bounding_box()
    assert box is not None
    cell = box["width"] / 6
    first.hover(position={"x": cell * 2.5, "y": cell * 0.5})
    expect(said).to_have_text("SIM not seen and Charged twice: 0.67 before, -0.10 after")
    expect(second.locator(".cross")).to_be_visible()
    second.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    expect(said).to_have_text("Activate a SIM and Activate a SIM: 1.00 before, 1.00 after")
    for _ in range(9):
        page.keyboard.press("ArrowUp")
    expect(said).to_contain_text("SIM not seen and Activate a SIM")
