"""The admin is bounded: own projects, nothing edited but settings, members and accounts."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling.actions.projects import create_token
from labeling.admin.base import ProjectAdmin
from labeling.models import Event, Heartbeat, Member, Policy, Project, Role, Run, Task, User
from tests.labeling.builders import (
    label_of,
    make_annotation,
    make_benchmark_item,
    make_decision,
    make_member,
    make_policy,
    make_prediction,
    make_project,
    make_run,
    make_task,
    make_user,
    make_validator,
)
from tests.labeling.rest import user_of

pytestmark = pytest.mark.django_db
MODELS: list[Any] = list(apps.get_app_config("labeling").get_models())


def address(model: Any, what: str = "changelist", *args: Any) -> str:
    return reverse(f"admin:labeling_{model._meta.model_name}_{what}", args=args)


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def other() -> Project:
    return make_project("other")


def fill(project: Project) -> Task:
    """A row of the most common models."""
    task = make_task(project, f"{project.slug}-task")
    make_prediction(task)
    run = make_run(project)
    label = label_of(project, "a")
    make_decision(task, run, label)
    make_validator(project)
    make_annotation(task, make_member(project), label)
    make_benchmark_item(make_task(project, f"{project.slug}-bench"))
    return task


def staff(project: Project, role: str = Role.ADMIN, *, is_staff: bool = True) -> Client:
    member = make_member(project, role)
    user = user_of(member)
    user.is_staff = is_staff
    user.save()
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def superuser() -> Client:
    client = Client()
    client.force_login(make_user("root", is_staff=True, is_superuser=True))
    return client


def shown(answer: Any) -> set[Any]:
    return set(answer.context["cl"].queryset)


def test_every_model_is_registered() -> None:
    assert [model for model in MODELS if not admin.site.is_registered(model)] == []


def test_superusers_see_every_list_and_row(superuser: Client, project: Project) -> None:
    fill(project)
    for model in MODELS:
        assert superuser.get(address(model)).status_code == 200, model
        row = model._default_manager.first()
        if row is not None:
            assert superuser.get(address(model, "change", row.pk)).status_code == 200, model


def test_a_project_admin_sees_rows_of_that_project_only(project: Project, other: Project) -> None:
    fill(project)
    fill(other)
    client = staff(project)
    for model in MODELS:
        site = admin.site._registry[model]
        answer = client.get(address(model))
        if not isinstance(site, ProjectAdmin) or not site.project_path:
            assert answer.status_code == 403, model
            continue
        assert answer.status_code == 200, model
        for row in model._default_manager.all():
            mine = owner(row, site.project_path) == project
            assert (row in shown(answer)) is mine, row
            status = client.get(address(model, "change", row.pk)).status_code
            assert status == (200 if mine else 302), row


def owner(row: Any, path: str) -> Any:
    for step in path.split("__"):
        row = row if step == "pk" else getattr(row, step, None)
    return row


def test_lists_take_the_same_number_of_queries_for_more_rows(
    superuser: Client, project: Project
) -> None:
    def queries(model: Any) -> int:
        with CaptureQueriesContext(connection) as captured:
            superuser.get(address(model))
        return len(captured)

    fill(project)
    before = {model: queries(model) for model in MODELS}
    for number in range(3):
        fill(make_project(f"more{number}"))
    grown = [model for model in MODELS if queries(model) > before[model]]
    assert grown == []


def test_other_projects_are_not_named_in_filters(project: Project, other: Project) -> None:
    fill(project)
    Project.objects.filter(pk=other.pk).update(name="Hidden Project")
    client = staff(project)
    for model in (Task, Run, Policy, Event, Member):
        assert "Hidden Project" not in client.get(address(model)).content.decode()
    assert "Hidden Project" not in client.get(address(Member, "add")).content.decode()


def test_experts_regulars_and_non_staff_stay_outside(project: Project) -> None:
    for client in (
        staff(project, Role.EXPERT),
        staff(project, Role.REGULAR),
        staff(project, is_staff=False),
    ):
        assert client.get(address(Task)).status_code in (302, 403)


def test_rows_are_looked_at_and_not_edited(superuser: Client, project: Project) -> None:
    fill(project)
    for model in [model for model in MODELS if model not in (Project, Member, User)]:
        assert superuser.get(address(model, "add")).status_code == 403, model
        row = model._default_manager.first()
        if row is not None:
            assert superuser.post(address(model, "change", row.pk), {}).status_code == 403, model
            assert superuser.get(address(model, "delete", row.pk)).status_code == 403, model


def form_of(client: Client, url: str) -> dict[str, Any]:
    """The page's form as a browser would send it back unchanged."""
    form = client.get(url).context["adminform"].form
    values = {name: form[name].value() for name in form.fields}
    return {
        name: value for name, value in values.items() if value is not None and value is not False
    }


@pytest.mark.embedded
def test_settings_change_through_the_action_and_are_recorded(project: Project) -> None:
    client = staff(project)
    url = address(Project, "change", project.pk)
    answer = client.post(url, form_of(client, url) | {"answers_needed": 1, "name": "Shop 2"})
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    project.refresh_from_db()
    assert (project.name, project.answers_needed) == ("Shop 2", 1)
    event = Event.objects.get(verb="settings_changed")
    assert event.old == {"name": "Shop", "answers_needed": 2}
    assert event.new == {"name": "Shop 2", "answers_needed": 1}
    assert event.member is not None


def test_settings_that_contradict_each_other_are_refused_in_the_form(project: Project) -> None:
    client = staff(project)
    url = address(Project, "change", project.pk)
    answer = client.post(url, form_of(client, url) | {"answers_needed": 9})
    assert answer.status_code == 200
    assert "is below" in str(answer.context["adminform"].form.errors)
    assert not Event.objects.filter(verb="settings_changed").exists()


def test_a_project_admin_changes_no_other_project(project: Project, other: Project) -> None:
    client = staff(project)
    url = address(Project, "change", other.pk)
    assert client.post(url, {"name": "Taken"}).status_code == 302
    other.refresh_from_db()
    assert other.name == "Other"


def test_a_member_is_added_by_user_name_and_recorded(project: Project) -> None:
    client = staff(project)
    make_user("zoe")
    body = {"project": project.pk, "username": "zoe", "role": "expert", "name": ""}
    answer = client.post(address(Member, "add"), body)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    member = Member.objects.get(user__username="zoe")
    assert (member.project, member.role, member.name) == (project, "expert", "zoe")
    assert Event.objects.filter(verb="member_added", object_id=member.pk).exists()


def test_nobody_is_added_to_a_project_of_others(project: Project, other: Project) -> None:
    client = staff(project)
    make_user("zoe")
    body = {"project": other.pk, "username": "zoe", "role": "admin", "name": ""}
    assert client.post(address(Member, "add"), body).status_code == 200
    assert not Member.objects.filter(user__username="zoe").exists()


def test_an_unknown_account_is_refused_in_words(project: Project) -> None:
    client = staff(project)
    body = {"project": project.pk, "username": "nobody", "role": "regular", "name": ""}
    answer = client.post(address(Member, "add"), body)
    assert "no such account" in str(answer.context["adminform"].form.errors)


def test_a_role_changes_and_a_membership_ends_through_the_actions(project: Project) -> None:
    client = staff(project)
    member = make_member(project, Role.REGULAR)
    url = address(Member, "change", member.pk)
    assert client.post(url, {"role": "expert"}).status_code == 302
    member.refresh_from_db()
    assert member.role == "expert"
    body = {"action": "end_membership", "_selected_action": [member.pk]}
    assert client.post(address(Member), body).status_code == 302
    member.refresh_from_db()
    assert member.left_at is not None
    verbs = Event.objects.filter(object_type="member", object_id=member.pk)
    assert {"member_added", "member_removed"} <= set(verbs.values_list("verb", flat=True))
    assert client.post(url, {"role": "admin"}).status_code == 403


@pytest.mark.embedded
def test_a_policy_is_shown_with_its_evidence_and_activated(project: Project) -> None:
    evidence = {
        "target_accuracy": 0.95,
        "rows": 100,
        "tuned": {"multiclass": {"threshold": 0.9, "accepted": 60, "right": 57, "rows": 100}},
    }
    policy = make_policy(project, evidence=evidence)
    client = staff(project)
    listed = client.get(address(Policy)).content.decode()
    assert "multiclass 60.0%" in listed
    assert "multiclass 95.0%" in listed
    detail = client.get(address(Policy, "change", policy.pk)).content.decode()
    assert "target_accuracy" in detail
    assert "promises nothing" in detail
    body = {"action": "activate", "_selected_action": [policy.pk]}
    assert client.post(address(Policy), body).status_code == 302
    policy.refresh_from_db()
    assert policy.status == "active"
    assert Event.objects.filter(verb="policy_activated").exists()


def test_two_policies_are_not_activated_at_once(project: Project) -> None:
    policies = [make_policy(project), make_policy(project)]
    client = staff(project)
    body = {"action": "activate", "_selected_action": [policy.pk for policy in policies]}
    answer = client.post(address(Policy), body, follow=True)
    assert "Choose one policy" in answer.content.decode()
    assert not Policy.objects.filter(status="active").exists()


def test_a_policy_of_another_project_is_not_activated(project: Project, other: Project) -> None:
    policy = make_policy(other)
    make_policy(project)
    body = {"action": "activate", "_selected_action": [policy.pk]}
    staff(project).post(address(Policy), body)
    policy.refresh_from_db()
    assert policy.status == "draft"


def test_token_digests_are_not_shown(project: Project, superuser: Client) -> None:
    member = make_member(project)
    token, _secret = create_token(user=user_of(member), name="t", scopes=["read"], member=member)
    page = superuser.get(address(type(token), "change", token.pk)).content.decode()
    assert token.prefix in page
    assert token.digest not in page


def test_workers_are_shown_to_superusers_only(project: Project, superuser: Client) -> None:
    assert superuser.get(address(Heartbeat)).status_code == 200
    assert staff(project).get(address(Heartbeat)).status_code == 403


def test_the_first_page_opens_for_a_project_admin(project: Project) -> None:
    answer = staff(project).get(reverse("admin:index"))
    assert answer.status_code == 200
    assert reverse("admin:labeling_task_changelist") in answer.content.decode()
    assert reverse("admin:labeling_user_changelist") not in answer.content.decode()
