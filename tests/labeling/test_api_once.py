"""`Idempotency-Key`: a write that is sent again is answered again and done once."""

from __future__ import annotations

import datetime
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from labeling.actions.answered import begin
from labeling.actions.projects import change_settings
from labeling.api.views import projects
from labeling.models import Answered, Event, Project, Role, Task, Upload
from llm_worker.pipeline.sweep import sweep
from tests.labeling.builders import make_project
from tests.labeling.rest import client_as

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]
SHOP = "/api/v1/projects/shop/"
KEY = {"Idempotency-Key": "night/1"}


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def admin(project: Project) -> APIClient:
    return client_as(project, Role.ADMIN)


def batch(text: str = "hello") -> dict[str, Any]:
    item = {"external_id": "t/1", "text": text, "logits": [3.0, 0.5, 0.1]}
    return {"model_version": "m1", "items": [item]}


def test_the_same_request_is_answered_as_before_and_done_once(admin: APIClient) -> None:
    first = admin.post(f"{SHOP}predictions/", batch(), headers=KEY)
    again = admin.post(f"{SHOP}predictions/", batch(), headers=KEY)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert again.json()["created"] == 1  # without the key it would say that nothing is new
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert Event.objects.filter(verb="predictions_ingested").count() == 1


def test_a_refusal_is_kept_as_well_and_nothing_of_it_is_done(admin: APIClient) -> None:
    bad = batch()
    bad["items"][0]["logits"] = [1.0]
    first = admin.post(f"{SHOP}predictions/", bad, headers=KEY)
    again = admin.post(f"{SHOP}predictions/", bad, headers=KEY)
    assert (first.status_code, again.status_code) == (422, 422)
    assert again.json() == first.json()
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("post", "predictions/", batch("another text")),
        ("post", "predictions/?x=1", batch()),
        ("patch", "", {"name": "Another"}),
    ],
)
def test_another_request_under_the_same_key_is_refused(
    admin: APIClient, method: str, path: str, body: dict[str, Any]
) -> None:
    admin.post(f"{SHOP}predictions/", batch(), headers=KEY)
    answer = getattr(admin, method)(SHOP + path, body, headers=KEY)
    assert answer.status_code == 422
    assert "used for another request" in answer.json()["error"]["message"]


def test_a_key_is_its_callers_own(project: Project, admin: APIClient) -> None:
    admin.post(f"{SHOP}predictions/", batch(), headers=KEY)
    other = client_as(project, Role.ADMIN).post(f"{SHOP}predictions/", batch(), headers=KEY)
    assert other.json()["unchanged"] == 1


def test_a_request_that_is_at_work_is_told_so(
    admin: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = change_settings
    meanwhile: list[Any] = []

    def slowly(**arguments: Any) -> Any:
        if not meanwhile:
            meanwhile.append(admin.patch(SHOP, {"name": "One"}, headers=KEY))
        return real(**arguments)

    monkeypatch.setattr(projects, "change_settings", slowly)
    assert admin.patch(SHOP, {"name": "One"}, headers=KEY).status_code == 200
    assert meanwhile[0].status_code == 409
    assert "still at work" in meanwhile[0].json()["error"]["message"]


def test_a_request_that_failed_did_nothing_and_may_be_sent_again(
    admin: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = change_settings

    def broken(**arguments: Any) -> Any:
        real(**arguments)
        raise RuntimeError("after the change")

    with monkeypatch.context() as patch:
        patch.setattr(projects, "change_settings", broken)
        with pytest.raises(RuntimeError):
            admin.patch(SHOP, {"name": "One"}, headers=KEY)
    assert admin.get(SHOP).json()["name"] == "Shop"
    assert not Answered.objects.exists()
    assert admin.patch(SHOP, {"name": "One"}, headers=KEY).json()["name"] == "One"


def test_what_a_dead_process_left_is_taken_over_after_a_while(admin: APIClient) -> None:
    admin.patch(SHOP, {"name": "One"}, headers=KEY)
    Answered.objects.update(status=None, body="")
    assert admin.patch(SHOP, {"name": "One"}, headers=KEY).status_code == 409
    Answered.objects.update(began_at=timezone.now() - datetime.timedelta(minutes=11))
    assert admin.patch(SHOP, {"name": "One"}, headers=KEY).status_code == 200


def test_a_request_that_was_taken_for_dead_and_was_not_is_undone(
    admin: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ran for so long that it was sent again and done meanwhile."""

    def begun(**arguments: Any) -> Any:
        pk = begin(**arguments)
        Answered.objects.all().delete()  # the one that was sent again is through with it
        return pk

    monkeypatch.setattr("labeling.api.once.begin", begun)
    late = admin.patch(SHOP, {"name": "One"}, headers=KEY)
    assert (late.status_code, late.json()["error"]["code"]) == (409, "conflict")
    assert "undone" in late.json()["error"]["message"]
    assert Project.objects.get().name == "Shop"


def test_keys_are_forgotten_after_a_day(admin: APIClient) -> None:
    admin.post(f"{SHOP}predictions/", batch(), headers=KEY)
    sweep()
    assert Answered.objects.count() == 1
    Answered.objects.update(began_at=timezone.now() - datetime.timedelta(hours=25))
    anew = admin.post(f"{SHOP}predictions/", batch(), headers=KEY)
    assert anew.json()["unchanged"] == 1
    Answered.objects.update(began_at=timezone.now() - datetime.timedelta(hours=25))
    sweep()
    assert not Answered.objects.exists()


@pytest.mark.parametrize("key", ["x" * 201, "a\tb"])
def test_a_key_is_one_short_line(admin: APIClient, key: str) -> None:
    answer = admin.patch(SHOP, {"name": "One"}, headers={"Idempotency-Key": key})
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["error"]["message"]


def test_reading_takes_no_key_and_strangers_leave_none(project: Project, admin: APIClient) -> None:
    assert admin.get(SHOP, headers=KEY).status_code == 200
    assert APIClient().patch(SHOP, {"name": "One"}, headers=KEY).status_code == 401
    regular = client_as(project, Role.REGULAR)
    assert regular.patch(SHOP, {"name": "One"}, headers=KEY).status_code == 403
    assert not Answered.objects.exists()


def test_a_file_sent_twice_under_a_key_is_imported_once(
    admin: APIClient, settings: Any, tmp_path: Path
) -> None:
    settings.UPLOADS_DIR = tmp_path / "uploads"
    line = json.dumps(batch()["items"][0]).encode()

    def sent(body: Any) -> Any:
        url = f"{SHOP}imports/?model_version=m1"
        return admin.generic("POST", url, body, content_type="application/x-ndjson", headers=KEY)

    first, again = sent(line), sent(line)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert sent(line + b"\n").status_code == 422
    assert Upload.objects.count() == 1
    assert len(list((tmp_path / "uploads").iterdir())) == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_is_done(project: Project, admin: APIClient) -> None:
    found: list[int] = []

    def send() -> None:
        found.append(admin.post(f"{SHOP}predictions/", batch(), headers=KEY).status_code)
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) <= {202, 409}
    assert 202 in found
    assert Event.objects.filter(verb="predictions_ingested").count() == 1
