"""The OpenAPI description is valid, complete, and says how to sign in."""

from __future__ import annotations

import io
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from rest_framework.test import APIClient

from labeling.models import Role
from tests.labeling.builders import make_project
from tests.labeling.rest import client_as


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    out = io.StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=out)
    found: dict[str, Any] = yaml.safe_load(out.getvalue())
    return found


CONTRACT = {
    "/projects/": {"get", "post"},
    "/projects/{slug}/": {"get", "patch"},
    "/projects/{slug}/labels/": {"get", "put"},
    "/projects/{slug}/predictions/": {"post"},
    "/projects/{slug}/imports/": {"get", "post"},
    "/projects/{slug}/imports/{id}/": {"get"},
    "/projects/{slug}/imports/{id}/errors/": {"get"},
    "/projects/{slug}/imports/{id}/cancel/": {"post"},
    "/projects/{slug}/runs/": {"get"},
    "/projects/{slug}/runs/{id}/": {"get"},
    "/projects/{slug}/runs/{id}/close/": {"post"},
    "/projects/{slug}/runs/{id}/continue/": {"post"},
    "/projects/{slug}/runs/{id}/pause/": {"post"},
    "/projects/{slug}/runs/{id}/resume/": {"post"},
    "/projects/{slug}/runs/{id}/cancel/": {"post"},
    "/projects/{slug}/tasks/": {"get"},
    "/projects/{slug}/tasks/{external_id}/": {"get"},
    "/projects/{slug}/annotations/": {"post"},
    "/projects/{slug}/review/": {"post"},
    "/projects/{slug}/expert-only/": {"post"},
    "/projects/{slug}/assignments/": {"get", "post"},
    "/projects/{slug}/assignments/{id}/release/": {"post"},
    "/projects/{slug}/skips/": {"get", "post"},
    "/projects/{slug}/flags/": {"get", "post"},
    "/projects/{slug}/flags/{id}/close/": {"post"},
    "/projects/{slug}/documents/": {"get", "post"},
    "/projects/{slug}/benchmark/": {"post"},
    "/projects/{slug}/benchmark/draws/": {"get", "post"},
    "/projects/{slug}/benchmark/parts/": {"get"},
    "/projects/{slug}/audit/": {"get"},
    "/projects/{slug}/audit/alarms/": {"get"},
    "/projects/{slug}/audit/alarms/{id}/close/": {"post"},
    "/projects/{slug}/audit/sent-back/": {"get", "post"},
    "/projects/{slug}/audit/sent-back/{id}/undo/": {"post"},
    "/projects/{slug}/pools/": {"get", "post"},
    "/projects/{slug}/pools/{id}/": {"get"},
    "/projects/{slug}/policies/{version}/pause/": {"post"},
    "/projects/{slug}/policies/{version}/resume/": {"post"},
    "/projects/{slug}/policies/": {"get", "post"},
    "/projects/{slug}/policies/{version}/activate/": {"post"},
    "/projects/{slug}/policies/preview/": {"get", "post"},
    "/projects/{slug}/metrics/": {"get"},
    "/projects/{slug}/erasures/": {"get", "post"},
    "/projects/{slug}/export/": {"get"},
    "/projects/{slug}/next/": {"get"},
    "/projects/{slug}/mappings/": {"get", "post"},
    "/projects/{slug}/mappings/{name}/": {"delete", "get", "put"},
    "/projects/{slug}/webhooks/": {"get", "post"},
    "/projects/{slug}/webhooks/{id}/": {"delete", "get", "patch"},
    "/projects/{slug}/webhooks/{id}/deliveries/": {"get"},
    "/projects/{slug}/webhooks/{id}/deliveries/{number}/replay/": {"post"},
    "/projects/{slug}/webhooks/{id}/test/": {"post"},
    "/projects/{slug}/snapshots/": {"get", "post"},
    "/projects/{slug}/snapshots/{number}/": {"get"},
    "/projects/{slug}/snapshots/{number}/download/": {"get"},
    "/projects/{slug}/snapshots/{number}/changes/": {"get"},
}


def operations(schema: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_address_of_the_contract_is_described(schema: dict[str, Any]) -> None:
    found: dict[str, set[str]] = {}
    for path, method, _operation in operations(schema):
        found.setdefault(path.removeprefix("/api/v1"), set()).add(method)
    assert found == CONTRACT


def test_every_refusal_is_described_by_the_one_error_shape(schema: dict[str, Any]) -> None:
    for path, method, operation in operations(schema):
        refusals = {code: r for code, r in operation["responses"].items() if code >= "400"}
        assert {"401", "403"} <= set(refusals), (path, method)
        for refusal in refusals.values():
            reference = refusal["content"]["application/json"]["schema"]["$ref"]
            assert reference == "#/components/schemas/Error"


def test_every_success_has_a_shape_and_every_operation_a_name_of_its_own(
    schema: dict[str, Any],
) -> None:
    names = [operation["operationId"] for _path, _method, operation in operations(schema)]
    assert len(names) == len(set(names))
    for path, method, operation in operations(schema):
        success = [r for code, r in operation["responses"].items() if code < "300"]
        assert success, (path, method)
        assert all(answer.get("content") for answer in success), (path, method)
        if method in ("put", "patch"):
            assert operation["requestBody"]["content"], (path, method)


def test_the_token_stands_in_the_schema(schema: dict[str, Any]) -> None:
    token = schema["components"]["securitySchemes"]["token"]
    assert (token["in"], token["name"]) == ("header", "Authorization")
    assert all({"token": []} in operation["security"] for _p, _m, operation in operations(schema))


@pytest.mark.django_db
def test_schema_and_pages_are_served(client: Client) -> None:
    assert client.get("/api/v1/schema/").status_code == 200
    assert client.get("/api/v1/docs/").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("path", CONTRACT)
def test_a_method_that_an_address_does_not_answer_is_405_for_everybody(path: str) -> None:
    project = make_project()
    admin = client_as(project, Role.ADMIN)
    values = {"slug": "shop", "id": 1, "version": 1, "number": 1, "external_id": "x", "name": "x"}
    url = f"/api/v1{path.format(**values)}"
    for client in (admin, APIClient()):
        for method in {"get", "post", "put", "patch", "delete"} - CONTRACT[path]:
            answer = getattr(client, method)(url)
            assert answer.status_code == 405, (method, url)
            assert answer.json()["error"]["code"] == "method_not_allowed"
        assert client.options(url).status_code in (200, 401, 403, 404)
