"""One answer settles tasks of the same text, where the project wants it."""

from __future__ import annotations

import pytest

from labeling.actions.annotate import undo
from labeling.actions.many import reopen
from labeling.actions.queues import waiting_for
from labeling.actions.resolve import reinstate, resolve, withdraw
from labeling.models import Annotation, Event, Member, Project, Resolution, Task
from tests.labeling.builders import label_of, make_benchmark_item, make_member, make_project
from tests.labeling.cast import deferred, say
from tests.labeling.scenes import make_scene
from tests.labeling.test_pages import client_of
from tests.labeling.test_task_pages import text_of

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]


@pytest.fixture
def project() -> Project:
    return make_project(answers_needed=1, resolve_duplicates=True)


@pytest.fixture
def ann(project: Project) -> Member:
    return make_member(project, username="ann")


def copies(project: Project, *texts: str) -> list[Task]:
    return [deferred(project, text=text) for text in texts]


def standing(task: Task) -> Resolution | None:
    return Resolution.objects.current().filter(task=task).first()


def test_an_answer_settles_the_copies_that_wait_and_names_where_it_comes_from(
    project: Project, ann: Member
) -> None:
    one, two, other = copies(project, "Where is my card?", "where  is my CARD?", "bye")
    say(ann, one, "a")
    copy = standing(two)
    assert copy is not None
    assert (copy.source, str(copy.label), copy.member) == ("duplicate", "a", None)
    assert copy.original == standing(one)
    assert standing(other) is None
    assert list(waiting_for(ann)) == [other]
    said = Event.objects.get(object_id=two.pk, object_type="task", verb="task_resolved").new
    assert said is not None
    assert said["original"] == one.pk
    page = client_of(make_member(project, "expert")).get(f"/p/shop/tasks/{two.pk}/")
    assert f"copied from “{one.external_id}”" in text_of(page.content.decode())


def test_nobodys_answer_counts_twice(project: Project, ann: Member) -> None:
    Project.objects.update(answers_needed=2, answers_at_most=3)
    project.refresh_from_db()
    one, two = copies(project, "same", "same")
    say(ann, one, "a")
    assert standing(two) is None
    say(ann, two, "a")
    assert standing(one) is None
    assert standing(two) is None
    say(make_member(project), one, "a")
    assert [standing(task).source for task in (one, two)] == ["agreement", "duplicate"]  # type: ignore[union-attr]
    assert Annotation.objects.count() == 3


def test_without_the_option_each_task_is_asked(project: Project, ann: Member) -> None:
    Project.objects.update(resolve_duplicates=False)
    project.refresh_from_db()
    one, two = copies(project, "same", "same")
    say(ann, one, "a")
    assert standing(two) is None


def test_copies_go_when_their_original_goes_and_come_back_with_it(
    project: Project, ann: Member
) -> None:
    one, two = copies(project, "same", "same")
    say(ann, one, "a")
    first = standing(one)
    undo(member=ann)
    two.refresh_from_db()
    assert standing(two) is None
    assert two.status == "deferred"
    gone = Resolution.objects.get(task=two)
    assert gone.withdrawn_reason == "its original was withdrawn"
    assert first is not None
    first.refresh_from_db()
    assert reinstate(resolution=first, by=ann)
    assert str(standing(two).label) == "a"  # type: ignore[union-attr]
    reopen(tasks=[one.pk], by=make_member(project, "admin"))
    assert standing(two) is None


def test_a_stronger_label_of_the_original_reaches_its_copies(project: Project, ann: Member) -> None:
    one, two = copies(project, "same", "same")
    say(ann, one, "a")
    resolve(task=one, source="override", by=ann, label=label_of(project, "b"))
    copy = standing(two)
    assert copy is not None
    assert str(copy.label) == "b"
    assert copy.original == standing(one)


def test_a_copy_that_is_settled_by_itself_stays_when_the_original_goes(
    project: Project, ann: Member
) -> None:
    one, two = copies(project, "same", "same")
    say(ann, one, "a")
    resolve(task=two, source="override", by=ann, label=label_of(project, "c"))
    one.refresh_from_db()
    withdraw(task=one, reason="answers changed", by=ann)
    assert str(standing(two).label) == "c"  # type: ignore[union-attr]


def test_the_benchmark_machines_and_another_conversation_take_no_part(
    project: Project, ann: Member
) -> None:
    one, marked, talk = copies(project, "same", "same", "same")
    make_benchmark_item(marked)
    Task.objects.filter(pk=talk.pk).update(turns=[{"speaker": "x", "text": "before"}])
    elsewhere = deferred(make_project("other", resolve_duplicates=True), text="same")
    resolve(task=one, source="imported", by=ann, label=label_of(project, "a"))
    assert Resolution.objects.count() == 1
    say(ann, one, "b")
    for task in (marked, talk, elsewhere):
        assert standing(task) is None


def test_what_comes_to_wait_is_settled_by_what_people_said_before() -> None:
    scene = make_scene()
    Project.objects.filter(pk=scene.project.pk).update(resolve_duplicates=True, answers_needed=1)
    scene.project.refresh_from_db()
    before = deferred(scene.project, text="known")
    say(make_member(scene.project), before, "b")
    known, new = scene.task(None, None, text="Known"), scene.task(None, None, text="new")
    left = scene.decide()
    assert left == {known.pk: False, new.pk: True}
    copy = standing(known)
    assert copy is not None
    assert (copy.source, copy.original) == ("duplicate", standing(before))
