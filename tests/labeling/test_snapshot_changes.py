"""What differs between two snapshots: counted, listed as a stream, and shown."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client
from rest_framework.test import APIClient

from labeling.actions.resolve import resolve
from labeling.formats.snapshot import path_of, write_file
from labeling.formats.snapshot_diff import Comparison, side_by_side
from labeling.models import Project, Resolution, Role, Snapshot, Task, TaskStatus
from tests.labeling.builders import label_of, make_member, make_project, make_task
from tests.labeling.rest import client_as
from tests.labeling.test_pages import client_of
from tests.labeling.test_snapshots import content, keep

pytestmark = pytest.mark.django_db
CHANGES = "/api/v1/projects/shop/snapshots/2/changes/"
PAGES = "/p/shop/export/snapshots/"


@pytest.fixture(autouse=True)
def folder(settings: LazySettings, tmp_path: Path) -> None:
    settings.SNAPSHOTS_DIR = tmp_path / "snapshots"


@pytest.fixture
def project() -> Project:
    """Two snapshots between which one task of every kind of change lies."""
    project = make_project()
    tasks = {name: make_task(project, name) for name in ("same", "label", "source", "text", "gone")}
    for task in tasks.values():
        resolve(task=task, source="single", by="test", label=label_of(project, "a"))
    waits = make_task(project, "status", status=TaskStatus.DEFERRED)
    keep(project, "before")
    resolve(task=tasks["label"], source="override", by="test", label=label_of(project, "b"))
    Resolution.objects.filter(task=tasks["source"]).update(source="agreement")
    Task.objects.filter(pk=tasks["text"].pk).update(revision=2, text="=1+1")
    tasks["gone"].delete()
    resolve(task=waits, source="single", by="test", label=label_of(project, "c"))
    make_task(project, "new")
    keep(project, "after")
    return project


def compared(project: Project) -> Comparison:
    return Comparison(project.snapshots.get(number=1), project.snapshots.get(number=2))


def test_every_kind_of_change_is_told_and_counted(project: Project) -> None:
    comparison = compared(project)
    found = {change.external_id: set(change.changes) for change in comparison.changes()}
    assert found == {
        "label": {"label", "source"},
        "source": {"source"},
        "text": {"text"},
        "gone": {"removed"},
        "status": {"label", "status", "source"},
        "new": {"added"},
    }
    assert comparison.counted() == {
        "same": 1,
        "added": 1,
        "removed": 1,
        "label": 2,
        "status": 1,
        "source": 3,
        "text": 1,
        "erased": 0,
    }


def test_a_tombstone_is_counted_and_tells_nothing(project: Project) -> None:
    second = project.snapshots.get(number=2)
    task = Task.objects.get(external_id="label")
    lines = [
        {"task": task.pk, "erased": "today"} if line["task"] == task.pk else line
        for line in map(json.loads, gunzip(path_of(second)))
    ]
    written = write_file(second, lines)
    Snapshot.objects.filter(pk=second.pk).update(file=written.file, sha256=written.sha256)
    comparison = compared(project)
    assert "label" not in {change.external_id for change in comparison.changes()}
    assert comparison.counts["erased"] == 1


def gunzip(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines()


def test_both_files_are_read_side_by_side_and_never_held() -> None:
    taken = [0, 0]

    def lines(side: int, step: int) -> Any:
        for task in range(0, 10_000, step):
            taken[side] += 1
            yield {"task": task, "row": {}}

    pairs = side_by_side(lines(0, 2), lines(1, 3))
    for _ in range(100):
        old, new = next(pairs)
        assert old is None or new is None or old["task"] == new["task"]
    assert max(taken) < 105
    rest = list(pairs)
    assert taken == [5000, 3334]
    assert len(rest) + 100 == len({*range(0, 10_000, 2), *range(0, 10_000, 3)})


@pytest.fixture
def admin(project: Project) -> APIClient:
    return client_as(project, Role.ADMIN)


def test_it_is_streamed_as_json_with_the_counts_at_the_end(admin: APIClient) -> None:
    answer = admin.get(CHANGES, {"since": 1})
    found = json.loads(content(answer))
    assert (found["since"], found["snapshot"]) == (1, 2)
    assert found["counts"]["label"] == 2
    assert found["changes"][0]["before"]["label_key"] == "a"
    assert found["changes"][0]["after"]["label_key"] == "b"
    assert "shop-changes-1-2.json" in answer["Content-Disposition"]
    nothing = json.loads(content(admin.get(CHANGES, {"since": 2})))
    assert nothing["changes"] == []


def test_it_is_streamed_as_csv_that_is_safe_to_open(admin: APIClient, project: Project) -> None:
    Task.objects.filter(external_id="new").update(external_id="=cmd")
    keep(project)
    answer = admin.get(CHANGES.replace("2", "3") + "?since=1&format=csv")
    rows = list(csv.DictReader(io.StringIO(content(answer).decode())))
    assert {"external_id": "label", "label_before": "a", "label_after": "b"}.items() <= rows[
        0
    ].items()
    assert rows[-1]["external_id"] == "'=cmd"


@pytest.mark.parametrize(
    ("query", "status"), [({}, 400), ({"since": 9}, 404), ({"since": 1, "format": "xls"}, 400)]
)
def test_a_wrong_question_is_refused(admin: APIClient, query: dict[str, Any], status: int) -> None:
    assert admin.get(CHANGES, query).status_code == status


# --- Pages ------------------------------------------------------------------------------------


@pytest.fixture
def browser(project: Project) -> Client:
    return client_of(make_member(project, "admin", "ada"))


def test_a_snapshot_is_asked_for_on_its_page_with_the_choices_of_the_export(
    browser: Client, project: Project
) -> None:
    shown = browser.get(f"{PAGES}new/", {"status": "resolved"}).content.decode()
    assert "5 rows fit these choices now." in shown
    answer = browser.post(f"{PAGES}new/", {"status": "resolved", "note": "third"})
    assert answer.status_code == 302
    made = project.snapshots.get(number=3)
    assert (made.note, made.status, made.filters) == ("third", "waiting", {"status": "resolved"})
    assert "third" in browser.get(PAGES).content.decode()
    assert browser.post(f"{PAGES}new/", {"split": "x"}).status_code == 422


def test_the_page_of_a_snapshot_offers_its_rows_and_what_changed(browser: Client) -> None:
    page = browser.get(f"{PAGES}2/").content.decode()
    assert "Snapshot 1" in page
    fetched = browser.get(f"{PAGES}2/download/", {"format": "csv"})
    assert b"external_id" in b"".join(fetched.streaming_content)  # type: ignore[attr-defined]
    page = browser.get(f"{PAGES}2/changes/", {"since": "1"}).content.decode()
    assert "Came about in another way" in page
    again = browser.get(f"{PAGES}2/changes/", {"since": "1"}).content.decode()
    assert again.count("<tr>") == page.count("<tr>")


@pytest.mark.parametrize("path", ["2/download/?format=csv", "2/changes/?since=1"])
def test_a_damaged_file_is_told_in_words(browser: Client, project: Project, path: str) -> None:
    path_of(project.snapshots.get(number=2)).write_bytes(b"other")
    answer = browser.get(f"{PAGES}{path}", follow=True)
    assert "is not the one that was kept" in answer.content.decode()


@pytest.mark.parametrize("path", ["", "new/", "2/", "2/download/?format=csv", "2/changes/?since=1"])
def test_the_pages_are_for_admins(project: Project, path: str) -> None:
    assert client_of(make_member(project, "expert")).get(f"{PAGES}{path}").status_code == 403
