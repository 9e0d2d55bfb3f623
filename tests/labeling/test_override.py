"""Experts settle disputes side by side, override labels that stand, and tell who said otherwise."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from labeling.actions.adjudicate import adjudicate
from labeling.actions.disputes import UNK, confused_pairs, with_pair
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.lease import next_task
from labeling.actions.override import override
from labeling.models import (
    Annotation,
    AuditObservation,
    Event,
    Member,
    Note,
    Project,
    Resolution,
    Task,
)
from tests.labeling.builders import (
    label_of,
    make_annotation,
    make_benchmark_item,
    make_member,
    make_project,
)
from tests.labeling.cast import deferred, say
from tests.labeling.test_lease import audited
from tests.labeling.test_pages import LABELS, assisted, client_of, fields, page
from tests.labeling.test_task_pages import accepted, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project("heron", LABELS, blind_share=0.0, answers_needed=2, answers_at_most=2)


@pytest.fixture
def eve(project: Project) -> Member:
    return make_member(project, "expert", "eve")


@pytest.fixture
def people(project: Project) -> list[Member]:
    return [make_member(project, username=name) for name in ("ann", "ben")]


def settled(member: Member, task: Task, name: str, **more: Any) -> dict[str, Any]:
    given = {"label": label_of(task.project, name), "answer": "label", "visible": {}}
    return {"member": member, "task": task, "client_id": uuid.uuid4(), **given, **more}


def standing(task: Task) -> Resolution:
    return Resolution.objects.current().get(task=task)


def disputed(project: Project, people: list[Member], *names: str, **fields: Any) -> Task:
    task = deferred(project, **fields)
    for member, name in zip(people, names, strict=True):
        say(member, task, name)
    task.refresh_from_db()
    assert task.status == "disputed"
    return task


def test_an_override_takes_the_place_of_what_a_machine_accepted(
    project: Project, eve: Member
) -> None:
    task = accepted(project, "Charged twice")
    override(**settled(eve, task, "Change plan", comment="They ask for another plan."))
    assert standing(task).source == "override"
    assert standing(task).label == label_of(project, "Change plan")
    kept = Annotation.objects.get()
    assert kept.comment == "They ask for another plan."
    old = Resolution.objects.get(source="auto")
    assert old.withdrawn_reason == "replaced by override"
    verbs = Event.objects.filter(object_id=task.pk, object_type="task").values_list("verb", "actor")
    assert ("task_resolved", eve.name) in set(verbs)
    story = text_of(page(eve, f"/p/heron/tasks/{task.pk}/"))
    assert (
        "Now stands: “Change plan” (override by an expert), in place of “Charged twice”." in story
    )
    assert "They ask for another plan." in story


def test_an_override_never_enters_the_monitor_and_the_audit_is_answered_all_the_same(
    project: Project, eve: Member
) -> None:
    from labeling.actions.resolve import resolve

    draw = audited(project, "Charged twice")
    resolve(task=draw.task, source="auto", by="x", label=draw.label, decision=draw.decision)
    override(**settled(eve, draw.task, "Change plan", comment="wrong"))
    draw.refresh_from_db()
    assert draw.answered_at is None
    assert not AuditObservation.objects.exists()
    fay = make_member(project, "expert", "fay")
    say(fay, draw.task, "Charged twice", purpose="audit", visible={"blind": True})
    assert AuditObservation.objects.get().wrong is False
    assert standing(draw.task).source == "override"


def test_an_override_wants_a_reason_a_label_that_stands_and_the_right(
    project: Project, eve: Member, people: list[Member]
) -> None:
    task = accepted(project)
    with pytest.raises(ActionRefused, match="needs a reason"):
        override(**settled(eve, task, "Change plan", comment="  "))
    with pytest.raises(ActionRefused, match="do not review"):
        override(**settled(people[0], task, "Change plan", comment="why"))
    with pytest.raises(Conflict, match="nothing to override"):
        override(**settled(eve, deferred(project), "Change plan", comment="why"))
    with pytest.raises(Conflict, match="text changed"):
        override(**settled(eve, task, "Change plan", comment="why", revision=7))
    make_benchmark_item(task)
    with pytest.raises(ActionRefused, match="benchmark"):
        override(**settled(eve, task, "Change plan", comment="why"))
    assert standing(task).source == "auto"


def test_what_an_expert_has_in_hand_blind_is_not_overridden(project: Project, eve: Member) -> None:
    from labeling.actions.resolve import resolve

    draw = audited(project, "Charged twice")
    resolve(task=draw.task, source="auto", by="x", label=draw.label, decision=draw.decision)
    assert next_task(member=eve) is not None
    with pytest.raises(ActionRefused, match="label it blind"):
        override(**settled(eve, draw.task, "Change plan", comment="why"))
    page(eve, f"/p/heron/tasks/{draw.task_id}/override/", 404)


def test_sending_an_override_again_changes_nothing(project: Project, eve: Member) -> None:
    task = accepted(project)
    sent = settled(eve, task, "Change plan", comment="why")
    override(**sent)
    assert override(**sent).repeated
    assert Annotation.objects.count() == 1


def test_an_expert_overrides_on_the_page(project: Project, eve: Member) -> None:
    task = accepted(project, text="twice from my account")
    client = client_of(eve)
    path = f"/p/heron/tasks/{task.pk}/override/"
    html = client.get(path).content.decode()
    assert "“Charged twice” stands" in html
    choice = f"label:{label_of(project, 'Change plan').pk}"
    sent = fields(html) | {"choice": choice, "note_back": "said"}
    refused = client.post(path, sent)
    assert refused.status_code == 422
    assert "needs a reason" in refused.content.decode()
    assert "said" in refused.content.decode()
    assert client.post(path, sent | {"comment": "why"}).status_code == 302
    assert standing(task).source == "override"
    for role, status in (("regular", 403), ("admin", 200)):
        page(make_member(project, role), path, status)


def test_who_said_otherwise_is_told_why(
    project: Project, eve: Member, people: list[Member]
) -> None:
    task = disputed(project, people, "Change plan", "Charged twice")
    adjudicate(**settled(eve, task, "Change plan", note_back="Two charges are named only once."))
    note = Note.objects.get()
    assert note.member.name == "ben"
    assert note.by == eve


def test_a_yes_or_no_is_told_only_where_it_contradicts(project: Project, eve: Member) -> None:
    label, other = label_of(project, "Charged twice"), label_of(project, "Change plan")
    task = accepted(project, "Charged twice")
    said = (("yes", label), ("no", label), ("yes", other), ("no", other))
    for answer, asked in said:
        member = make_member(project, username=f"{answer}-{asked.pk}")
        make_annotation(task, member, None, question="binary", asked_label=asked, answer=answer)
    override(**settled(eve, task, "Charged twice", comment="right", note_back="why"))
    told = {note.member.name for note in Note.objects.all()}
    assert told == {f"no-{label.pk}", f"yes-{other.pk}"}


def test_pairs_are_counted_by_task_and_filter_the_disputes(
    project: Project, eve: Member, people: list[Member]
) -> None:
    one = disputed(project, people, "Change plan", "Charged twice")
    two = disputed(project, people, "Charged twice", "Change plan")
    three = disputed(project, people, "Change plan", "unk:none_fits", text="the third")
    plan, twice = (label_of(project, name).pk for name in ("Change plan", "Charged twice"))
    pairs = confused_pairs(Task.objects.filter(status="disputed"))
    low, high = sorted((plan, twice))
    assert [(pair.one, pair.other, pair.count) for pair in pairs] == [
        (low, high, 2),
        (UNK, plan, 1),
    ]
    waiting = Task.objects.filter(status="disputed")
    assert set(with_pair(waiting, low, high)) == {one, two}
    assert set(with_pair(waiting, UNK, plan)) == {three}
    html = page(eve, f"/p/heron/adjudicate/?pair=0-{plan}")
    assert "the third" in html
    assert "1 waits" in html
    assert page(eve, "/p/heron/adjudicate/?pair=x-1&task=zz")


def test_the_sides_stand_beside_each_other_with_verdicts_and_keys(
    project: Project, eve: Member, people: list[Member]
) -> None:
    task = assisted(project)
    say(people[0], task, "SIM not seen", comment="No card is found.")
    say(people[1], task, "unk:no_context")
    html = page(eve, "/p/heron/adjudicate/")
    sides = html[html.index('<section class="sides"') :].split("</section>")[0]
    assert "SIM not seen" in sides
    assert "No card is found." in sides
    assert "llama-judge" in sides
    assert "61%" in sides
    assert "<kbd>u</kbd>" in sides


def test_after_settling_the_next_of_the_same_pair_comes(
    project: Project, eve: Member, people: list[Member]
) -> None:
    for _ in range(2):
        disputed(project, people, "Change plan", "Charged twice")
    plan, twice = sorted(label_of(project, name).pk for name in ("Change plan", "Charged twice"))
    client = client_of(eve)
    path = f"/p/heron/adjudicate/?pair={plan}-{twice}"
    html = client.get(path).content.decode()
    sent = fields(html) | {"choice": f"label:{plan}", "note_back": "so it is"}
    response = client.post(path, sent)
    assert response.status_code == 302
    assert response["Location"] == path
    assert Note.objects.count() == 1
    assert "1 waits" in client.get(path).content.decode()
