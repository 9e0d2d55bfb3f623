"""Registrations asked for on a page: a worker takes them once, and tells how they ended."""

from __future__ import annotations

from typing import Any

import pytest

from labeling import dispatch
from labeling.actions.registration import ask_registration
from labeling.models import Event, Project, Registration, Role, Validator
from llm_worker.pipeline import registration as pipeline
from llm_worker.pipeline.sweep import sweep
from tests.labeling.builders import make_member, make_project, make_validator

pytestmark = pytest.mark.django_db
OPTIONS = {
    "name": "qwen",
    "url": "http://gpu9.example.org:8000/v1",
    "model": "m",
    "language": "en",
    "approach": "prob",
    "shots": 0,
    "bias": "none",
    "api_key_env": "",
    "reads_documents": False,
}


@pytest.fixture
def project() -> Project:
    return make_project()


def work_on(row: Registration) -> Registration:
    dispatch.run_here("work_on_registration", registration_id=row.pk)
    row.refresh_from_db()
    return row


def test_a_host_that_is_not_allowed_is_refused_in_words(project: Project) -> None:
    row = work_on(ask_registration(project=project, options=OPTIONS, by="test"))
    assert (row.status, row.validator) == ("refused", None)
    assert "not on the list of hosts" in row.said
    assert not Validator.objects.exists()
    assert not row.is_open


def test_what_a_worker_took_no_other_one_takes(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def register(project: Project, **options: Any) -> dict[str, Any]:
        asked.append(options)
        made = make_validator(project, options["name"], version=3)
        return {"version": made.version, "is_new": True, "domain_was_cut": True}

    monkeypatch.setattr(pipeline, "register_llm", register)
    admin = make_member(project, Role.ADMIN)
    row = work_on(ask_registration(project=project, options=OPTIONS, by=admin))
    work_on(row)
    assert asked == [{**OPTIONS, "by": admin}]
    assert row.status == "done"
    assert row.validator == Validator.objects.get(version=3)
    assert "in use as version 3" in row.said
    assert "their end is cut" in row.said
    assert Event.objects.filter(verb="registration_asked", member=admin).count() == 1


def test_a_lost_message_is_sent_again_by_the_sweep(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ask_registration(project=project, options=OPTIONS, by="test")
    sent: list[int] = []
    monkeypatch.setattr(dispatch, "register_validator", sent.append)
    sweep()
    assert sent == [row.pk]
    work_on(row)
    sweep()
    assert sent == [row.pk]
