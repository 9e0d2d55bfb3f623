"""`manage.py check`: what is missing is named, with a way to mend it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.checks import CheckMessage

from labeling import checks


def ids(found: list[CheckMessage]) -> list[str]:
    assert all(message.hint for message in found)
    return [str(message.id) for message in found]


def test_an_ordinary_installation_has_nothing_to_mend() -> None:
    assert ids(checks.folders_are_writable()) == []
    assert ids(checks.encoder_can_be_found()) == []


def test_a_folder_that_cannot_be_written_is_named(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.ARTIFACTS_DIR = tmp_path / "models"
    # Root may write everywhere, so the right is taken away where it is asked for.
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
    (found,) = checks.folders_are_writable()
    assert found.id == "countersign.E001"
    assert str(tmp_path) in found.msg


@pytest.mark.parametrize("name", ["/nowhere/model", "all-MiniLM-L6-v2"])
def test_an_encoder_that_is_not_there_is_named(settings: LazySettings, name: str) -> None:
    settings.ENCODER = name
    (found,) = checks.encoder_can_be_found()
    assert found.id == "countersign.E002"
    assert name in found.msg


def test_a_missing_builtin_encoder_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert ids(checks.encoder_can_be_found()) == ["countersign.W003"]


def test_production_is_told_what_one_machine_can_do_without(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def engine(name: str) -> None:
        monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", f"django.db.backends.{name}")

    settings.REDIS_URL = ""
    engine("sqlite3")
    assert ids(checks.production_has_shared_services()) == ["countersign.W001", "countersign.W002"]
    settings.REDIS_URL = "redis://127.0.0.1:6379/0"
    engine("postgresql")
    assert ids(checks.production_has_shared_services()) == []
