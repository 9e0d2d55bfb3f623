"""Answers: what they make of a task, sent twice, changed, taken back, adjudicated."""

from __future__ import annotations

import uuid

import pytest

from labeling.actions.adjudicate import adjudicate
from labeling.actions.annotate import undo
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.lease import next_task
from labeling.actions.resolve import resolve
from labeling.models import Annotation, AuditDraw, Event, Member, Project, Resolution, Task
from tests.labeling.builders import label_of, make_member, make_project
from tests.labeling.cast import deferred, say
from tests.labeling.test_lease import audited

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project(labels=["a", "b", "c"], blind_share=0.0, allow_conf=True)


@pytest.fixture
def ann(project: Project) -> Member:
    return make_member(project, username="ann")


@pytest.fixture
def bob(project: Project) -> Member:
    return make_member(project, username="bob")


@pytest.fixture
def cat(project: Project) -> Member:
    return make_member(project, username="cat")


@pytest.fixture
def eve(project: Project) -> Member:
    return make_member(project, "expert", "eve")


@pytest.fixture
def task(project: Project) -> Task:
    return deferred(project)


def stands(task: Task) -> tuple[str, str, str]:
    """The status of the task, and the label or outcome and source of its resolution."""
    task.refresh_from_db()
    found = task.resolutions.filter(current=True).first()
    if found is None:
        return task.status, "", ""
    return task.status, str(found.label or found.outcome), found.source


def test_two_equal_answers_settle_a_task(task: Task, ann: Member, bob: Member) -> None:
    assert say(ann, task, "a").standing.state == "waiting"  # type: ignore[union-attr]
    assert stands(task) == ("deferred", "", "")
    assert say(bob, task, "a").standing.state == "agreed"  # type: ignore[union-attr]
    assert stands(task) == ("resolved", "a", "agreement")


def test_where_one_answer_is_enough_it_stands_as_single(task: Task, ann: Member) -> None:
    task.project.answers_needed = 1
    task.project.save()
    say(ann, task, "b")
    assert stands(task) == ("resolved", "b", "single")


def test_a_third_answer_decides_and_three_different_ones_are_disputed(
    project: Project, ann: Member, bob: Member, cat: Member
) -> None:
    decided, disputed = deferred(project), deferred(project)
    for member, first, second in ((ann, "a", "a"), (bob, "b", "b"), (cat, "b", "c")):
        say(member, decided, first)
        say(member, disputed, second)
    assert stands(decided) == ("resolved", "b", "agreement")
    assert stands(disputed) == ("disputed", "", "")


def test_sending_twice_is_harmless(task: Task, ann: Member) -> None:
    client_id = uuid.uuid4()
    first = say(ann, task, "a", client_id=client_id)
    again = say(ann, task, "b", client_id=client_id)
    assert again.repeated
    assert again.annotation == first.annotation
    assert Annotation.objects.count() == 1
    assert Event.objects.filter(verb="answered").count() == 1


def test_an_id_used_for_another_task_is_a_conflict(
    project: Project, task: Task, ann: Member
) -> None:
    client_id = uuid.uuid4()
    say(ann, task, "a", client_id=client_id)
    with pytest.raises(Conflict, match="another task"):
        say(ann, deferred(project), "a", client_id=client_id)


def test_an_edit_keeps_the_first_row_and_counts_once(task: Task, ann: Member, bob: Member) -> None:
    say(ann, task, "a")
    say(bob, task, "a")
    say(ann, task, "b")
    rows = Annotation.objects.filter(member=ann).values_list("label__name", "current")
    assert list(rows) == [("a", False), ("b", True)]
    assert stands(task) == ("deferred", "", "")
    assert Resolution.objects.get().withdrawn_reason == "answers changed"


def test_a_late_third_answer_that_changes_nothing_makes_no_new_resolution(
    task: Task, ann: Member, bob: Member, cat: Member
) -> None:
    for member in (ann, bob, cat):
        say(member, task, "a")
    assert Resolution.objects.count() == 1


def test_nobody_can_choose_is_agreed_on_with_the_commonest_reason(
    task: Task, ann: Member, bob: Member
) -> None:
    say(ann, task, "unk:no_context")
    say(bob, task, "unk:bad_data")
    assert stands(task) == ("resolved", "unk", "agreement")
    assert Resolution.objects.get().unk_reason == "no_context"


def test_a_call_for_an_expert_goes_to_the_expert_at_once(task: Task, ann: Member) -> None:
    say(ann, task, "unk:needs_expert")
    assert stands(task)[0] == "disputed"


def test_several_labels_agree_whatever_their_order(
    task: Task, project: Project, ann: Member, bob: Member
) -> None:
    a, b = label_of(project, "a"), label_of(project, "b")
    say(ann, task, "conf", conf_labels=[a, b])
    say(bob, task, "conf", conf_labels=[b, a])
    assert stands(task) == ("resolved", "conf", "agreement")
    assert set(Resolution.objects.get().conf_labels.all()) == {a, b}


def test_a_yes_resolves_to_the_asked_label(project: Project, ann: Member, bob: Member) -> None:
    b = label_of(project, "b")
    task = deferred(project, question="binary", asked_label=b)
    for member in (ann, bob):
        say(member, task, "yes", asked_label=b)
    assert stands(task) == ("resolved", "b", "agreement")


def test_an_agreed_no_asks_everybody_which_label_holds(
    project: Project, ann: Member, bob: Member
) -> None:
    b = label_of(project, "b")
    task = deferred(project, question="binary", asked_label=b)
    say(ann, task, "no", asked_label=b)
    assert "all labels" in say(bob, task, "no", asked_label=b).note
    assert stands(task) == ("deferred", "", "")
    assert (task.question, task.asked_label) == ("multiclass", None)
    lease = next_task(member=ann)
    assert lease is not None
    assert lease.visible["rejected"] == [b.pk]


def test_undoing_an_agreed_no_asks_the_first_question_again(
    project: Project, ann: Member, bob: Member
) -> None:
    b = label_of(project, "b")
    task = deferred(project, question="binary", asked_label=b)
    say(ann, task, "no", asked_label=b)
    say(bob, task, "no", asked_label=b)
    undo(member=bob)
    task.refresh_from_db()
    assert (task.question, task.asked_label) == ("binary", b)


def refusals(project: Project) -> list[tuple[dict[str, object], str]]:
    foreign = label_of(make_project("other", labels=["x", "y"]), "x")
    a = label_of(project, "a")
    return [
        ({"answer": "label", "label": None}, "Choose a label"),
        ({"answer": "label", "label": foreign}, "not a label of this project"),
        ({"answer": "unk", "unk_reason": ""}, "four reasons"),
        ({"answer": "unk", "unk_reason": "tired"}, "four reasons"),
        ({"answer": "conf", "conf_labels": [a, a]}, "two labels or more"),
        ({"answer": "yes"}, "is one of"),
        ({"answer": "label", "label": a, "asked_label": a}, "is one of"),
        ({"answer": "label", "label": a, "purpose": "gold"}, "not given here"),
        ({"answer": "label", "label": a, "purpose": "audit"}, "waits for your answer"),
    ]


def test_wrong_answers_are_refused_in_words(task: Task, project: Project, ann: Member) -> None:
    for choice, words in refusals(project):
        with pytest.raises(ActionRefused, match=words):
            say(ann, task, "a", **choice)
    assert Annotation.objects.count() == 0


def test_several_labels_are_refused_where_the_project_wants_one(task: Task, ann: Member) -> None:
    task.project.allow_conf = False
    labels = list(task.project.labels.all()[:2])
    with pytest.raises(ActionRefused, match="one label"):
        say(ann, task, "conf", conf_labels=labels)


def test_an_answer_to_a_text_that_changed_is_a_conflict(task: Task, ann: Member) -> None:
    Task.objects.update(revision=2)
    with pytest.raises(Conflict, match="changed while you read"):
        say(ann, task, "a", revision=1)


def test_an_answer_after_an_expert_settled_is_kept_and_says_so(
    task: Task, ann: Member, bob: Member, eve: Member
) -> None:
    say(ann, task, "a")
    resolve(task=task, source="override", by=eve, label=label_of(task.project, "c"))
    outcome = say(bob, task, "a")
    assert "settled meanwhile" in outcome.note
    assert outcome.annotation.current
    assert stands(task) == ("resolved", "c", "override")


def test_people_who_agree_replace_an_imported_label(task: Task, ann: Member, bob: Member) -> None:
    resolve(task=task, source="imported", by="import", label=label_of(task.project, "c"))
    assert "settled meanwhile" in say(ann, task, "a").note
    assert stands(task) == ("resolved", "c", "imported")
    say(bob, task, "a")
    assert stands(task) == ("resolved", "a", "agreement")


def test_undo_takes_the_answer_back_and_gives_the_task_again(
    project: Project, task: Task, ann: Member, bob: Member
) -> None:
    say(bob, task, "a")
    say(ann, task, "a", visible={"revision": 1, "question": "multiclass", "asked_label": None})
    following = deferred(project)
    assert next_task(member=ann).task == following  # type: ignore[union-attr]
    assert undo(member=ann).task == task
    assert stands(task) == ("deferred", "", "")
    assert next_task(member=ann).task == task  # type: ignore[union-attr]
    say(ann, task, "b")
    assert next_task(member=ann).task == following  # type: ignore[union-attr]


def test_undo_goes_back_ten_answers_and_no_further(project: Project, ann: Member) -> None:
    tasks = [deferred(project) for _ in range(12)]
    for one in tasks:
        say(ann, one, "a")
    assert [undo(member=ann).task for _ in range(10)] == tasks[:1:-1]
    with pytest.raises(ActionRefused, match="no answer of yours"):
        undo(member=ann)


def test_undo_leaves_what_an_expert_settled(task: Task, ann: Member, eve: Member) -> None:
    say(ann, task, "a")
    resolve(task=task, source="override", by=eve, label=label_of(task.project, "c"))
    with pytest.raises(ActionRefused, match="settled meanwhile"):
        undo(member=ann)
    assert Annotation.objects.get().current


def test_an_audit_answer_is_stored_and_changes_no_resolution(
    project: Project, eve: Member, ann: Member
) -> None:
    draw = audited(project)
    before = stands(draw.task)
    outcome = say(eve, draw.task, "c", purpose="audit")
    assert outcome.standing is None
    assert AuditDraw.objects.get().answered_at is not None
    assert stands(draw.task) == before
    fay = make_member(project, "expert", "fay")
    with pytest.raises(Conflict, match="Somebody else"):
        say(fay, draw.task, "a", purpose="audit")
    undo(member=eve)
    assert AuditDraw.objects.get().answered_at is None
    assert next_task(member=eve).task == draw.task  # type: ignore[union-attr]


def test_an_expert_settles_a_dispute_once(task: Task, ann: Member, eve: Member) -> None:
    say(ann, task, "unk:needs_expert")
    answer = {"answer": "label", "label": label_of(task.project, "b"), "visible": {}}
    client_id = uuid.uuid4()
    adjudicate(member=eve, task=task, client_id=client_id, **answer)  # type: ignore[arg-type]
    assert stands(task) == ("resolved", "b", "adjudicated")
    again = adjudicate(member=eve, task=task, client_id=client_id, **answer)  # type: ignore[arg-type]
    assert again.repeated
    with pytest.raises(Conflict, match="disputed no more"):
        adjudicate(member=eve, task=task, client_id=uuid.uuid4(), **answer)  # type: ignore[arg-type]
    with pytest.raises(ActionRefused, match="do not review"):
        adjudicate(member=ann, task=task, client_id=uuid.uuid4(), **answer)  # type: ignore[arg-type]


def test_history_holds_ids_and_no_texts(task: Task, ann: Member) -> None:
    say(ann, task, "a", comment="my secret remark")
    event = Event.objects.get(verb="answered")
    assert event.new == {
        "annotation": Annotation.objects.get().pk,
        "purpose": "label",
        "answer": "label",
    }
