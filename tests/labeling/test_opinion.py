"""Opinions: pools, low mass and stages of a cascade, on verdicts written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from labeling.actions.opinion import Opinion, gather, opinion, to_ask
from labeling.models import DeferReason, Outcome, Policy, Task, Verdict
from tests.labeling.builders import label_of
from tests.labeling.scenes import Scene, make_scene

pytestmark = pytest.mark.django_db

SURE, UNSURE = {"a": 0.96, "b": 0.02, "unk": 0.02}, {"a": 0.5, "b": 0.4, "unk": 0.1}


@pytest.fixture
def scene() -> Scene:
    return make_scene(validators=3)


def rule(scene: Scene, *stages: tuple[list[int], float], **more: Any) -> Policy:
    """A rule over all validators that accepts from 0.9; stages name validators by place."""
    ids = [validator.pk for validator in scene.validators]
    content: dict[str, Any] = {"pool": "mean", "validators": ids, **more}
    content.setdefault("threshold", {"multiclass": 0.9})
    content["stages"] = [
        {"validators": [ids[place] for place in places], "threshold": {"multiclass": at}}
        for places, at in stages
    ]
    return Policy(rule=content)


def found(scene: Scene, policy: Policy, task: Task) -> Opinion:
    return opinion(policy, gather(scene.run, [task.pk])[task.pk], question=scene.question)


def asked(scene: Scene, policy: Policy, task: Task) -> set[int]:
    """Places of the validators that the policy would ask now."""
    evidence = gather(scene.run, [task.pk])[task.pk]
    wanted = to_ask(policy, evidence, question=scene.question)
    return {place for place, one in enumerate(scene.validators) if one.pk in wanted}


# --- Pools and mass -----------------------------------------------------------------------------


def test_weights_of_the_rule_decide_whom_to_believe(scene: Scene) -> None:
    task = scene.task(SURE, UNSURE, UNSURE)
    weights = {str(one.pk): w for one, w in zip(scene.validators, (0.98, 0.01, 0.01), strict=True)}
    assert found(scene, rule(scene), task).outcome == Outcome.DEFER
    weighted = found(scene, rule(scene, pool="linear", weights=weights), task)
    assert (weighted.outcome, weighted.label_id) == ("accept", label_of(scene.project, "a").pk)
    assert weighted.stage is None  # no cascade


def test_a_validator_that_wanted_to_say_something_else_leaves_the_task_to_people(
    scene: Scene,
) -> None:
    task = scene.task(SURE, SURE, SURE)
    Verdict.objects.filter(task=task, validator=scene.validators[1]).update(mass=0.3)
    assert found(scene, rule(scene), task).outcome == Outcome.ACCEPT  # without a least mass
    assert found(scene, rule(scene, least_mass=0.3), task).outcome == Outcome.ACCEPT
    low = found(scene, rule(scene, least_mass=0.31), task)
    assert (low.outcome, low.reason) == (Outcome.DEFER, DeferReason.LOW_MASS)
    assert low.label_id == label_of(scene.project, "a").pk
    assert scene.validators[1].name in low.detail
    assert "30.0%" in low.detail
    assert "31.0%" in low.detail


# --- Stages -------------------------------------------------------------------------------------


def test_the_first_stage_that_is_sure_decides(scene: Scene) -> None:
    policy = rule(scene, ([0], 0.95), ([1], 0.7))
    first = found(scene, policy, scene.task(SURE))
    assert (first.outcome, first.stage, first.confidence) == ("accept", 0, 0.96)
    second = found(scene, policy, scene.task(UNSURE, SURE))
    assert (second.outcome, second.stage) == ("accept", 1)
    assert second.confidence == pytest.approx(0.73)  # the mean of both that were asked
    sure = {"a": 0.99, "b": 0.01}
    modest = {"a": 0.8, "b": 0.2}
    last = found(scene, rule(scene, ([0], 0.95)), scene.task(modest, sure, sure))
    assert (last.outcome, last.stage) == ("accept", 1)


def test_verdicts_of_later_stages_do_not_change_an_earlier_one(scene: Scene) -> None:
    policy = rule(scene, ([0], 0.95))
    opposed = {"a": 0.0, "b": 1.0}
    task = scene.task(SURE, opposed, opposed)
    early = found(scene, policy, task)
    assert (early.outcome, early.label_id) == ("accept", label_of(scene.project, "a").pk)
    assert found(scene, rule(scene), task).outcome == Outcome.DEFER


def test_a_validator_that_was_not_asked_is_missed_only_where_its_stage_was_reached(
    scene: Scene,
) -> None:
    policy = rule(scene, ([0], 0.95))
    assert found(scene, policy, scene.task(SURE)).outcome == Outcome.ACCEPT
    missed = found(scene, policy, scene.task(UNSURE))
    assert (missed.outcome, missed.reason) == (Outcome.DEFER, DeferReason.NO_VERDICT)


def test_a_failure_in_an_early_stage_is_the_reason_in_the_end(scene: Scene) -> None:
    policy = rule(scene, ([0], 0.95))
    task = scene.task("The server is gone.")
    gone = found(scene, policy, task)
    assert (gone.outcome, gone.reason) == (Outcome.DEFER, DeferReason.VALIDATOR_FAILED)
    assert gone.detail == "The server is gone."
    assert asked(scene, policy, task) == set()  # the others could settle nothing


def test_the_classifier_may_accept_alone(scene: Scene) -> None:
    policy = rule(scene, ([], 0.8), ([0], 0.95))
    task = scene.task()
    ranking = task.rankings.get()
    ranking.candidates[0][1] = 0.85
    ranking.save()
    alone = found(scene, policy, task)
    assert (alone.outcome, alone.stage, alone.confidence) == ("accept", 0, 0.85)
    assert asked(scene, policy, task) == set()
    unsure = scene.task()  # its first candidate has 0.5
    assert found(scene, policy, unsure).outcome == Outcome.DEFER
    assert asked(scene, policy, unsure) == {0}


def test_a_rule_without_validators_never_accepts_on_the_classifier_alone(scene: Scene) -> None:
    empty = Policy(rule={"pool": "mean", "validators": [], "threshold": {"multiclass": 0.1}})
    assert found(scene, empty, scene.task()).reason == DeferReason.NO_VERDICT


def test_validators_are_asked_stage_by_stage_while_undecided(scene: Scene) -> None:
    policy = rule(scene, ([2], 0.95))
    task = scene.task()
    assert asked(scene, policy, task) == {2}
    scene.say(task, scene.validators[2], UNSURE, scene.run)
    assert asked(scene, policy, task) == {0, 1}
    scene.say(task, scene.validators[0], SURE, scene.run)
    assert asked(scene, policy, task) == {1}
    scene.say(task, scene.validators[1], SURE, scene.run)
    assert asked(scene, policy, task) == set()


def test_a_stage_with_low_mass_asks_on(scene: Scene) -> None:
    policy = rule(scene, ([0], 0.95), least_mass=0.5)
    task = scene.task(SURE)
    Verdict.objects.filter(task=task).update(mass=0.1)
    assert asked(scene, policy, task) == {1, 2}


def test_nobody_is_asked_about_a_script_that_settles_nothing(scene: Scene) -> None:
    policy = rule(scene, ([], 0.1), ([0], 0.95))
    task = scene.task(flagged_script=True)
    assert asked(scene, policy, task) == set()
    assert found(scene, policy, task).reason == DeferReason.SCRIPT


def test_a_binary_stage_may_accept_or_reject() -> None:
    scene = make_scene("binary", validators=2)
    policy = rule(scene, threshold={"yes": 0.99})
    first = scene.validators[0].pk
    policy.rule["stages"] = [{"validators": [first], "threshold": {"yes": 0.9, "no": 0.8}}]
    assert found(scene, policy, scene.task({"yes": 0.95, "no": 0.05})).outcome == Outcome.ACCEPT
    rejected = found(scene, policy, scene.task({"yes": 0.15, "no": 0.85}))
    assert (rejected.outcome, rejected.stage) == (Outcome.REJECT, 0)
    assert asked(scene, policy, scene.task({"yes": 0.6, "no": 0.4})) == {1}
