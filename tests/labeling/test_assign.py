"""Assigned tasks: first to whom they are assigned, to others once they are released."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from labeling.actions.annotate import undo
from labeling.actions.assign import assign, release, release_all
from labeling.actions.errors import ActionRefused
from labeling.actions.lease import next_task
from labeling.actions.many import Done, keep_for_experts
from labeling.actions.marks import skip
from labeling.actions.people import change_role, end_membership
from labeling.actions.queues import left_for
from labeling.models import AssignedTask, Assignment, Lease, Member, Project, Task
from tests.labeling.builders import make_benchmark_item, make_member, make_project, make_task
from tests.labeling.cast import deferred, say
from tests.labeling.test_pages import LABELS, client_of
from tests.labeling.test_task_pages import text_of

pytestmark = pytest.mark.django_db
ACT = "/p/heron/tasks/act/"


@pytest.fixture
def project() -> Project:
    return make_project("heron", LABELS, blind_share=0.0, gold_share=0.0, repeat_share=0.0)


@pytest.fixture
def ada(project: Project) -> Member:
    return make_member(project, "admin", "ada", name="Ada")


@pytest.fixture
def ann(project: Project) -> Member:
    return make_member(project, username="ann", name="Ann")


@pytest.fixture
def bob(project: Project) -> Member:
    return make_member(project, username="bob", name="Bob")


def task_of(member: Member) -> Task | None:
    lease = next_task(member=member)
    return lease.task if lease else None


def days_pass(days: int) -> None:
    past = timezone.now() - datetime.timedelta(days=days)
    Assignment.objects.update(expires_at=past)


@pytest.mark.embedded
def test_assigned_tasks_come_first_and_to_nobody_else(
    project: Project, ada: Member, ann: Member, bob: Member
) -> None:
    urgent, mine = deferred(project, priority=1.0), deferred(project)
    made, done = assign(tasks=[mine.pk], by=ada, to=ann)
    assert (done, made.count, made.to) == (Done(1, 0), 1, "Ann")
    assert task_of(ann) == mine
    assert task_of(bob) == urgent
    assert left_for(bob, up_to=9) == 1
    say(bob, urgent, "Change plan")
    assert task_of(bob) is None


def test_the_answer_releases_the_task_for_the_others_it_needs(
    project: Project, ada: Member, ann: Member, bob: Member
) -> None:
    task = deferred(project)
    assign(tasks=[task.pk], by=ada, to=ann)
    say(ann, task, "Change plan")
    assert task_of(bob) == task
    assert task_of(ann) is None
    with pytest.raises(ActionRefused, match="None of these tasks waits for Ann"):
        assign(tasks=[task.pk], by=ada, to=ann)
    assert Assignment.objects.count() == 1


def test_an_answer_taken_back_comes_again_to_who_gave_it(
    project: Project, ada: Member, ann: Member
) -> None:
    task = deferred(project)
    assign(tasks=[task.pk], by=ada, to=ann)
    say(ann, task, "Change plan")
    undo(member=ann)
    assert task_of(ann) == task


@pytest.mark.parametrize(("reason", "comes"), [("involved", True), ("later", False)])
def test_what_is_passed_on_goes_to_others_and_what_is_put_off_does_not(
    project: Project, ada: Member, ann: Member, bob: Member, reason: str, comes: bool
) -> None:
    task = deferred(project)
    assign(tasks=[task.pk], by=ada, to=ann)
    lease = next_task(member=ann)
    assert lease is not None
    skip(lease=lease, reason=reason)
    assert task_of(ann) is None
    assert (task_of(bob) == task) is comes


def test_an_assignment_ends_by_itself(
    project: Project, ada: Member, ann: Member, bob: Member
) -> None:
    task = deferred(project)
    assign(tasks=[task.pk], by=ada, to=ann, days=2)
    assert task_of(bob) is None
    days_pass(1)
    assert task_of(bob) == task
    Lease.objects.all().delete()
    assign(tasks=[task.pk], by=ada, to=bob)
    assert AssignedTask.objects.live().get().assignment.member == bob
    assert task_of(ann) is None


def test_everybody_of_a_role_gets_what_is_assigned_to_it(
    project: Project, ada: Member, ann: Member
) -> None:
    eve = make_member(project, "expert", "eve")
    urgent, theirs = deferred(project, priority=1.0), deferred(project)
    assign(tasks=[theirs.pk], by=ada, to="expert")
    assert task_of(eve) == theirs
    assert task_of(ann) == urgent
    say(ann, urgent, "Change plan")
    assert task_of(ann) is None


def test_what_cannot_be_assigned_is_left_as_it_is(
    project: Project, ada: Member, ann: Member, bob: Member
) -> None:
    good = deferred(project)
    answered, passed, kept, held, given = (deferred(project) for _ in range(5))
    working, resolved = make_task(project), make_task(project, status="resolved")
    marked = deferred(project)
    make_benchmark_item(marked)
    say(ann, answered, "Change plan")
    ann.skips.create(task=passed, revision=1, reason="involved", purpose="label")
    keep_for_experts(tasks=[kept.pk], by=ada)
    Lease.objects.create(
        task=held, member=bob, expires_at=timezone.now() + datetime.timedelta(minutes=5)
    )
    assign(tasks=[given.pk], by=ada, to=bob)
    tasks = [good, answered, passed, kept, held, given, working, resolved, marked]
    made, done = assign(tasks=[task.pk for task in tasks], by=ada, to=ann)
    assert done == Done(changed=1, left=8)
    assert [one.task for one in made.assigned.all()] == [good]


def test_nobody_gets_tasks_who_cannot_answer_them(
    project: Project, ada: Member, ann: Member, bob: Member
) -> None:
    task = deferred(project)
    end_membership(member=bob, by=ada)
    other = make_member(make_project("other"))
    for to, words in (
        (bob, "not in the project"),
        (other, "not in the project"),
        ("expert", "Nobody in the project has this role"),
        ("king", "no such role"),
    ):
        with pytest.raises(ActionRefused, match=words):
            assign(tasks=[task.pk], by=ada, to=to)
    for days in (0, 91):
        with pytest.raises(ActionRefused, match="1 to 90 days"):
            assign(tasks=[task.pk], by=ada, to=ann, days=days)
    with pytest.raises(ActionRefused, match="Only admins"):
        assign(tasks=[task.pk], by=ann, to=ann)
    assert not Assignment.objects.exists()


def test_tasks_of_who_leaves_or_steps_down_are_for_others(
    project: Project, ada: Member, ann: Member, bob: Member
) -> None:
    eve = make_member(project, "expert", "eve")
    one, two, three = (deferred(project) for _ in range(3))
    keep_for_experts(tasks=[two.pk, three.pk], by=ada)
    assign(tasks=[one.pk], by=ada, to=ann)
    assign(tasks=[two.pk], by=ada, to=eve)
    end_membership(member=ann, by=ada)
    assert task_of(bob) == one
    change_role(member=eve, role="regular", by=ada)
    assert not AssignedTask.objects.live().exists()
    assert left_for(ada, up_to=9) == 3


def test_keeping_for_experts_ends_what_regular_annotators_hold(
    project: Project, ada: Member, ann: Member
) -> None:
    task, role_task = deferred(project), deferred(project)
    assign(tasks=[task.pk], by=ada, to=ann)
    assign(tasks=[role_task.pk], by=ada, to="regular")
    keep_for_experts(tasks=[task.pk, role_task.pk], by=ada)
    assert left_for(ada, up_to=9) == 2
    assert task_of(ann) is None


def test_tasks_are_released_by_name_or_with_all_of_their_assignment(
    project: Project, ada: Member, ann: Member, bob: Member
) -> None:
    tasks = [deferred(project) for _ in range(3)]
    made, _done = assign(tasks=[task.pk for task in tasks], by=ada, to=ann)
    assert release(tasks=[tasks[0].pk], by=ada) == Done(1, 0)
    assert release(tasks=[tasks[0].pk], by=ada) == Done(0, 1)
    assert left_for(bob, up_to=9) == 1
    assert release_all(assignment=made, by=ada) == 2
    assert left_for(bob, up_to=9) == 3
    with pytest.raises(ActionRefused, match="released already"):
        release_all(assignment=made, by=ada)
    for by in (ann, make_member(project, "expert")):
        with pytest.raises(ActionRefused, match="Only admins"):
            release_all(assignment=made, by=by)


def test_the_browser_assigns_and_every_page_tells(
    project: Project, ada: Member, ann: Member
) -> None:
    one, two = deferred(project), deferred(project)
    client = client_of(ada)
    asked = client.post(ACT, {"do": "assign", "task": [one.pk]}).content.decode()
    assert f'<option value="{ann.pk}">Ann</option>' in asked
    wrong = client.post(ACT, {"do": "assign", "task": [one.pk], "n": "1", "to": "0", "days": "7"})
    assert "Select a valid choice" in wrong.content.decode()
    assert "The number has changed" not in wrong.content.decode()
    body = {"do": "assign", "task": [one.pk], "n": "1", "to": str(ann.pk), "days": "3"}
    assert "1 task was changed." in client.post(ACT, body, follow=True).content.decode()
    found = client.get(f"/p/heron/tasks/?assigned={ann.pk}").content.decode()
    assert one.external_id in found
    assert two.external_id not in found
    assert "for Ann" in text_of(found)
    story = text_of(client.get(f"/p/heron/tasks/{one.pk}/").content.decode())
    assert story.count("Assigned to Ann until") == 2
    page = text_of(client.get("/p/heron/tasks/assignments/").content.decode())
    assert "Ann" in page
    assert "1 / 1" in page
    made = Assignment.objects.get()
    done = client.post(f"/p/heron/tasks/assignments/{made.pk}/release/", follow=True)
    assert "1 task is released." in done.content.decode()
    story = text_of(client.get(f"/p/heron/tasks/{one.pk}/").content.decode())
    assert "Released: whoever comes may answer it." in story


def test_an_empty_queue_says_that_others_have_the_texts(
    project: Project, ada: Member, ann: Member, bob: Member
) -> None:
    assign(tasks=[deferred(project).pk], by=ada, to=ann)
    html = text_of(client_of(bob).get("/p/heron/annotate/").content.decode())
    assert "1 text waits for somebody else" in html


def test_only_admins_release_and_only_reviewers_see_who_has_what(
    project: Project, ada: Member, ann: Member
) -> None:
    made, _done = assign(tasks=[deferred(project).pk], by=ada, to=ann)
    path = "/p/heron/tasks/assignments/"
    eve = client_of(make_member(project, "expert", "eve"))
    assert "Ann" in eve.get(path).content.decode()
    assert eve.post(f"{path}{made.pk}/release/").status_code == 403
    assert client_of(ann).get(path).status_code == 403
    stranger = client_of(make_member(make_project("other"), "admin"))
    assert stranger.get(path).status_code == 404
    assert stranger.post(f"/p/other/tasks/assignments/{made.pk}/release/").status_code == 404
