"""Snapshots are made, fetched and compared, and a text is erased, by keyboard and mouse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from labeling.actions.erase import finish_erasures
from labeling.actions.resolve import resolve
from labeling.actions.snapshots import due_snapshots, make_snapshot
from labeling.models import Member, Project, Task
from tests.labeling.builders import make_task

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def task(project: Project, ann: Member) -> Task:
    """A resolved task; Ann is an admin."""
    Member.objects.filter(pk=ann.pk).update(role="admin")
    task = make_task(project, "chat-1", "The card of Maria was swallowed")
    label = project.labels.order_by("pk").first()
    resolve(task=task, source="single", by=ann, label=label)
    make_task(project, "waits", status="deferred")
    return task


def work() -> None:
    """What a worker does."""
    for pk in due_snapshots(timezone.now()).values_list("pk", flat=True):
        make_snapshot(pk)


def keep(page: Page, note: str) -> None:
    page.goto("/p/heron/export/")
    page.get_by_role("button", name="Keep as a snapshot…").click()
    page.get_by_label("What it is for").fill(note)
    page.keyboard.press("Enter")
    expect(page.get_by_text(note)).to_be_visible()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    work()
    expect(page.get_by_text("Waiting for a worker")).to_have_count(0)


def test_a_snapshot_is_made_fetched_and_compared(
    page: Page, project: Project, task: Task, ann: Member, tmp_path: Path
) -> None:
    keep(page, "before the change")
    page.get_by_role("link", name="Snapshot 1").click()
    with page.expect_download() as fetched:
        page.get_by_role("button", name="Download").click()
    target = tmp_path / fetched.value.suggested_filename
    fetched.value.save_as(target)
    assert target.name == "heron-1.jsonl"
    rows = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert [row["external_id"] for row in rows] == ["chat-1", "waits"]

    other = project.labels.order_by("pk").last()
    resolve(task=task, source="override", by=ann, label=other)
    keep(page, "after the change")
    page.get_by_role("link", name="Snapshot 2").click()
    page.get_by_role("button", name="Compare").click()

    expect(page.get_by_role("heading", name="From snapshot 1 to 2")).to_be_visible()
    row = page.get_by_role("row", name="chat-1")
    expect(row).to_contain_text("another label, came about in another way")
    with page.expect_download() as fetched:
        page.get_by_role("link", name="All as CSV").click()
    assert fetched.value.suggested_filename == "heron-changes-1-2.csv"


def test_the_choices_of_the_export_come_along(page: Page, project: Project, task: Task) -> None:
    page.goto("/p/heron/export/?status=deferred&format=jsonl")
    page.get_by_role("button", name="Keep as a snapshot…").click()
    expect(page.get_by_text("1 row fits these choices now.")).to_be_visible()
    page.get_by_role("button", name="Make the snapshot").click()
    work()
    assert project.snapshots.get().rows == 1


def test_a_text_is_erased_once_its_id_is_typed(page: Page, project: Project, task: Task) -> None:
    keep(page, "with the text")
    page.goto(f"/p/heron/tasks/{task.pk}/")
    page.get_by_role("link", name="Erase this text for good…").click()
    page.get_by_label("Why it is erased").fill("she asked for it")
    page.get_by_label("The id of the task").fill("chat")
    page.keyboard.press("Enter")
    expect(page.get_by_text("nothing was erased")).to_be_visible()
    assert Task.objects.get(pk=task.pk).text

    page.get_by_label("The id of the task").fill("chat-1")
    page.keyboard.press("Enter")

    expect(page.get_by_text("1 text was erased.")).to_be_visible()
    expect(page.get_by_text("A worker has yet to take it out of the snapshots.")).to_be_visible()
    expect(page.get_by_text("Maria")).to_have_count(0)
    finish_erasures(project.pk)
    page.goto("/p/heron/export/snapshots/1/")
    expect(page.get_by_text("(1 of them erased)")).to_be_visible()
    expect(page.get_by_text("she asked for it")).to_be_visible()
