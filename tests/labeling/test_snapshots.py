"""Snapshots: kept as they were, checked before they are read, and made by a job."""

from __future__ import annotations

import gzip
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.utils import timezone
from rest_framework.test import APIClient

from labeling.actions.resolve import resolve
from labeling.actions.snapshots import ask_snapshot, look_after_snapshots, make_snapshot
from labeling.formats.export import export_rows
from labeling.formats.selection import SelectionForm
from labeling.formats.snapshot import SnapshotDamaged, path_of, snapshot_rows, write_file
from labeling.formats.split import Split
from labeling.formats.writers import FORMATS
from labeling.models import Event, Project, Role, Snapshot, Task, TaskStatus
from tests.labeling.builders import (
    label_of,
    make_benchmark_item,
    make_configuration,
    make_member,
    make_policy,
    make_project,
    make_task,
)
from tests.labeling.rest import client_as, client_of

pytestmark = pytest.mark.django_db
SNAPSHOTS = "/api/v1/projects/shop/snapshots/"


@pytest.fixture(autouse=True)
def folder(settings: LazySettings, tmp_path: Path) -> Path:
    settings.SNAPSHOTS_DIR = tmp_path / "snapshots"
    return tmp_path / "snapshots"


@pytest.fixture
def project() -> Project:
    project = make_project()
    for number in range(3):
        task = make_task(project, f"t{number}", f"text {number}")
        resolve(task=task, source="imported", by="test", label=label_of(project, "a"))
    make_task(project, "waits", "not yet", status=TaskStatus.DEFERRED)
    return project


def keep(project: Project, note: str = "", **choices: Any) -> Snapshot:
    form = SelectionForm(choices, project=project)
    assert form.is_valid(), form.errors
    snapshot = ask_snapshot(form=form, note=note, by="test")
    make_snapshot(snapshot.pk)
    snapshot.refresh_from_db()
    return snapshot


def content(response: Any) -> bytes:
    assert response.streaming
    return b"".join(response.streaming_content)


@pytest.mark.embedded
def test_a_snapshot_keeps_the_rows_as_they_were(project: Project) -> None:
    before = json.loads(json.dumps(list(export_rows(project))))
    snapshot = keep(project)
    task = Task.objects.get(external_id="t1")
    Task.objects.filter(pk=task.pk).update(metadata={"new": True})
    resolve(task=task, source="override", by="test", label=label_of(project, "b"))
    make_task(project, "later")
    assert list(snapshot_rows(snapshot)) == before
    assert (snapshot.rows, snapshot.erased, snapshot.status) == (4, 0, "done")


def test_only_what_was_chosen_is_kept_and_the_choice_with_it(project: Project) -> None:
    snapshot = keep(project, "for a test", status="resolved", label="a")
    assert {row["external_id"] for row in snapshot_rows(snapshot)} == {"t0", "t1", "t2"}
    assert snapshot.filters == {"status": "resolved", "label": "a"}
    assert snapshot.note == "for a test"


def test_it_says_what_it_was_made_under(project: Project) -> None:
    certificate = {"rule": "conditional", "alpha": 0.05}
    make_policy(
        project, make_configuration(project), status="active", version=7, certificate=certificate
    )
    snapshot = keep(project)
    assert snapshot.policy is not None
    assert snapshot.policy.version == 7
    assert snapshot.certificate == certificate
    assert len(snapshot.certificate_hash) == 64
    assert snapshot.taxonomy_version == 1
    assert dict(snapshot.labels) == {"a": "a", "b": "b", "c": "c"}


def test_equal_rows_give_equal_bytes(project: Project) -> None:
    one, two = keep(project), keep(project)
    assert one.sha256 == two.sha256
    assert one.file != two.file


def test_a_changed_file_is_refused_before_anything_is_read(project: Project) -> None:
    snapshot = keep(project)
    path = path_of(snapshot)
    rows = gzip.decompress(path.read_bytes()).replace(b"text 1", b"text 9")
    path.write_bytes(gzip.compress(rows))
    with pytest.raises(SnapshotDamaged, match=snapshot.sha256):
        snapshot_rows(snapshot)
    path.unlink()
    with pytest.raises(SnapshotDamaged, match="No such file"):
        snapshot_rows(snapshot)


def test_nothing_is_left_of_a_file_that_broke_off(project: Project, folder: Path) -> None:
    snapshot = keep(project)

    def lines() -> Any:
        yield {"task": 1, "row": {}}
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_file(snapshot, lines())
    assert [path.name for path in (folder / str(project.pk)).iterdir()] == [
        Path(snapshot.file).name
    ]


def test_lines_are_written_as_they_come(project: Project, folder: Path) -> None:
    snapshot = keep(project)
    seen: list[int] = []

    def lines() -> Any:
        for number in range(20_000):
            if number == 19_999:
                (aside,) = folder.glob("*/.*.part")
                seen.append(aside.stat().st_size)
            yield {"task": number, "row": {"text": f"{hash(str(number))}"}}

    written = write_file(snapshot, lines())
    assert written.rows == 20_000
    assert seen[0] > written.size / 2, "rows were held until the end"


def test_a_worker_that_died_is_replaced_and_a_late_one_changes_nothing(
    project: Project, folder: Path
) -> None:
    form = SelectionForm({}, project=project)
    assert form.is_valid()
    snapshot = ask_snapshot(form=form, note="", by="test")
    claimed = Snapshot.objects.filter(pk=snapshot.pk)
    claimed.update(status="writing", claimed_until=timezone.now() + timedelta(minutes=5))
    assert make_snapshot(snapshot.pk) is None, "another worker has it"
    claimed.update(claimed_until=timezone.now() - timedelta(minutes=5))
    made = make_snapshot(snapshot.pk)
    assert made is not None
    assert made.status == "done"
    assert make_snapshot(snapshot.pk) is None
    assert Event.objects.filter(verb="snapshot_made").count() == 1
    assert len(list(folder.glob("*/*"))) == 1


def test_what_a_dead_worker_left_is_dropped_once_it_is_old(project: Project, folder: Path) -> None:
    snapshot = keep(project)
    old, new = folder / str(project.pk) / ".old.part", folder / str(project.pk) / ".new.part"
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (0, 0))
    os.utime(path_of(snapshot), (0, 0))
    look_after_snapshots()
    assert not old.exists()
    assert new.exists()
    assert path_of(snapshot).exists()


def test_a_choice_that_no_longer_holds_fails_in_words(project: Project) -> None:
    form = SelectionForm({"label": "a"}, project=project)
    assert form.is_valid()
    snapshot = ask_snapshot(form=form, note="", by="test")
    Snapshot.objects.filter(pk=snapshot.pk).update(filters={"run": 4711})
    make_snapshot(snapshot.pk)
    snapshot.refresh_from_db()
    assert snapshot.status == "failed"
    assert "no run of this number" in snapshot.failure


# --- REST -------------------------------------------------------------------------------------


@pytest.fixture
def admin(project: Project) -> APIClient:
    return client_as(project, Role.ADMIN)


def test_a_snapshot_is_asked_for_made_and_fetched(admin: APIClient, project: Project) -> None:
    answer = admin.post(SNAPSHOTS, {"note": "mine", "status": "resolved"}, format="json")
    assert answer.status_code == 202
    assert (answer.json()["number"], answer.json()["status"]) == (1, "waiting")
    early = admin.get(f"{SNAPSHOTS}1/download/")
    assert early.status_code == 422
    make_snapshot(project.snapshots.get().pk)
    found = admin.get(f"{SNAPSHOTS}1/").json()
    assert (found["status"], found["rows"], found["note"]) == ("done", 3, "mine")
    assert [one["number"] for one in admin.get(SNAPSHOTS).json()["results"]] == [1]
    lines = content(admin.get(f"{SNAPSHOTS}1/download/")).splitlines()
    assert [json.loads(line)["external_id"] for line in lines] == ["t0", "t1", "t2"]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_download_is_what_the_export_was_in_every_format(
    admin: APIClient, project: Project, kind: str
) -> None:
    export = content(admin.get("/api/v1/projects/shop/export/", {"format": kind}))
    keep(project)
    answer = admin.get(f"{SNAPSHOTS}1/download/", {"format": kind})
    kept = content(answer)
    assert f"shop-1.{FORMATS[kind][1]}" in answer["Content-Disposition"]
    if kind == "huggingface":  # its card and archive carry a time
        assert abs(len(kept) - len(export)) < 100
    else:
        assert kept == export


def test_a_changed_file_is_409_with_a_code_of_its_own(admin: APIClient, project: Project) -> None:
    path_of(keep(project)).write_bytes(b"no gzip")
    answer = admin.get(f"{SNAPSHOTS}1/download/")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "snapshot_damaged"


@pytest.mark.parametrize("body", [{"status": "lost"}, {"split": "1,2"}, {"colour": "red"}])
def test_a_wrong_choice_keeps_nothing(
    admin: APIClient, project: Project, body: dict[str, str]
) -> None:
    answer = admin.post(SNAPSHOTS, body, format="json")
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"] == next(iter(body))
    assert not project.snapshots.exists()


def test_others_get_nothing(project: Project) -> None:
    keep(project)
    for role in (Role.EXPERT, Role.REGULAR):
        client = client_as(project, role)
        for path in ("", "1/", "1/download/"):
            assert client.get(f"{SNAPSHOTS}{path}").status_code == 403
        assert client.post(SNAPSHOTS, {}, format="json").status_code == 403
    reader = client_of(make_member(project, Role.ADMIN), scopes=["read"])
    assert reader.get(SNAPSHOTS).status_code == 200
    assert reader.post(SNAPSHOTS, {}, format="json").status_code == 403
    other = make_project("other")
    assert client_as(other, Role.ADMIN).get(f"{SNAPSHOTS}1/").status_code == 404


# --- Splits -----------------------------------------------------------------------------------


def sides(project: Project, split: Split) -> dict[str, str]:
    return {row["external_id"]: row["split"] for row in export_rows(project, split=split)}


def test_copies_stay_together_and_new_rows_move_no_old_one(project: Project) -> None:
    for number in range(200):
        make_task(project, f"n{number}", f"number {number}")
        make_task(project, f"copy{number}", f"  NUMBER   {number} ")
    split = Split.of("60,20,20", "one")
    first = sides(project, split)
    assert all(first[f"n{n}"] == first[f"copy{n}"] for n in range(200))
    make_task(project, "new", "brand new")
    assert {name: side for name, side in sides(project, split).items() if name != "new"} == first
    assert sides(project, Split.of("60,20,20", "two")) != first
    counts = [list(first.values()).count(side) for side in ("train", "validation", "test")]
    assert counts[0] > counts[1] > 0
    assert counts[2] > 0


def test_nothing_of_the_benchmark_but_fit_and_no_copy_of_it_trains(project: Project) -> None:
    for part in ("fit", "tune", "certify", "test"):
        make_benchmark_item(make_task(project, part, f"asked in {part}"), part)
        make_task(project, f"copy of {part}", f"Asked  in {part}")
    found = sides(project, Split.of("1,0,0"))
    held_out = {name for name, side in found.items() if side != "train"}
    assert held_out == {f"{c}{p}" for p in ("tune", "certify", "test") for c in ("", "copy of ")}
    assert {found[name] for name in held_out} == {"test"}


@pytest.mark.parametrize("shares", ["1", "1,2", "a,b,c", "-1,1,1", "0,0,0", "inf,1,1", "nan,1,1"])
def test_shares_that_are_none_are_refused(shares: str, project: Project) -> None:
    form = SelectionForm({"split": shares}, project=project)
    assert not form.is_valid()
    assert "80,10,10" in form.errors["split"][0]


def test_a_side_without_a_share_gets_nothing() -> None:
    halves = Split.of("0.1,0.9,0")
    found = {halves.side(f"{n}", held_out=False) for n in range(500)}
    assert found == {"train", "validation"}
