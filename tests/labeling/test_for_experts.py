"""Tasks kept for experts: who is asked of them, how they come to be so, and who sees it."""

from __future__ import annotations

import pytest

from labeling.actions.errors import ActionRefused
from labeling.actions.lease import next_task
from labeling.actions.many import Done, keep_for_experts, open_to_everybody
from labeling.actions.queues import left_for
from labeling.models import Event, Member, Project, Task
from tests.labeling.builders import label_of, make_annotation, make_member, make_project
from tests.labeling.cast import deferred, say
from tests.labeling.rest import client_of as rest_of
from tests.labeling.test_pages import LABELS, client_of
from tests.labeling.test_task_pages import text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project(
        "heron", LABELS, blind_share=0.0, gold_share=0.0, repeat_share=0.0, answers_needed=1
    )


@pytest.fixture
def ada(project: Project) -> Member:
    return make_member(project, "admin", "ada")


@pytest.fixture
def ann(project: Project) -> Member:
    return make_member(project, username="ann")


def task_of(member: Member) -> Task | None:
    lease = next_task(member=member)
    return lease.task if lease else None


@pytest.mark.embedded
def test_a_task_kept_for_experts_comes_to_experts_and_to_no_regular_annotator(
    project: Project, ada: Member, ann: Member
) -> None:
    kept, other = deferred(project, priority=1.0), deferred(project)
    assert keep_for_experts(tasks=[kept.pk], by=ada) == Done(changed=1, left=0)
    eve = make_member(project, "expert", "eve")
    assert task_of(ann) == other
    assert left_for(ann, up_to=10) == 1
    assert task_of(eve) == kept
    assert open_to_everybody(tasks=[kept.pk, other.pk], by=ada) == Done(changed=1, left=1)
    assert left_for(ann, up_to=10) == 2


def test_a_task_in_hand_leaves_the_annotator_once_it_is_kept_but_the_answer_is_taken(
    project: Project, ada: Member, ann: Member
) -> None:
    task = deferred(project)
    assert task_of(ann) == task
    keep_for_experts(tasks=[task.pk], by=ada)
    assert task_of(ann) is None
    say(ann, task, "Charged twice")
    task.refresh_from_db()
    assert task.status == "resolved"


def test_who_was_never_asked_does_not_answer_what_is_kept_for_experts(
    project: Project, ada: Member, ann: Member
) -> None:
    task = deferred(project, expert_only=True)
    with pytest.raises(ActionRefused, match="Only experts are asked"):
        say(ann, task, "Charged twice")
    say(ada, task, "Charged twice")
    before = deferred(project)
    make_annotation(before, ann, label_of(project, "Change plan"))
    Task.objects.filter(pk=before.pk).update(expert_only=True)
    before.refresh_from_db()
    say(ann, before, "Charged twice")


def test_only_admins_say_it_and_every_task_tells_it(
    project: Project, ada: Member, ann: Member
) -> None:
    task = deferred(project)
    for member in (ann, make_member(project, "expert", "eve")):
        with pytest.raises(ActionRefused, match="Only admins"):
            keep_for_experts(tasks=[task.pk], by=member)
    keep_for_experts(tasks=[task.pk], by=ada)
    open_to_everybody(tasks=[task.pk], by=ada)
    verbs = Event.objects.filter(object_id=task.pk, object_type="task").order_by("pk")
    assert list(verbs.values_list("verb", flat=True)) == ["kept_for_experts", "opened_to_everybody"]
    html = text_of(client_of(ada).get(f"/p/heron/tasks/{task.pk}/").content.decode())
    assert "Kept for experts: regular annotators are not asked." in html
    assert "Opened to everybody again." in html


def test_the_browser_marks_finds_and_shows_them(project: Project, ada: Member, ann: Member) -> None:
    kept, other = deferred(project), deferred(project)
    client = client_of(ada)
    path = "/p/heron/tasks/act/"
    asked = client.post(path, {"do": "keep", "task": [kept.pk]}).content.decode()
    assert "Yes, for this 1 task" in asked
    client.post(path, {"do": "keep", "task": [kept.pk], "n": "1"})
    found = client.get("/p/heron/tasks/?expert_only=on").content.decode()
    assert kept.external_id in found
    assert other.external_id not in found
    assert "for experts" in text_of(found)
    eve = client_of(make_member(project, "expert", "eve"))
    assert 'value="keep"' not in eve.get("/p/heron/tasks/").content.decode()
    answer = eve.post(path, {"do": "open", "task": [kept.pk], "n": "1"}, follow=True)
    assert "Only admins say who works on what." in answer.content.decode()
    kept.refresh_from_db()
    assert kept.expert_only


def test_an_empty_queue_says_that_texts_are_kept_for_others(project: Project, ann: Member) -> None:
    deferred(project, expert_only=True)
    html = text_of(client_of(ann).get("/p/heron/annotate/").content.decode())
    assert "1 text waits for somebody else: the project keeps it for others." in html
    assert "but you have answered it" not in html


def test_rest_tells_reviewers_alone(project: Project, ann: Member) -> None:
    task = deferred(project, expert_only=True)
    path = f"/api/v1/projects/heron/tasks/{task.external_id}/"
    eve = make_member(project, "expert", "eve")
    assert rest_of(eve).get(path).json()["expert_only"] is True
    assert "expert_only" not in rest_of(ann).get(path).json()
