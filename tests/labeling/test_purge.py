"""Purging an archived project: everything of it goes, nothing of another one."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from labeling.actions.belonging import models_of_projects, path_to_project
from labeling.actions.errors import ActionRefused
from labeling.actions.projects import archive_project, restore_project
from labeling.actions.purge import purge_project
from labeling.models import Embedding, Event, Project, Task, User
from labeling.rules import exact_hash
from tests.browser.everything import make_everything
from tests.labeling.builders import make_artifact, make_member, make_project, make_task
from tests.labeling.test_snapshots import keep

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings: LazySettings, tmp_path: Path) -> Path:
    settings.SNAPSHOTS_DIR = tmp_path / "snapshots"
    settings.ARTIFACTS_DIR = tmp_path / "artifacts"
    return tmp_path


def rows_of(project: Project) -> dict[str, int]:
    counts = {
        model.__name__: model._default_manager.filter(
            **{str(path_to_project(model)): project.pk}
        ).count()
        for model in models_of_projects()
    }
    return {name: n for name, n in counts.items() if n}


def other_project() -> Project:
    other = make_project("other")
    make_member(other, "admin")
    make_task(other, "1", "stays")
    make_artifact(other)
    keep(other)
    return other


@pytest.mark.embedded
def test_everything_of_it_goes_and_nothing_of_another_project(folder: Path) -> None:
    project = make_everything().project
    other = other_project()
    before = rows_of(other)
    assert len(rows_of(project)) > 30, "something stands in most tables"
    artifact = make_artifact(project)
    for path in (artifact.path, other.artifacts.get().path):
        (folder / "artifacts" / path).mkdir(parents=True, exist_ok=True)
    text = project.tasks.exclude(text="").first()
    assert text is not None
    project.labels.update(examples=["on a card", {"odd": 1}])
    for one in (text.text, "on a card", "stays"):
        Embedding.objects.create(text_hash=exact_hash(one), encoder="e", vector=b"")
    users = User.objects.count()
    archive_project(project=project, by="test")
    told: list[tuple[str, int, int]] = []
    gone = purge_project(
        project=project, confirm=project.slug, batch=7, progress=lambda *at: told.append(at)
    )
    assert rows_of(project) == {}
    assert not Project.objects.filter(pk=project.pk).exists()
    assert rows_of(other) == before
    assert not (folder / "artifacts" / artifact.path).exists()
    assert (folder / "artifacts" / other.artifacts.get().path).exists()
    assert not (folder / "snapshots" / str(project.pk)).exists()
    assert (folder / "snapshots" / str(other.pk)).exists()
    assert [one.text_hash for one in Embedding.objects.all()] == [exact_hash("stays")]
    assert gone["Task"] > 10
    assert User.objects.count() == users
    assert all(done <= total for _what, done, total in told)
    assert max(b - a for (_, a, _), (_, b, _) in itertools.pairwise(told)) <= 7


def test_the_order_takes_who_refers_before_what_is_referred_to() -> None:
    ordered = models_of_projects()
    names = [model.__name__ for model in ordered]
    assert names.index("Verdict") < names.index("Validator") < names.index("Artifact")
    assert names[-1] == "Project"
    ours = apps.get_app_config("labeling").get_models(include_auto_created=True)
    assert len(ordered) == sum(path_to_project(model) is not None for model in ours)


def test_a_live_project_is_refused_and_so_is_a_wrong_word() -> None:
    project = make_project()
    make_task(project)
    with pytest.raises(ActionRefused, match="in use"):
        purge_project(project=project, confirm="shop")
    archive_project(project=project, by="test")
    project.refresh_from_db()
    with pytest.raises(ActionRefused, match="not the address"):
        purge_project(project=project, confirm="shopp")
    assert Task.objects.count() == 1


def test_what_was_broken_off_goes_on_and_cannot_be_restored() -> None:
    project = make_project()
    for number in range(5):
        make_task(project, f"{number}")
    archive_project(project=project, by="test")
    project.refresh_from_db()

    def stop(what: str, done: int, total: int) -> None:
        if what == str(Task._meta.verbose_name_plural):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        purge_project(project=project, confirm="shop", batch=2, progress=stop)
    assert project.tasks.count() == 3
    restore_project(project=project, by="test")
    project.refresh_from_db()
    assert project.archived_at is not None
    assert not Event.objects.filter(project=project, verb="project_restored").exists()
    purge_project(project=project, confirm="shop", batch=2)
    assert not Project.objects.exists()


def test_a_path_above_the_folder_is_left_alone(folder: Path) -> None:
    project = make_project()
    make_artifact(project, path="../precious")
    precious = folder / "precious"
    precious.mkdir()
    archive_project(project=project, by="test")
    project.refresh_from_db()
    purge_project(project=project, confirm="shop")
    assert precious.exists()


def test_the_command_asks_for_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project()
    monkeypatch.setattr("builtins.input", lambda _question: "shop")
    with pytest.raises(CommandError, match="in use"):
        call_command("purge_project", "shop")
    with pytest.raises(CommandError, match="no project"):
        call_command("purge_project", "nowhere")
    archive_project(project=project, by="test")
    monkeypatch.setattr("builtins.input", lambda _question: "no")
    with pytest.raises(CommandError, match="not the address"):
        call_command("purge_project", "shop")
    out = io.StringIO()
    call_command("purge_project", "shop", "--confirm", "shop", stdout=out)
    assert "“shop” is deleted" in out.getvalue()
    assert not Project.objects.exists()
