"""Erasing a text: nothing of it is left in any column of any table or in any file."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from labeling import rules
from labeling.actions.belonging import path_to_project
from labeling.actions.erase import erase_task, finish_erasures, look_after_erasures
from labeling.actions.erase_quotes import OF_OTHERS, text_fields, without
from labeling.actions.errors import ActionRefused
from labeling.actions.ingest import ingest_predictions
from labeling.actions.lease import next_task
from labeling.actions.snapshots import due_snapshots, erase_from_snapshots, make_snapshot
from labeling.formats.export import export_rows
from labeling.formats.snapshot import checked_lines, path_of, snapshot_rows, write_file
from labeling.models import (
    Annotation,
    AuditDraw,
    BenchmarkItem,
    Embedding,
    Erasure,
    Label,
    Lease,
    Project,
    PromptPreview,
    Role,
    Snapshot,
    Task,
    Verdict,
)
from tests.labeling.builders import (
    label_of,
    make_benchmark_item,
    make_member,
    make_task,
)
from tests.labeling.planted import NAME, OLD, TEXT, planted, where_it_is_said
from tests.labeling.rest import client_as
from tests.labeling.scenes import Scene
from tests.labeling.test_pages import client_of
from tests.labeling.test_snapshots import keep

pytestmark = pytest.mark.django_db

ERASURES = "/api/v1/projects/shop/erasures/"
GLOBAL = {"user", "heartbeat", "embedding", "logentry"}
"""Models of no project. An embedding is found by the hash of its text."""


@pytest.fixture(autouse=True)
def folder(settings: LazySettings, tmp_path: Path) -> Path:
    settings.SNAPSHOTS_DIR = tmp_path / "snapshots"
    settings.ARTIFACTS_DIR = tmp_path / "artifacts"
    return tmp_path


@pytest.fixture
def scene() -> Scene:
    return planted()


def erase(project: Project, external_id: str = "chat/1", **how: Any) -> Any:
    task = project.tasks.get(external_id=external_id)
    given = {"confirm": external_id, "reason": "she asked for it", "by": "test", **how}
    done = erase_task(task=task, **given)
    finish_erasures(project.pk)
    return done


@pytest.mark.embedded
def test_nothing_is_left_in_any_column_or_file(
    scene: Scene, folder: Path, settings: LazySettings
) -> None:
    before = where_it_is_said(folder, NAME, TEXT)
    assert len(before) > 20, "the scene has planted it"
    erase(scene.project)
    assert where_it_is_said(folder, NAME, TEXT, OLD) == set()
    assert where_it_is_said(Path(settings.VAR_DIR), NAME, TEXT, OLD) == set()
    assert not Embedding.objects.filter(text_hash=rules.exact_hash(TEXT)).exists()
    hashes = {rules.text_hash(TEXT), rules.exact_hash(TEXT)}
    assert where_it_is_said(folder, *hashes) == set()


def test_every_model_belongs_to_a_project_or_is_known_not_to() -> None:
    """So that a new one is searched for quotes, too."""
    ours = apps.get_app_config("labeling").get_models()
    unknown = {
        model.__name__
        for model in ours
        if path_to_project(model) is None and model._meta.model_name not in GLOBAL
    }
    assert unknown == set()
    searched = {m._meta.model_name for m in apps.get_app_config("labeling").get_models()}
    assert searched > OF_OTHERS
    assert {field.name for field in text_fields(Label)} == {
        "description",
        "examples",
        "counter_examples",
    }


def test_what_is_left_is_a_tombstone_and_everything_that_is_no_text(scene: Scene) -> None:
    project = scene.project
    erase(project)
    task = project.tasks.get(external_id="chat/1")
    assert (task.text, task.status, task.metadata, task.turns) == ("", "erased", {}, None)
    tombstone = Erasure.objects.get(task=task)
    assert tombstone.reason == "she asked for it"
    assert tombstone.finished_at is not None
    assert tombstone.removed["embedding"] == 1
    answer = Annotation.objects.get(task=task)
    assert (answer.label, answer.comment, answer.current) == (label_of(project, "a"), "", True)
    assert Verdict.objects.filter(task=task).count() == 2
    assert not task.resolutions.filter(current=True).exists()
    assert Embedding.objects.count() == 1


def test_what_quoted_it_keeps_the_rest(scene: Scene) -> None:
    project = scene.project
    version = project.taxonomies.first()
    assert version is not None
    done = erase(project)
    label = label_of(project, "a")
    assert (label.examples, label.counter_examples) == (["kept example"], [])
    assert label.description == "As in: [erased]"
    newest = project.taxonomies.first()
    assert newest is not None
    assert newest.number == version.number + 1
    comment = Annotation.objects.get(task__external_id="chat/3").comment
    assert comment == "like “[erased]”, but shorter"
    preview = PromptPreview.objects.get()
    assert preview.messages[0]["content"] == "Which label?\n[erased]\nElse: kept"
    project.refresh_from_db()
    assert project.guidelines == "# Example\n\n[erased]\n\nEnd"
    validator = scene.validators[0]
    validator.refresh_from_db()
    assert [shot["text"] for shot in validator.settings["shots"]] == ["[erased]", "kept"]
    assert validator.active is False
    assert done.validators == [validator.name]


@pytest.mark.parametrize("text", ["yes", "card", "a"])
def test_a_short_text_goes_only_where_it_is_the_whole_of_an_example(text: str) -> None:
    assert without(f"{text} in words", [text]) == f"{text} in words"
    assert without({"label": text, "text": text}, [text]) == {"label": text, "text": "[erased]"}
    assert without([text, "other"], [text]) == ["other"]
    assert without(text, [text]) == text


def test_copies_go_on_request_only(scene: Scene, folder: Path) -> None:
    project = scene.project
    copy = make_task(project, "copy", f"  {TEXT.upper()} ")
    assert copy.text_hash == project.tasks.get(external_id="chat/1").text_hash
    done = erase(project)
    assert done.copies_left == 1
    assert Task.objects.get(pk=copy.pk).text


def test_copies_are_erased_with_it(scene: Scene, folder: Path) -> None:
    project = scene.project
    make_task(project, "copy", TEXT)
    done = erase(project, copies=True)
    assert len(done.erasures) == 2
    assert where_it_is_said(folder, NAME, TEXT) == set()


def test_the_file_of_a_snapshot_has_a_tombstone_and_both_checksums(scene: Scene) -> None:
    old = scene.project.snapshots.get()
    rows = {row["external_id"]: row for row in snapshot_rows(old)}
    erase(scene.project)
    new = scene.project.snapshots.get()
    assert (new.rows, new.erased) == (old.rows, 1)
    (rewrite,) = new.rewrites
    assert rewrite["old_sha256"] == old.sha256
    assert rewrite["sha256"] == new.sha256 != old.sha256
    assert (rewrite["reason"], rewrite["rows"]) == ("she asked for it", 1)
    left = {row["external_id"]: row for row in snapshot_rows(new)}
    assert left == {name: row for name, row in rows.items() if name != "chat/1"}
    assert not path_of(old).exists()
    finish_erasures(scene.project.pk)
    assert scene.project.snapshots.get().sha256 == new.sha256


def test_a_snapshot_without_it_stays_as_it_is(scene: Scene) -> None:
    other = keep(scene.project, status="deferred")
    erase(scene.project)
    left = Snapshot.objects.get(pk=other.pk)
    assert (left.sha256, left.rewrites) == (other.sha256, [])
    assert path_of(left).exists()


def test_a_snapshot_that_is_being_written_begins_anew(scene: Scene) -> None:
    late = keep(scene.project)
    path = path_of(late)
    Snapshot.objects.filter(pk=late.pk).update(
        status="writing", sha256="", file="", claimed_until="2100-01-01T00:00:00Z"
    )
    erase(scene.project)
    assert list(due_snapshots(timezone.now())) == [late]
    path.unlink()
    make_snapshot(late.pk)
    late.refresh_from_db()
    assert late.status == "done"
    assert "chat/1" not in {row["external_id"] for row in snapshot_rows(late)}


def test_a_damaged_file_goes_as_a_whole(scene: Scene) -> None:
    snapshot = scene.project.snapshots.get()
    path_of(snapshot).write_bytes(gzip.compress(TEXT.encode()))
    erase(scene.project)
    snapshot.refresh_from_db()
    assert snapshot.status == "failed"
    assert "is not the one that was kept" in snapshot.failure


def test_a_worker_that_erases_another_text_meanwhile_takes_none_of_it_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two jobs read the same file. Whoever ends last reads anew what the first one wrote."""
    project, real = scene.project, write_file
    begun: list[Snapshot] = []

    def while_another_ends(snapshot: Snapshot, lines: Any) -> Any:
        written = real(snapshot, lines)
        if not begun:
            begun.append(snapshot)
            other = project.tasks.get(external_id="chat/2")
            erase_from_snapshots(project, {other.pk}, reason="the other one")
        return written

    monkeypatch.setattr("labeling.actions.snapshots.write_file", while_another_ends)
    erase(project)
    left = project.snapshots.get()
    assert [one["reason"] for one in left.rewrites] == ["the other one", "she asked for it"]
    assert {row["external_id"] for row in snapshot_rows(left)} & {"chat/1", "chat/2"} == set()
    assert [path.name for path in path_of(left).parent.iterdir()] == [path_of(left).name]


def test_a_file_that_another_worker_has_replaced_is_not_taken_for_a_damaged_one(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, real = scene.project, checked_lines
    begun: list[Snapshot] = []

    def once_another_ended(snapshot: Snapshot) -> Any:
        if not begun:
            begun.append(snapshot)
            other = project.tasks.get(external_id="chat/2")
            erase_from_snapshots(project, {other.pk}, reason="the other one")
        return real(snapshot)

    monkeypatch.setattr("labeling.actions.snapshots.checked_lines", once_another_ended)
    erase(project)
    left = project.snapshots.get()
    assert (left.status, left.erased) == ("done", 2)


def test_a_snapshot_begun_while_the_text_was_being_erased_begins_anew(scene: Scene) -> None:
    """Its worker may have read the text before the erasure was there for others to see."""
    late = keep(scene.project)
    task = scene.project.tasks.get(external_id="chat/1")
    erase_task(task=task, confirm="chat/1", reason="r", by="test")
    Snapshot.objects.filter(pk=late.pk).update(
        status="writing", sha256="", file="", claimed_until="2100-01-01T00:00:00Z"
    )
    finish_erasures(scene.project.pk)
    assert list(due_snapshots(timezone.now())) == [late]


def test_it_is_finished_later_where_the_message_was_lost(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr("labeling.dispatch.finish_erasures", asked.append)
    task = scene.project.tasks.get(external_id="chat/1")
    erase_task(task=task, confirm="chat/1", reason="r", by="test")
    look_after_erasures()
    assert asked == [scene.project.pk] * 2
    finish_erasures(scene.project.pk)
    look_after_erasures()
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"confirm": "chat/2"}, "not the id"),
        ({"reason": "  "}, "Say why"),
        ({"reason": f"because of {TEXT}"}, "quotes the text"),
    ],
)
def test_what_is_not_meant_is_refused(scene: Scene, how: dict[str, str], sentence: str) -> None:
    with pytest.raises(ActionRefused, match=sentence):
        erase(scene.project, **how)
    assert Task.objects.get(external_id="chat/1").text == TEXT


def test_it_is_not_taken_again_nor_asked_about_nor_trained_on(scene: Scene) -> None:
    project = scene.project
    task = project.tasks.get(external_id="chat/1")
    make_benchmark_item(task, "fit", reference="label", reference_label=label_of(project, "a"))
    erase(project)
    with pytest.raises(ActionRefused) as refused:
        ingest_predictions(
            project=project,
            model_version="m",
            items=[{"external_id": "chat/1", "text": TEXT, "logits": [1.0, 2.0, 3.0]}],
            on_changed_text="revise",
            by="test",
        )
    assert "was erased" in refused.value.details[0].message
    assert not project.tasks.for_training().filter(pk=task.pk).exists()
    assert not Task.objects.unscored().filter(pk=task.pk).exists()
    assert not Lease.objects.filter(task=task).exists()
    for role in Role.values:
        member = make_member(project, role)
        Project.objects.filter(pk=project.pk).update(gold_share=1.0)
        lease = next_task(member=member)
        assert lease is None or lease.task_id != task.pk
    assert BenchmarkItem.objects.get(task=task).text_hash != rules.text_hash(TEXT)
    assert "chat/1" not in {row["external_id"] for row in export_rows(project)}
    assert not AuditDraw.objects.filter(task=task, revision=2).exists()


def test_erasing_twice_changes_nothing_more(scene: Scene) -> None:
    first = erase(scene.project)
    again = erase(scene.project)
    assert [one.pk for one in again.erasures] == [one.pk for one in first.erasures]
    assert Task.objects.get(external_id="chat/1").revision == 2


# --- From outside -----------------------------------------------------------------------------


def test_the_command_asks_for_the_id(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda _question: "no")
    with pytest.raises(CommandError, match="not the id"):
        call_command("erase_task", "shop", "chat/1", "--reason", "asked")
    monkeypatch.setattr("builtins.input", lambda _question: "chat/1")
    out = io.StringIO()
    call_command("erase_task", "shop", "chat/1", "--reason", "asked", stdout=out)
    assert "1 text was erased." in out.getvalue()
    assert "1 snapshot was written anew." in out.getvalue()
    with pytest.raises(CommandError, match="no task"):
        call_command("erase_task", "shop", "nowhere", "--reason", "asked", "--confirm", "nowhere")


@pytest.fixture
def admin(scene: Scene) -> APIClient:
    return client_as(scene.project, Role.ADMIN)


def test_an_admin_erases_over_rest(admin: APIClient, scene: Scene) -> None:
    body = {"external_id": "chat/1", "confirm": "chat", "reason": "asked"}
    assert admin.post(ERASURES, body, format="json").status_code == 422
    answer = admin.post(ERASURES, {**body, "confirm": "chat/1"}, format="json")
    assert answer.status_code == 201
    assert answer.json()["erasures"][0]["finished_at"] is None
    (listed,) = admin.get(ERASURES).json()["results"]
    assert (listed["external_id"], listed["reason"]) == ("chat/1", "asked")
    gone = {**body, "external_id": "nowhere"}
    assert admin.post(ERASURES, gone, format="json").status_code == 404


def test_only_admins_erase(scene: Scene) -> None:
    body = {"external_id": "chat/1", "confirm": "chat/1", "reason": "asked"}
    task = Task.objects.get(external_id="chat/1")
    for role in (Role.EXPERT, Role.REGULAR):
        assert client_as(scene.project, role).post(ERASURES, body, format="json").status_code == 403
        browser = client_of(make_member(scene.project, role))
        assert browser.get(f"/p/shop/tasks/{task.pk}/erase/").status_code == 403
    assert Task.objects.get(pk=task.pk).text == TEXT


def test_the_page_says_what_goes_and_wants_the_id_typed(scene: Scene) -> None:
    browser = _browser(scene)
    task = Task.objects.get(external_id="chat/1")
    make_task(scene.project, "copy", TEXT)
    assert "Erase this text for good" in browser.get(f"/p/shop/tasks/{task.pk}/").content.decode()
    path = f"/p/shop/tasks/{task.pk}/erase/"
    shown = browser.get(path).content.decode()
    assert "Erase 1 other task with the same text, too" in shown
    wrong = browser.post(path, {"reason": "asked", "confirm": "chat"})
    assert wrong.status_code == 422
    assert "nothing was erased" in wrong.content.decode()
    done = browser.post(path, {"reason": "asked", "confirm": "chat/1", "copies": "on"}, follow=True)
    page = done.content.decode()
    assert "2 texts were erased." in page
    assert "The text was erased on" in page
    assert NAME not in page
    assert "It was erased already" in browser.get(path).content.decode()
    assert "The text was erased." in browser.get("/p/shop/tasks/").content.decode()


def _browser(scene: Scene) -> Client:
    return client_of(scene.project.members.get(user__username="ada"))
