"""Admins are told what a project's members cannot serve, where it is set and where they look."""

from __future__ import annotations

import pytest

from labeling.actions.many import keep_for_experts
from labeling.actions.shortages import experts_too_few, people_too_few
from labeling.models import Member, Project
from tests.labeling.builders import make_member, make_project
from tests.labeling.cast import deferred
from tests.labeling.test_pages import LABELS, client_of
from tests.labeling.test_task_pages import text_of

pytestmark = pytest.mark.django_db
FEW_PEOPLE = "A text needs 2 equal answers, and only 1 person labels here"
FEW_EXPERTS = "need 2 equal answers, and only 1 expert or admin is here to give them."


@pytest.fixture
def project() -> Project:
    return make_project("heron", LABELS, answers_needed=2)


@pytest.fixture
def ada(project: Project) -> Member:
    return make_member(project, "admin", "ada")


def page_of(member: Member, path: str = "") -> str:
    return text_of(client_of(member).get(f"/p/heron/{path}").content.decode())


def test_fewer_people_than_answers_is_said_where_it_is_set_and_on_the_project_page(
    project: Project, ada: Member
) -> None:
    assert people_too_few(project) == 1
    assert FEW_PEOPLE in page_of(ada, "settings/")
    assert FEW_PEOPLE not in page_of(ada), "no text waits yet"
    deferred(project)
    assert FEW_PEOPLE in page_of(ada)
    make_member(project, username="simulated", is_simulated=True)
    assert people_too_few(project) == 1
    ann = make_member(project, username="ann")
    assert people_too_few(project) is None
    for path in ("", "settings/"):
        assert "person labels here" not in page_of(ada, path)
    project.answers_needed = 3
    project.save()
    assert "only 2 people label here" in page_of(ada)
    assert "label here" not in page_of(ann), "only admins can change it"


def test_texts_for_experts_without_enough_of_them_are_told_of_when_they_are_kept(
    project: Project, ada: Member
) -> None:
    task = deferred(project)
    make_member(project, username="ann")
    assert experts_too_few(project) is None
    sent = {"do": "keep", "task": task.pk, "n": 1}
    said = client_of(ada).post("/p/heron/tasks/act/", sent, follow=True).content.decode()
    assert FEW_EXPERTS in said
    assert experts_too_few(project) == 1
    for path in ("", "settings/"):
        assert FEW_EXPERTS in page_of(ada, path)
    eve = make_member(project, "expert", "eve")
    assert experts_too_few(project) is None
    assert FEW_EXPERTS not in page_of(ada)
    assert "kept for experts wait" not in page_of(eve)


def test_who_left_serves_nobody(project: Project, ada: Member) -> None:
    task = deferred(project)
    keep_for_experts(tasks=[task.pk], by=ada)
    make_member(project, "expert", "eve")
    assert experts_too_few(project) is None
    Member.objects.filter(name="eve").update(left_at="2026-01-01T00:00:00Z")
    assert experts_too_few(project) == 1
    assert people_too_few(project) == 1
