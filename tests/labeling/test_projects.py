"""Projects, their settings, members and tokens."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone

from labeling import rules
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.people import end_membership
from labeling.actions.projects import (
    add_member,
    change_settings,
    create_project,
    create_token,
)
from labeling.actions.taxonomy import parse_labels
from labeling.models import ApiToken, Event, Label, Member, Project
from tests.labeling.builders import make_member, make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


def created(slug: str = "fresh", **fields: Any) -> Project:
    fields = {"name": "Fresh", "by": None, "labels": parse_labels(["a", "b"]), **fields}
    return create_project(slug=slug, **fields)


def details(refused: pytest.ExceptionInfo[ActionRefused]) -> set[str]:
    return {detail.field for detail in refused.value.details}


# --- Projects -----------------------------------------------------------------------------------


def test_a_project_comes_with_its_labels_and_its_first_admin() -> None:
    user = make_user("ada")
    project = created(by=user, settings={"audit_share": 0.2, "question": "binary"})
    assert [label.name for label in project.labels.all()] == ["a", "b"]
    assert (project.audit_share, project.question) == (0.2, "binary")
    admin = Member.objects.get()
    assert (admin.user, admin.role, admin.name) == (user, "admin", "ada")
    verbs = list(Event.objects.order_by("pk").values_list("verb", "member"))
    assert verbs == [
        ("member_added", None),
        ("project_created", admin.pk),
        ("labels_changed", admin.pk),
    ]


def test_an_address_that_is_taken_is_a_conflict(project: Project) -> None:
    with pytest.raises(Conflict, match="“shop” already"):
        created("shop")
    assert Project.objects.count() == 1
    assert Label.objects.count() == 3


@pytest.mark.parametrize("slug", ["", "two words", "a/b", "x" * 65])
def test_a_bad_address_is_refused(slug: str) -> None:
    with pytest.raises(ActionRefused) as refused:
        created(slug)
    assert details(refused) == {"slug"}
    assert Project.objects.count() == 0


def test_a_project_needs_a_name() -> None:
    with pytest.raises(ActionRefused) as refused:
        created(name="")
    assert details(refused) == {"name"}


# --- Settings -----------------------------------------------------------------------------------


def test_settings_change_all_or_none(project: Project) -> None:
    with pytest.raises(ActionRefused) as refused:
        change_settings(project=project, settings={"name": "New", "audit_share": 1.5}, by="test")
    assert details(refused) == {"audit_share"}
    project.refresh_from_db()
    assert (project.name, project.audit_share) == ("Shop", 0.05)
    assert not Event.objects.filter(verb="settings_changed").exists()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("answers_needed", 0),
        ("answers_needed", 10),
        ("question", "maybe"),
        ("assistance", "always"),
        ("lease_minutes", 0),
        ("retrieve_for", "both"),
        ("documents_found", 101),
        ("documents_kept", 0),
        ("least_similarity", 1.5),
        ("blind_share", -0.1),
        ("target_accuracy", "high"),
        ("name", None),
        ("allow_conf", "perhaps"),
    ],
)
def test_a_bad_setting_is_named(project: Project, setting: str, value: object) -> None:
    with pytest.raises(ActionRefused) as refused:
        change_settings(project=project, settings={setting: value}, by="test")
    assert details(refused) == {setting}


def test_fewer_answers_at_most_than_needed_is_refused_in_words(project: Project) -> None:
    with pytest.raises(ActionRefused) as refused:
        change_settings(project=project, settings={"answers_needed": 5}, by="test")
    (detail,) = refused.value.details
    assert "“answers at most” is below" in detail.message
    change_settings(
        project=project, settings={"answers_needed": 5, "answers_at_most": 5}, by="test"
    )


@pytest.mark.parametrize("name", ["slug", "archived_at", "colour", "id"])
def test_what_is_no_setting_cannot_be_set(project: Project, name: str) -> None:
    with pytest.raises(ActionRefused, match="no such setting") as refused:
        change_settings(project=project, settings={name: "x"}, by="test")
    assert details(refused) == {name}


def test_history_tells_old_and_new_but_no_prose(project: Project) -> None:
    member = make_member(project, "admin")
    long = "Label what the customer wants. " * 10
    settings = {"audit_share": 0.1, "guidelines": long, "name": "Shop"}
    change_settings(project=project, settings=settings, by=member)
    event = Event.objects.get(verb="settings_changed")
    assert event.member == member
    assert event.old == {"audit_share": 0.05, "guidelines": ""}
    assert event.new == {"audit_share": 0.1, "guidelines": f"{len(long)} characters"}


def test_settings_that_stay_as_they_are_leave_no_trace(project: Project) -> None:
    change_settings(project=project, settings={"name": "Shop"}, by="test")
    change_settings(project=project, settings={}, by="test")
    assert not Event.objects.filter(verb="settings_changed").exists()


# --- Members ------------------------------------------------------------------------------------


def test_adding_a_member_twice_changes_the_role(project: Project) -> None:
    user = make_user("bo")
    first = add_member(project=project, user=user, role="regular", by="test")
    second = add_member(project=project, user=user, role="expert", by="test")
    assert first.pk == second.pk
    assert Member.objects.get().role == "expert"
    event = Event.objects.first()
    assert event is not None
    assert event.old == {"role": "regular", "present": True}


def test_who_leaves_keeps_a_name_in_history_and_loses_the_tokens(project: Project) -> None:
    member = make_member(project, username="bo")
    assert member.user is not None
    token, _secret = create_token(user=member.user, name="t", scopes=["read"], member=member)
    personal, _secret = create_token(user=member.user, name="own", scopes=["read"])
    end_membership(member=member, by="test")
    member.refresh_from_db()
    token.refresh_from_db()
    personal.refresh_from_db()
    assert member.left_at is not None
    assert member.name == f"Former member {member.pk}"
    assert not token.is_valid()
    assert personal.is_valid()  # good for the other projects of this person
    assert not Project.objects.visible_to(member.user).exists()


def test_who_comes_back_is_the_same_member(project: Project) -> None:
    member = make_member(project, username="bo")
    end_membership(member=member, by="test")
    assert member.user is not None
    again = add_member(project=project, user=member.user, role="regular", by="test")
    assert again.pk == member.pk
    assert again.left_at is None


def test_a_simulated_member_has_no_user_and_says_so(project: Project) -> None:
    for name in ("Sim A", "Sim B"):
        add_member(
            project=project, user=None, role="regular", by="test", name=name, is_simulated=True
        )
    assert sorted(map(str, Member.objects.all())) == ["Sim A (simulated)", "Sim B (simulated)"]


def test_a_very_long_name_is_shown_shortened(project: Project) -> None:
    user = make_user("bo", first_name="x" * 150, last_name="y" * 150)
    member = add_member(project=project, user=user, role="regular", by="test")
    assert member.name == "x" * 150


# --- Tokens -------------------------------------------------------------------------------------


def test_the_secret_of_a_token_is_never_stored(project: Project) -> None:
    token, secret = create_token(user=make_user(), name="ci", scopes=["read", "ingest", "read"])
    assert token.digest == rules.secret_digest(secret)
    stored = [str(value) for row in ApiToken.objects.values() for value in row.values()]
    assert not any(secret in value for value in stored)
    assert secret.startswith(token.prefix)
    assert len(secret) - len(token.prefix) >= 32
    assert token.scopes == ["ingest", "read"]


def test_two_tokens_have_two_secrets() -> None:
    user = make_user()
    secrets = {create_token(user=user, name="t", scopes=["read"])[1] for _ in range(5)}
    assert len(secrets) == 5


@pytest.mark.parametrize("scopes", [[], ["write"], ["read", "everything"]])
def test_a_token_needs_known_scopes(scopes: list[str]) -> None:
    with pytest.raises(ActionRefused, match="one or more of these scopes: read, ingest"):
        create_token(user=make_user(), name="t", scopes=scopes)


def test_a_project_token_belongs_to_its_member(project: Project) -> None:
    member = make_member(project)
    with pytest.raises(ActionRefused, match="belongs to a member"):
        create_token(user=make_user(), name="t", scopes=["read"], member=member)


def test_an_expired_or_revoked_token_is_not_valid() -> None:
    now = timezone.now()
    user = make_user()
    past, _secret = create_token(user=user, name="t", scopes=["read"], expires_at=now)
    future, _secret = create_token(
        user=user, name="t", scopes=["read"], expires_at=now + datetime.timedelta(hours=1)
    )
    assert not past.is_valid()
    assert future.is_valid()
    future.revoked_at = now
    assert not future.is_valid()
