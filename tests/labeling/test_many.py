"""The same for many tasks: the number first, then in batches, with an event on each."""

from __future__ import annotations

import pytest

from labeling.actions import many
from labeling.actions.errors import ActionRefused
from labeling.actions.many import Done, reopen, send_to_expert
from labeling.actions.queues import waiting_for
from labeling.models import Annotation, Event, Member, Project, Resolution, Task
from tests.labeling.builders import make_benchmark_item, make_member, make_project, make_task
from tests.labeling.cast import deferred, say
from tests.labeling.test_pages import LABELS, client_of
from tests.labeling.test_task_pages import accepted, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project("heron", LABELS, blind_share=0.0, answers_needed=1)


@pytest.fixture
def ada(project: Project) -> Member:
    return make_member(project, "admin", "ada")


@pytest.fixture
def ann(project: Project) -> Member:
    return make_member(project, username="ann")


def status_of(task: Task) -> str:
    task.refresh_from_db()
    return task.status


def test_reopened_tasks_are_asked_anew_of_everybody(
    project: Project, ada: Member, ann: Member
) -> None:
    answered, machine = deferred(project), accepted(project)
    say(ann, answered, "Change plan")
    waiting, working = deferred(project), make_task(project)
    marked = accepted(project, text="in the benchmark")
    make_benchmark_item(marked)
    tasks = [task.pk for task in (answered, machine, waiting, working, marked)]
    assert reopen(tasks=tasks, by=ada) == Done(changed=2, left=3)
    assert set(waiting_for(ann)) == {answered, machine, waiting}
    assert Annotation.objects.get().current is False
    assert status_of(working) == "processing"
    assert Resolution.objects.current().get().task == marked
    say(ann, answered, "Charged twice")
    assert str(Resolution.objects.current().get(task=answered).label) == "Charged twice"


def test_every_task_has_its_event_and_its_page_says_so(
    project: Project, ada: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "BATCH", 2)
    tasks = [accepted(project) for _ in range(5)]
    reopen(tasks=[task.pk for task in tasks], by=ada)
    events = Event.objects.filter(verb="task_reopened", member=ada)
    assert sorted(events.values_list("object_id", flat=True)) == [task.pk for task in tasks]
    html = client_of(ada).get(f"/p/heron/tasks/{tasks[0].pk}/").content.decode()
    assert "“Charged twice” stands no more, and people are asked anew." in text_of(html)
    assert "asked anew" in html


def test_what_is_sent_to_an_expert_waits_among_the_disputes(
    project: Project, ada: Member, ann: Member
) -> None:
    waiting, machine, working = deferred(project), accepted(project), make_task(project)
    tasks = [waiting.pk, machine.pk, working.pk]
    assert send_to_expert(tasks=tasks, by=ada) == Done(changed=2, left=1)
    assert (status_of(waiting), status_of(machine)) == ("disputed", "disputed")
    assert not Resolution.objects.current().exists()
    html = client_of(ada).get("/p/heron/adjudicate/").content.decode()
    assert "2 wait" in html
    assert not waiting_for(ann).exists()


def test_only_reviewers_change_many_tasks_and_not_too_many_at_once(
    project: Project, ada: Member, ann: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = accepted(project)
    with pytest.raises(ActionRefused, match="do not review"):
        reopen(tasks=[task.pk], by=ann)
    with pytest.raises(ActionRefused, match="do not review"):
        send_to_expert(tasks=[task.pk], by=ann)
    monkeypatch.setattr(many, "MOST", 1)
    with pytest.raises(ActionRefused, match="At most 1"):
        reopen(tasks=[task.pk, task.pk + 1], by=ada)
    other = make_member(make_project("other"), "admin")
    assert reopen(tasks=[task.pk], by=other) == Done(0, 1)
    assert status_of(task) == "resolved"


def test_the_page_says_the_number_first_and_asks_again_where_it_changed(
    project: Project, ada: Member
) -> None:
    tasks = [accepted(project, text=f"plan {n}") for n in range(3)]
    other = accepted(project, text="something else")
    client = client_of(ada)
    path = "/p/heron/tasks/act/?q=plan"
    asked = client.post(path, {"do": "reopen", "all": "1"}).content.decode()
    assert "Yes, for these 3 tasks" in asked
    assert status_of(tasks[0]) == "resolved"
    tasks.append(accepted(project, text="plan 4"))
    again = client.post(path, {"do": "reopen", "all": "1", "n": "3"}).content.decode()
    assert "The number has changed" in again
    assert "Yes, for these 4 tasks" in again
    done = client.post(path, {"do": "reopen", "all": "1", "n": "4"}, follow=True)
    assert "4 tasks were changed." in done.content.decode()
    assert done.redirect_chain[-1][0] == "/p/heron/tasks/?q=plan"
    assert [status_of(task) for task in tasks] == ["deferred"] * 4
    assert status_of(other) == "resolved"


def test_experts_change_what_they_tick_and_admins_all_that_match(project: Project) -> None:
    eve = client_of(make_member(project, "expert", "eve"))
    one, two = accepted(project), accepted(project)
    path = "/p/heron/tasks/act/"
    refused = eve.post(path, {"do": "reopen", "all": "1"}, follow=True)
    assert "Only admins change all that match" in refused.content.decode()
    none = eve.post(path, {"do": "reopen"}, follow=True)
    assert "No task was chosen" in none.content.decode()
    asked = eve.post(path, {"do": "expert", "task": [one.pk, "x", 9**30]}).content.decode()
    assert f'name="task" value="{one.pk}"' in asked
    eve.post(path, {"do": "expert", "task": [one.pk], "n": "1"})
    assert (status_of(one), status_of(two)) == ("disputed", "resolved")
    assert eve.post(path, {"do": "drop", "task": [one.pk]}).status_code == 404
    assert eve.get(path).status_code == 405
    for member, status in (
        (make_member(project), 403),
        (make_member(make_project("other"), "admin"), 404),
    ):
        answer = client_of(member).post(path, {"do": "reopen", "task": [two.pk], "n": "1"})
        assert answer.status_code == status
    assert status_of(two) == "resolved"
