"""Registrations asked for on a page: a worker takes them once, and tells how they ended."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labeling import dispatch
from labeling.actions.errors import ActionRefused
from labeling.actions.registration import ask_registration
from labeling.models import Event, Project, Registration, Role, Validator
from llm_worker.pipeline import registration as pipeline
from llm_worker.pipeline.llm import register_llm
from llm_worker.pipeline.llm_asking import asking_of
from llm_worker.pipeline.sweep import sweep
from tests.labeling.builders import make_member, make_project, make_validator
from tests.labeling.rest import user_of

pytestmark = pytest.mark.django_db
OPTIONS = {
    "name": "qwen",
    "kind": "openai",
    "url": "http://gpu9.example.org:8000/v1",
    "model": "m",
    "context": 4096,
    "language": "ru",
    "approach": "prob",
    "shots": 2,
    "choice": "similar",
    "looks_alike": False,
    "instructions": "Take the narrower label.",
    "bias": "none",
    "api_key_env": "",
    "reads_documents": True,
}


@pytest.fixture
def project() -> Project:
    return make_project()


def work_on(row: Registration) -> Registration:
    dispatch.run_here("work_on_registration", registration_id=row.pk)
    row.refresh_from_db()
    return row


def test_a_host_that_is_not_allowed_is_refused_in_words(project: Project) -> None:
    options = {**OPTIONS, "shots": 0}  # the project has no examples to show
    row = work_on(ask_registration(project=project, options=options, by="test"))
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


def test_what_the_form_says_is_what_the_registration_is_given(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []

    def register(*args: Any, **options: Any) -> None:
        bound = inspect.signature(register_llm).bind(*args, **options).arguments
        inspect.signature(asking_of).bind(project, bias=bound["bias"], **bound["asking"])
        given.append(bound.pop("asking") | bound)
        raise ActionRefused("Enough.")

    monkeypatch.setattr(pipeline, "register_llm", register)
    admin = make_member(project, Role.ADMIN)
    user = user_of(admin)
    user.is_staff = True
    user.save()
    client = Client()
    client.force_login(user)
    form = {name: value for name, value in OPTIONS.items() if value is not False}
    url = reverse("admin:labeling_project_validators_register", args=[project.pk])
    assert client.post(url, form).status_code == 302
    assert work_on(Registration.objects.get()).said == "Enough."
    assert given == [{**OPTIONS, "project": project, "by": admin}]


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
