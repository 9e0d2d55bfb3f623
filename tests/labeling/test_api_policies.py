"""Benchmark answers, policies, previews and metrics over REST."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from labeling.actions.runs import configuration_for
from labeling.models import Policy, Project, Ranking, Role, Run, Task, Verdict
from tests.labeling.builders import (
    label_of,
    make_model_version,
    make_project,
    make_run,
    make_validator,
)
from tests.labeling.rest import client_as

pytestmark = pytest.mark.django_db
BASE = "/api/v1/projects/shop/"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def admin(project: Project) -> APIClient:
    return client_as(project, Role.ADMIN)


def send_benchmark(admin: APIClient, part: str, n: int = 20) -> None:
    """`n` predictions of label “a”, and an expert who says “a” for all but every fifth."""
    items = [
        {"external_id": f"{part}{i}", "text": f"{part} text {i}", "logits": [3.0, 1.0, 0.0]}
        for i in range(n)
    ]
    sent = admin.post(f"{BASE}predictions/", {"model_version": "m1", "items": items})
    assert sent.status_code == 202, sent.json()
    rows = [
        {"external_id": f"{part}{i}", "label": "b" if i % 5 == 0 else "a", "expert": "eva"}
        for i in range(n)
    ]
    answer = admin.post(f"{BASE}benchmark/", {"part": part, "sampling": "random", "items": rows})
    assert answer.status_code == 200, answer.json()
    assert answer.json() == {
        "created": n,
        "updated": 0,
        "unchanged": 0,
        "not_scored": [],
        "errors": [],
    }


def judge(project: Project) -> Run:
    """Verdicts of one validator: sure of “a”, and less so where the expert says “b”."""
    make_validator(project, "v")
    configuration = configuration_for(make_model_version(project))
    run = make_run(project, configuration)
    validator = project.validators.get()
    a = label_of(project, "a").pk
    for task in Task.objects.filter(project=project):
        sure = 0.6 if int(task.external_id.lstrip("abcdefghijklmnopqrstuvwxyz")) % 5 == 0 else 0.9
        Ranking.objects.create(run=run, task=task, revision=1, candidates=[[a, 0.9, 0.9]])
        Verdict.objects.create(
            run=run,
            task=task,
            revision=1,
            validator=validator,
            question="multiclass",
            probabilities={str(a): sure, "unk": 1.0 - sure},
            mass=1.0,
        )
    return run


def test_a_certified_policy_says_what_it_promises(project: Project, admin: APIClient) -> None:
    for part in ("tune", "certify"):
        send_benchmark(admin, part)
    judge(project)
    wanted = {"rule": "conditional", "alpha": 0.5, "delta": 0.2}
    made = admin.post(f"{BASE}policies/", wanted)
    assert made.status_code == 201, made.json()
    assert (made.json()["certified"], made.json()["notes"]) == (True, [])
    certificate = made.json()["certificate"]
    assert (certificate["alpha"], certificate["test"]) == (0.5, 1)
    assert certificate["errors"] <= certificate["accepted"] <= certificate["rows"]
    again = admin.post(f"{BASE}policies/", {**wanted, "fresh": True})
    assert again.status_code == 422
    assert "nothing can be certified" in again.json()["error"]["message"]
    for bad in ({"rule": "forever"}, {**wanted, "groups": 99}, {**wanted, "threshold": 2}):
        assert admin.post(f"{BASE}policies/", bad).status_code == 400
    assert admin.post(f"{BASE}policies/", {**wanted, "alpha": 1.5}).status_code == 422


@pytest.mark.embedded
def test_a_policy_is_fitted_activated_and_measured(project: Project, admin: APIClient) -> None:
    for part in ("tune", "certify", "test"):
        send_benchmark(admin, part)
    judge(project)
    fitted = admin.post(f"{BASE}policies/", {"target_accuracy": 0.95})
    assert fitted.status_code == 201, fitted.json()
    assert fitted.json()["status"] == "draft"
    assert fitted.json()["rule"]["threshold"] == {"multiclass": 0.9}
    assert fitted.json()["certificate"] is None
    version = fitted.json()["version"]
    active = admin.post(f"{BASE}policies/{version}/activate/")
    assert active.status_code == 200
    assert active.json()["status"] == "active"
    listed = admin.get(f"{BASE}policies/").json()["results"]
    assert [(row["version"], row["status"]) for row in listed] == [(version, "active")]

    found = admin.get(f"{BASE}metrics/").json()
    assert found["policy"]["version"] == version
    assert found["policy"]["certified"] is False
    assert found["policy"]["parts"]["test"]["coverage"]["value"] == 0.8
    assert found["policy"]["parts"]["test"]["accuracy"]["value"] == 1.0
    assert found["classifier"]["certify"]["value"] == 0.8
    low, high = (found["classifier"]["certify"][side] for side in ("low", "high"))
    assert (round(low, 4), round(high, 4)) == (0.584, 0.9193)  # Wilson, 16 of 20
    assert found["resolutions"] == {"benchmark": 60}
    assert found["tasks"] == {"resolved": 60}


@pytest.mark.parametrize(
    ("threshold", "coverage", "accuracy"), [(0.5, 1.0, 0.8), (0.7, 0.8, 1.0), (0.95, 0.0, None)]
)
def test_a_preview_tells_what_a_threshold_would_accept(
    project: Project, admin: APIClient, threshold: float, coverage: float, accuracy: float | None
) -> None:
    send_benchmark(admin, "tune")
    judge(project)
    asked = admin.get(f"{BASE}policies/preview/", {"threshold": threshold})
    assert asked.status_code == 200, asked.json()
    assert asked.json()["coverage"]["value"] == coverage
    assert asked.json()["accuracy"]["value"] == accuracy
    assert asked.json()["note"] == ""
    posted = admin.post(f"{BASE}policies/preview/", {"threshold": threshold})
    assert posted.json() == asked.json()
    assert not Policy.objects.exists()


def test_a_preview_on_the_certifying_part_says_what_that_costs(
    project: Project, admin: APIClient
) -> None:
    send_benchmark(admin, "certify")
    judge(project)
    query = {"threshold": "0.5", "part": "certify"}
    asked = admin.get(f"{BASE}policies/preview/", query)
    assert "can no longer be certified" in asked.json()["note"]


def test_without_enough_tuning_rows_fitting_is_refused_in_words(
    project: Project, admin: APIClient
) -> None:
    send_benchmark(admin, "tune", n=3)
    answer = admin.post(f"{BASE}policies/")
    assert answer.status_code == 422
    assert "20" in answer.json()["error"]["message"]


def test_without_predictions_nothing_is_fitted_or_previewed(admin: APIClient) -> None:
    assert admin.post(f"{BASE}policies/").status_code == 422
    asked = admin.get(f"{BASE}policies/preview/", {"threshold": 0.5})
    assert asked.status_code == 422
    assert "no predictions" in asked.json()["error"]["message"]
    named = admin.post(f"{BASE}policies/", {"model_version": "m9"})
    assert "m9" in named.json()["error"]["message"]


@pytest.mark.parametrize(
    "query", [{}, {"threshold": "high"}, {"threshold": 2}, {"threshold": "nan"}]
)
def test_a_preview_needs_a_threshold_between_0_and_1(
    admin: APIClient, query: dict[str, str]
) -> None:
    answer = admin.get(f"{BASE}policies/preview/", query)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"] == "threshold"


def test_an_unknown_policy_is_404(admin: APIClient) -> None:
    assert admin.post(f"{BASE}policies/7/activate/").status_code == 404


def test_a_benchmark_row_that_is_wrong_is_listed_and_the_rest_stored(admin: APIClient) -> None:
    rows = [
        {"external_id": "1", "text": "one", "label": "a", "expert": "eva"},
        {"external_id": "2", "text": "two", "label": "nosuch", "expert": "eva"},
        {"external_id": "3", "text": "three", "label": "unk", "expert": "eva"},
    ]
    body = {"part": "fit", "sampling": "chosen", "items": rows}
    first = admin.post(f"{BASE}benchmark/", body).json()
    assert (first["created"], first["not_scored"]) == (2, ["1", "3"])
    assert [(row["index"], row["field"]) for row in first["errors"]] == [(1, "label")]
    again = admin.post(f"{BASE}benchmark/", body).json()
    assert (again["created"], again["unchanged"]) == (0, 2)


@pytest.mark.parametrize("field", ["part", "sampling"])
def test_an_unknown_part_or_sampling_is_refused(admin: APIClient, field: str) -> None:
    body = {"part": "fit", "sampling": "random", "items": []} | {field: "other"}
    answer = admin.post(f"{BASE}benchmark/", body)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"] == field


def test_metrics_without_a_policy_or_a_benchmark_are_empty_and_not_an_error(
    admin: APIClient,
) -> None:
    told = admin.get(f"{BASE}metrics/").json()
    standing = {name: told[name] for name in ("policy", "classifier", "tasks", "resolutions")}
    assert standing == {"policy": None, "classifier": {}, "tasks": {}, "resolutions": {}}
    assert told["against_experts"]["answerers"] == []
    assert told["classifier_periods"] == []
    assert told["savings"]["hours"] is None


def test_documents_are_stored_once_and_listed(admin: APIClient) -> None:
    items = [{"id": "d1", "title": "Fees", "text": "A fee is due."}, {"id": "d2", "text": "Cards."}]
    first = admin.post(f"{BASE}documents/", {"items": items})
    assert first.json() == {"created": 2, "updated": 0, "unchanged": 0, "removed": 0}
    again = admin.post(f"{BASE}documents/", {"items": items})
    assert again.json() == {"created": 0, "updated": 0, "unchanged": 2, "removed": 0}
    listed = admin.get(f"{BASE}documents/").json()["results"]
    assert [row["id"] for row in listed] == ["d1", "d2"]
    assert listed[0]["title"] == "Fees"


def test_a_bad_document_refuses_all(admin: APIClient) -> None:
    answer = admin.post(f"{BASE}documents/", {"items": [{"id": "d1", "text": "x"}, {"id": "d2"}]})
    assert answer.status_code == 422
    assert answer.json()["error"]["details"][0]["index"] == 1
    assert admin.get(f"{BASE}documents/").json()["results"] == []


def test_too_many_documents_name_their_own_command(admin: APIClient, settings: Any) -> None:
    settings.INGEST_MAX_ITEMS = 1
    items = [{"id": "1", "text": "x"}, {"id": "2", "text": "y"}]
    answer = admin.post(f"{BASE}documents/", {"items": items})
    assert answer.status_code == 413
    assert "import_documents" in answer.json()["error"]["message"]
