"""Projects, settings and labels over REST."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from labeling.models import Event, Member, Project, Role, Scope
from tests.labeling.builders import make_member, make_project, make_user
from tests.labeling.rest import client_as, client_of, user_of

pytestmark = pytest.mark.django_db
PROJECTS = "/api/v1/projects/"
SHOP = f"{PROJECTS}shop/"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.mark.embedded
def test_who_makes_a_project_becomes_its_admin() -> None:
    user = make_user()
    client = client_of(user)
    body = {
        "slug": "bank",
        "name": "Bank",
        "labels": ["card lost", {"key": "fee", "name": "a fee", "examples": ["why 5 euros?"]}],
        "answers_needed": 1,
    }
    answer = client.post(PROJECTS, body)
    assert answer.status_code == 201, answer.json()
    assert answer.json()["role"] == "admin"
    assert answer.json()["answers_needed"] == 1
    assert Member.objects.get(user=user).role == Role.ADMIN
    labels = client.get(f"{PROJECTS}bank/labels/").json()
    assert labels["version"] == 1
    assert [label["key"] for label in labels["labels"]] == ["card_lost", "fee"]
    assert labels["labels"][1]["examples"] == ["why 5 euros?"]


def test_the_same_address_twice_is_a_conflict(project: Project) -> None:
    answer = client_of(make_user()).post(
        PROJECTS, {"slug": "shop", "name": "Again", "labels": ["a", "b"]}
    )
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "conflict"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"name": "No slug", "labels": ["a", "b"]}, 400, "slug"),
        ({"slug": "x", "name": "X", "labels": ["a", "a"]}, 422, "labels"),
        ({"slug": "x", "name": "X", "labels": ["a", "b"], "colour": "red"}, 400, "colour"),
        ({"slug": "x y", "name": "X", "labels": ["a", "b"]}, 400, "slug"),
        ({"slug": "x", "name": "X", "labels": ["a", "b"], "blind_share": 2}, 400, "blind_share"),
    ],
)
def test_a_wrong_project_is_refused_by_field(body: dict[str, Any], status: int, field: str) -> None:
    answer = client_of(make_user()).post(PROJECTS, body)
    assert answer.status_code == status
    assert answer.json()["error"]["details"][0]["field"] == field
    assert not Project.objects.exists()


def test_the_list_holds_ones_own_projects_only(project: Project) -> None:
    other = make_project("other")
    member = make_member(project, Role.REGULAR)
    make_member(other, Role.ADMIN)
    results = client_of(member).get(PROJECTS).json()["results"]
    assert [(row["slug"], row["role"]) for row in results] == [("shop", "regular")]


def test_a_project_token_sees_and_makes_no_other_project(project: Project) -> None:
    member = make_member(project, Role.ADMIN)
    user = user_of(member)
    client_of(user).post(PROJECTS, {"slug": "second", "name": "Second", "labels": ["a", "b"]})
    bound = client_of(member, bound=True)
    assert [row["slug"] for row in bound.get(PROJECTS).json()["results"]] == ["shop"]
    body = {"slug": "third", "name": "Third", "labels": ["a", "b"]}
    assert bound.post(PROJECTS, body).status_code == 403


def test_a_token_that_may_only_read_makes_no_project() -> None:
    client = client_of(make_user(), [Scope.READ])
    body = {"slug": "x", "name": "X", "labels": ["a", "b"]}
    assert client.post(PROJECTS, body).status_code == 403
    assert client.get(PROJECTS).status_code == 200


def test_settings_change_all_or_none_and_are_recorded(project: Project) -> None:
    admin = client_as(project, Role.ADMIN)
    answer = admin.patch(SHOP, {"answers_needed": 1, "guidelines": "Read twice."})
    assert answer.status_code == 200
    assert answer.json()["guidelines"] == "Read twice."
    assert Event.objects.filter(verb="settings_changed").count() == 1
    wrong = admin.patch(SHOP, {"answers_needed": 5, "name": "New name"})
    assert wrong.status_code == 422
    project.refresh_from_db()
    assert (project.answers_needed, project.name) == (1, "Shop")


def test_the_address_of_a_project_does_not_change(project: Project) -> None:
    answer = client_as(project, Role.ADMIN).patch(SHOP, {"slug": "new"})
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"] == "slug"


@pytest.mark.parametrize("role", [Role.REGULAR, Role.EXPERT])
def test_others_see_the_project_and_change_nothing(project: Project, role: str) -> None:
    client = client_as(project, role)
    assert client.get(SHOP).json()["role"] == role
    assert client.patch(SHOP, {"name": "Mine"}).status_code == 403
    assert client.put(f"{SHOP}labels/", {"labels": ["x", "y"]}).status_code == 403


def test_labels_are_matched_by_key_and_may_be_sent_back_as_they_came(project: Project) -> None:
    admin = client_as(project, Role.ADMIN)
    standing = admin.get(f"{SHOP}labels/").json()
    assert admin.put(f"{SHOP}labels/", standing).json() == standing
    standing["labels"][0]["name"] = "renamed"
    changed = admin.put(f"{SHOP}labels/", standing)
    assert changed.status_code == 200
    assert changed.json()["version"] == 2
    assert changed.json()["labels"][0] == standing["labels"][0]
    assert project.labels.count() == 3


def test_labels_made_from_an_old_version_are_a_conflict(project: Project) -> None:
    admin = client_as(project, Role.ADMIN)
    standing = admin.get(f"{SHOP}labels/").json()
    admin.put(f"{SHOP}labels/", {"labels": ["a", "b", "c", "d"]})
    assert admin.put(f"{SHOP}labels/", standing).status_code == 409


def test_an_archived_project_is_not_found(project: Project) -> None:
    admin = client_as(project, Role.ADMIN)
    Project.objects.update(archived_at=timezone.now())
    assert admin.get(SHOP).status_code == 404


@pytest.mark.parametrize("method", ["get", "post", "put", "delete"])
def test_an_address_that_means_nothing_is_404_in_the_one_shape(method: str) -> None:
    answer = getattr(APIClient(), method)("/api/v1/nowhere/")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_a_session_may_read_over_rest_too(project: Project) -> None:
    member = make_member(project, Role.REGULAR)
    client = APIClient()
    client.force_login(user_of(member))
    assert client.get(SHOP).status_code == 200


@pytest.mark.parametrize("text", ["a\\u0000b", "\\ud83d", "\\uDE00"])
def test_a_text_that_no_database_can_store_is_refused(project: Project, text: str) -> None:
    admin = client_as(project, Role.ADMIN)
    raw = '{"labels": ["a", {"name": "b", "examples": ["TEXT"]}]}'.replace("TEXT", text)
    answer = admin.put(f"{SHOP}labels/", raw, content_type="application/json")
    assert answer.status_code == 400
    assert "surrogate" in answer.json()["error"]["message"]
    assert project.labels.count() == 3


def test_an_escaped_emoji_is_a_text_like_any_other(project: Project) -> None:
    admin = client_as(project, Role.ADMIN)
    raw = '{"labels": ["a", {"name": "b", "examples": ["\\ud83d\\ude00"]}]}'
    answer = admin.put(f"{SHOP}labels/", raw, content_type="application/json")
    assert answer.status_code == 200
    assert answer.json()["labels"][1]["examples"] == ["\U0001f600"]
