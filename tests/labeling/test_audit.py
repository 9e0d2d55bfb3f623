"""Audits: who answers them, what an answer is worth, and what it changes."""

from __future__ import annotations

import datetime
import random
import threading
import uuid
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.utils import timezone

from labeling.actions.annotate import undo
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.lease import next_task
from labeling.actions.resolve import resolve
from labeling.models import (
    Annotation,
    AuditDraw,
    AuditObservation,
    Event,
    Member,
    Policy,
    Project,
    Resolution,
)
from tests.labeling.builders import (
    label_of,
    make_decision,
    make_member,
    make_policy,
    make_project,
    make_run,
    make_task,
)
from tests.labeling.cast import deferred, say
from tests.labeling.scenes import make_scene

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project(labels=["a", "b", "c"], allow_conf=True)


@pytest.fixture
def ann(project: Project) -> Member:
    return make_member(project, username="ann")


@pytest.fixture
def eve(project: Project) -> Member:
    return make_member(project, "expert", "eve")


def accepted(
    project: Project, policy: Policy | None = None, name: str = "a", **draw: Any
) -> AuditDraw:
    """A task that a policy accepted as `name`, drawn for audit."""
    task = make_task(project, status="resolved")
    policy = policy or make_policy(project)
    decision = make_decision(task, make_run(project), label_of(project, name), policy=policy)
    Resolution.objects.create(
        task=task, revision=1, label=decision.label, source="auto", decision=decision
    )
    fields = {"probability": 0.5, "seed": uuid.uuid4().hex} | draw
    return AuditDraw.objects.create(
        decision=decision,
        task=task,
        revision=1,
        label=label_of(project, name),
        policy=policy,
        **fields,
    )


def audit(member: Member, draw: AuditDraw, what: str, **more: Any) -> Annotation:
    annotation = say(member, draw.task, what, purpose="audit", **more).annotation
    draw.refresh_from_db()
    return annotation


def stands(draw: AuditDraw) -> tuple[str, str]:
    found = Resolution.objects.current().select_related("label").get(task=draw.task)
    return str(found.label or found.outcome), found.source


def observed(draw: AuditDraw) -> AuditObservation:
    return draw.observations.get(current=True)


def test_an_experts_agreement_is_observed_and_leaves_the_label(
    project: Project, eve: Member
) -> None:
    draw = accepted(project)
    audit(eve, draw, "a")
    seen = observed(draw)
    assert (seen.wrong, seen.probability, seen.label, seen.policy) == (
        False,
        1.0,
        draw.label,
        draw.policy,
    )
    assert draw.answered_at is not None
    assert stands(draw) == ("a", "auto")


def test_an_expert_who_contradicts_the_machine_corrects_the_label(
    project: Project, eve: Member
) -> None:
    draw = accepted(project)
    audit(eve, draw, "b")
    assert observed(draw).wrong
    assert stands(draw) == ("b", "audit")
    assert Event.objects.filter(verb="task_resolved", object_id=draw.task_id).exists()


@pytest.mark.parametrize(
    ("answer", "names", "wrong", "result"),
    [
        ("unk:none_fits", (), True, ("unk", "audit")),
        ("conf", ("a", "b"), False, ("a", "auto")),
        ("conf", ("b", "c"), True, ("conf", "audit")),
    ],
)
def test_nobody_can_choose_is_an_error_and_several_fit_unless_among_them(
    project: Project, eve: Member, answer: str, names: tuple[str, ...], wrong: bool, result: Any
) -> None:
    draw = accepted(project)
    audit(eve, draw, answer, conf_labels=[label_of(project, name) for name in names])
    assert observed(draw).wrong is wrong
    assert stands(draw) == result


def test_the_observation_is_of_what_the_machine_said_whatever_stands_by_now(
    project: Project, eve: Member
) -> None:
    admin = make_member(project, "admin")
    draw = accepted(project)
    resolve(task=draw.task, source="override", by=admin, label=label_of(project, "b"))
    assert AuditObservation.objects.count() == 0  # an override is no observation
    audit(eve, draw, "b")
    assert observed(draw).wrong
    assert stands(draw) == ("b", "override")


def test_a_changed_answer_keeps_its_place_and_changes_what_stands(
    project: Project, eve: Member
) -> None:
    draw = accepted(project)
    audit(eve, draw, "b")
    first = observed(draw)
    audit(eve, draw, "a")
    assert (observed(draw).wrong, observed(draw).observed_at) == (False, first.observed_at)
    assert stands(draw) == ("a", "auto")
    audit(eve, draw, "c")
    assert stands(draw) == ("c", "audit")
    assert draw.observations.filter(current=True).count() == 1


def test_an_answer_taken_back_leaves_all_as_it_was(project: Project, eve: Member) -> None:
    draw = accepted(project)
    audit(eve, draw, "b")
    undo(member=eve)
    draw.refresh_from_db()
    assert draw.answered_at is None
    assert not draw.observations.filter(current=True).exists()
    assert stands(draw) == ("a", "auto")
    assert next_task(member=eve).purpose == "audit"  # type: ignore[union-attr]
    audit(eve, draw, "a")
    assert observed(draw).wrong is False


def test_an_answer_sent_twice_is_observed_once(project: Project, eve: Member) -> None:
    draw, key = accepted(project), uuid.uuid4()
    audit(eve, draw, "b", client_id=key)
    audit(eve, draw, "a", client_id=key)
    assert draw.observations.count() == 1
    assert stands(draw) == ("b", "audit")


def test_an_answered_audit_takes_no_second_person(project: Project, eve: Member) -> None:
    draw = accepted(project)
    audit(eve, draw, "a")
    with pytest.raises(Conflict, match="Somebody else"):
        audit(make_member(project, "expert"), draw, "b")
    with pytest.raises(ActionRefused, match="which label holds"):
        audit(eve, draw, "yes", asked_label=draw.label)


def test_where_experts_answer_at_once_regular_annotators_get_none(
    project: Project, ann: Member
) -> None:
    draw = accepted(project)
    assert next_task(member=ann) is None
    with pytest.raises(Conflict, match="waits for your answer"):
        audit(ann, draw, "a")


SEEN, UNSEEN = "3" * 32, "5" * 32
"""Seeds by which an expert looks at an agreement (of a fifth of them), and does not."""


def test_a_regulars_disagreement_always_goes_to_an_expert(
    project: Project, ann: Member, eve: Member
) -> None:
    draw = accepted(project, seed=UNSEEN, check_probability=0.2)
    assert next_task(member=eve) is None
    lease = next_task(member=ann)
    assert lease is not None
    assert (lease.purpose, lease.visible["blind"]) == ("audit", True)
    audit(ann, draw, "b")
    assert (draw.answered_at, draw.observations.count()) == (None, 0)
    assert stands(draw) == ("a", "auto")
    assert next_task(member=eve).task == draw.task  # type: ignore[union-attr]
    audit(eve, draw, "b")
    assert (observed(draw).wrong, observed(draw).probability) == (True, 1.0)


def test_of_a_regulars_agreements_a_random_share_goes_to_an_expert(
    project: Project, ann: Member, eve: Member
) -> None:
    seen = accepted(project, seed=SEEN, check_probability=0.2)
    unseen = accepted(project, seed=UNSEEN, check_probability=0.2)
    audit(ann, seen, "a")
    audit(ann, unseen, "a")
    assert seen.answered_at is None
    assert unseen.answered_at is not None
    assert unseen.observations.count() == 0
    assert next_task(member=eve).task == seen.task  # type: ignore[union-attr]
    audit(eve, seen, "b")
    assert (observed(seen).wrong, observed(seen).probability) == (True, 0.2)


def test_a_regulars_changed_mind_is_taken_while_no_expert_has_looked(
    project: Project, ann: Member, eve: Member
) -> None:
    draw = accepted(project, seed=UNSEEN, check_probability=0.2)
    audit(ann, draw, "a")
    audit(ann, draw, "b")
    assert draw.answered_at is None
    undo(member=ann)
    draw.refresh_from_db()
    assert (draw.first_answer, draw.answered_at) == (None, None)
    audit(ann, draw, "b")
    audit(eve, draw, "a")
    audit(ann, draw, "a")
    assert (observed(draw).wrong, observed(draw).probability) == (False, 1.0)


def test_what_waited_too_long_goes_to_an_expert_at_once(project: Project, eve: Member) -> None:
    draw = accepted(project, check_probability=0.2)
    assert next_task(member=eve) is None
    AuditDraw.objects.update(created_at=timezone.now() - datetime.timedelta(days=8))
    assert next_task(member=eve).task == draw.task  # type: ignore[union-attr]
    audit(eve, draw, "b")
    assert observed(draw).probability == 1.0


def test_weighted_observations_estimate_the_error_without_bias(
    project: Project, ann: Member, eve: Member
) -> None:
    """Regular annotators miss some errors and see some that are none; the estimate does not."""
    chance = random.Random(5)
    policy = make_policy(project)
    drawn = [
        accepted(project, policy, check_probability=0.5, seed=f"{chance.getrandbits(128):032x}")
        for _ in range(120)
    ]
    truth = []
    for draw in drawn:
        wrong = chance.random() < 0.3
        truth.append(wrong)
        fooled = chance.random() < 0.5
        audit(ann, draw, "a" if not wrong or fooled else "b")
        if draw.answered_at is None:
            audit(eve, draw, "b" if wrong else "a")
    seen = list(AuditObservation.objects.filter(current=True))
    weights = np.array([1 / one.probability for one in seen])
    errors = np.array([one.wrong for one in seen])
    # Each draw adds weight x error on average; what nobody checked adds nothing.
    estimate = (weights * errors).sum() / len(drawn)
    missed = np.mean([one.wrong for one in seen if one.probability == 1.0]) if seen else 0
    assert estimate == pytest.approx(np.mean(truth), abs=0.08)
    assert weights.sum() / len(drawn) == pytest.approx(1.0, abs=0.1)
    assert missed > 0.9  # disagreements alone would have said that nearly all is wrong


def test_the_share_that_experts_check_stays_for_the_life_of_a_policy() -> None:
    scene = make_scene()
    Project.objects.update(audit_share=1.0, audit_check_share=0.25)
    scene.project.refresh_from_db()
    scene.run.project = scene.project
    scene.policy(multiclass=0.5)
    first = scene.task({"a": 0.9, "unk": 0.1}, {"a": 0.9, "unk": 0.1})
    scene.decide(first)
    Project.objects.update(audit_check_share=1.0)
    second = scene.task({"a": 0.9, "unk": 0.1}, {"a": 0.9, "unk": 0.1})
    scene.decide(second)
    assert list(AuditDraw.objects.values_list("check_probability", flat=True)) == [0.25, 0.25]


@pytest.mark.embedded
@pytest.mark.django_db(transaction=True)
def test_two_experts_at_once_observe_a_draw_once() -> None:
    project = make_project(labels=["a", "b"])
    members = [make_member(project, "expert") for _ in range(3)]
    draw = accepted(project)
    refused: list[Exception] = []
    start = threading.Barrier(len(members))

    def work(member: Member) -> None:
        start.wait()
        try:
            say(member, draw.task, "b", purpose="audit")
        except Conflict as conflict:
            refused.append(conflict)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(member,)) for member in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 2
    assert AuditObservation.objects.count() == 1
    assert Resolution.objects.current().get(task=draw.task).source == "audit"


def test_other_answers_on_an_audited_task_are_no_observations(
    project: Project, ann: Member
) -> None:
    draw = accepted(project)
    say(ann, draw.task, "b")
    assert AuditObservation.objects.count() == 0
    assert next_task(member=make_member(project, "expert")) is not None
    assert deferred(project).audit_draws.count() == 0
