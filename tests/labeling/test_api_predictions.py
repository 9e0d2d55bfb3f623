"""Predictions over REST, the run they go to, and who may do what."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from labeling.models import ApiToken, Project, Role, Scope, Task
from tests.labeling.builders import make_member, make_project, make_user
from tests.labeling.rest import client_as, client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def admin(project: Project) -> APIClient:
    return client_as(project, Role.ADMIN)


def batch(n: int = 3, **more: Any) -> dict[str, Any]:
    items = [
        {"external_id": f"t/{i}", "text": f"text {i}", "logits": [3.0, 0.5, i / 10]}
        for i in range(n)
    ]
    return {"model_version": "m1", "items": items, **more}


URL = "/api/v1/projects/shop/predictions/"


@pytest.mark.embedded
def test_a_batch_is_taken_with_202_and_its_run_tells_its_progress(admin: APIClient) -> None:
    answer = admin.post(URL, batch())
    assert answer.status_code == 202
    assert answer.json() | {"run": 0} == {
        "run": 0,
        "created": 3,
        "updated": 0,
        "unchanged": 0,
        "errors": [],
    }
    run = admin.get(f"/api/v1/projects/shop/runs/{answer.json()['run']}/").json()
    assert run["status"] == "open"
    assert run["model_version"] == "m1"
    assert run["progress"]["planned"] == 3
    assert run["progress"]["stages"] == {"rerank": 3}
    assert admin.get("/api/v1/projects/shop/runs/").json()["results"][0]["id"] == run["id"]


@pytest.mark.embedded
def test_sending_the_same_batch_twice_changes_nothing(admin: APIClient) -> None:
    first = admin.post(URL, batch()).json()
    again = admin.post(URL, batch())
    assert again.status_code == 202
    assert again.json() == first | {"created": 0, "unchanged": 3}
    assert Task.objects.count() == 3


@pytest.mark.embedded
def test_a_bad_row_refuses_the_batch_with_422_and_nothing_is_stored(admin: APIClient) -> None:
    body = batch()
    body["items"][1]["logits"] = [1.0]
    answer = admin.post(URL, body)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["code"] == "refused"
    assert [(row["index"], row["field"]) for row in error["details"]] == [(1, "logits")]
    assert Task.objects.count() == 0


def test_skip_row_keeps_the_good_rows_and_names_the_bad_one(admin: APIClient) -> None:
    body = batch(on_error="skip_row")
    body["items"][2]["logits"] = {"no such label": 1.0}
    answer = admin.post(URL, body)
    assert answer.status_code == 202
    assert answer.json()["created"] == 2
    assert answer.json()["errors"][0]["index"] == 2
    assert "no such label" in answer.json()["errors"][0]["message"]


def test_too_many_items_get_413_that_names_the_import_command(
    admin: APIClient, settings: Any
) -> None:
    settings.INGEST_MAX_ITEMS = 2
    answer = admin.post(URL, batch(3))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"
    assert "import_predictions" in answer.json()["error"]["message"]
    assert "POST /api/v1/projects/SLUG/imports/" in answer.json()["error"]["message"]
    assert Task.objects.count() == 0


def test_too_many_bytes_get_413_before_they_are_read(admin: APIClient, settings: Any) -> None:
    settings.INGEST_MAX_BYTES = 100
    answer = admin.post(URL, batch())
    assert answer.status_code == 413
    assert "import_predictions" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ('{"model_version": "m", "items": [{"logits": [NaN]}]}', "NaN is no number in JSON"),
        ('{"model_version": "m", "items": [{"logits": [-Infinity]}]}', "-Infinity is no number"),
        ("{", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        ("[" * 100_000, "nested too deeply"),
    ],
    ids=["NaN", "Infinity", "cut off", "not UTF-8", "deep"],
)
def test_what_is_not_json_is_refused_in_words(
    admin: APIClient, raw: str | bytes, words: str
) -> None:
    answer = admin.post(URL, raw, content_type="application/json")
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


def test_a_number_too_large_for_a_float_is_a_row_error(admin: APIClient) -> None:
    raw = (
        '{"model_version": "m", "items":'
        ' [{"external_id": "1", "text": "hi", "logits": [1e999, 0, 0]}]}'
    )
    answer = admin.post(URL, raw, content_type="application/json")
    assert answer.status_code == 422
    assert answer.json()["error"]["details"][0]["index"] == 0


def test_a_text_that_no_database_can_store_is_a_row_error(admin: APIClient) -> None:
    body = batch(on_error="skip_row")
    body["items"][1]["text"] = "NUL \x00"
    body["items"][2]["metadata"] = {"half": "\ud83d"}
    raw = json.dumps(body)
    answer = admin.post(URL, raw, content_type="application/json")
    assert answer.status_code == 202
    assert [row["index"] for row in answer.json()["errors"]] == [1, 2]


@pytest.mark.parametrize("body", [[], "text", 3, None])
def test_a_body_that_is_no_object_is_refused(admin: APIClient, body: Any) -> None:
    answer = admin.post(URL, body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid"


def test_a_misspelt_field_is_not_ignored(admin: APIClient) -> None:
    answer = admin.post(URL, batch(onerror="skip_row"))
    assert answer.status_code == 400
    assert answer.json()["error"]["details"] == [
        {"field": "onerror", "index": None, "message": "There is no field of this name."}
    ]


def test_items_that_are_no_list_are_refused(admin: APIClient) -> None:
    answer = admin.post(URL, batch() | {"items": {"a": 1}})
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"] == "items"


def test_an_outsider_learns_nothing(project: Project) -> None:
    outsider = client_of(make_user())
    answer = outsider.post(URL, batch())
    unknown = outsider.post("/api/v1/projects/nowhere/predictions/", batch())
    assert answer.status_code == unknown.status_code == 404
    assert answer.json() == unknown.json()


@pytest.mark.parametrize("role", [Role.REGULAR, Role.EXPERT])
def test_only_an_admin_may_send_predictions(project: Project, role: str) -> None:
    client = client_as(project, role)
    assert client.post(URL, batch()).status_code == 403
    assert Task.objects.count() == 0


def test_a_token_without_the_scope_is_refused_by_name(project: Project) -> None:
    member = make_member(project, Role.ADMIN)
    answer = client_of(member, [Scope.READ]).post(URL, batch())
    assert answer.status_code == 403
    assert "ingest" in answer.json()["error"]["message"]


def test_a_project_token_is_good_for_that_project_alone(project: Project) -> None:
    other = make_project("other")
    member = make_member(project, Role.ADMIN)
    second = make_member(other, Role.REGULAR)
    second.user, second.role = member.user, Role.ADMIN
    second.save()
    client = client_of(member, bound=True)
    assert client.post(URL, batch()).status_code == 202
    assert client.post("/api/v1/projects/other/predictions/", batch()).status_code == 404


@pytest.mark.embedded
def test_a_revoked_token_gets_401_in_the_one_shape(project: Project, admin: APIClient) -> None:
    assert admin.get("/api/v1/projects/shop/runs/").status_code == 200
    ApiToken.objects.update(revoked_at=timezone.now())
    answer = admin.get("/api/v1/projects/shop/runs/")
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Token"
    assert set(answer.json()["error"]) == {"code", "message", "details"}


def test_without_a_token_there_is_401(project: Project) -> None:
    assert APIClient().post(URL, batch()).status_code == 401


def test_a_wrong_method_gets_405_in_the_one_shape(admin: APIClient) -> None:
    answer = admin.put(URL, batch())
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "method_not_allowed"


def test_closing_a_run_stops_it_from_taking_more(admin: APIClient) -> None:
    run = admin.post(URL, batch(1)).json()["run"]
    closed = admin.post(f"/api/v1/projects/shop/runs/{run}/close/")
    assert closed.status_code == 200
    assert closed.json()["status"] == "closed"
    assert admin.post(URL, batch(2)).json()["run"] != run
    assert admin.post(f"/api/v1/projects/shop/runs/{run}/close/").status_code == 200


def test_a_run_of_another_project_is_not_found(admin: APIClient) -> None:
    other = make_project("other")
    client = client_as(other, Role.ADMIN)
    run = admin.post(URL, batch(1)).json()["run"]
    answer = client.get(f"/api/v1/projects/other/runs/{run}/")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_regular_annotators_see_no_runs(project: Project) -> None:
    client = client_as(project, Role.REGULAR)
    answer = client.get("/api/v1/projects/shop/runs/")
    assert answer.status_code == 403
    assert "machine output" in answer.json()["error"]["message"]
