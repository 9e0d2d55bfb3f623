"""A cascade is tuned stage by stage: the cheapest first, each as right as the target asks."""

from __future__ import annotations

from typing import Any

import pytest

from labeling.actions.policy import fit_policy, measure
from labeling.actions.tuning import by_cost, stages_in_words
from labeling.models import Decision, Policy, Ranking, Validator, Verdict
from tests.labeling.builders import label_of, make_benchmark_item
from tests.labeling.scenes import Scene, make_scene

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    """Of two validators the second is the cheaper."""
    return make_scene(validators=2)


def sure(label: str, share: float) -> dict[str, float]:
    return {label: share, "unk": 1.0 - share}


def reference(scene: Scene, right: str, first: float, *said: Any) -> None:
    """A benchmark task of *tune*; the classifier gives “a” the probability `first`."""
    task = scene.task(*said)
    ranking = Ranking.objects.get(task=task)
    ranking.candidates[0][1] = first
    ranking.save()
    make_benchmark_item(
        task, "tune", reference="label", reference_label=label_of(scene.project, right)
    )


def fill(scene: Scene) -> None:
    """Thirty that the classifier knows, thirty that the cheap validator knows, thirty that only
    both together know; where one is unsure it is also wrong half of the time."""
    for _ in range(30):
        reference(scene, "a", 0.99, sure("a", 0.9), sure("a", 0.9))
    for n in range(30):
        right = "ab"[n % 2]
        reference(scene, right, 0.5, sure(right, 0.6), sure(right, 0.95))
    for n in range(30):
        right, wrong = "ab" if n % 2 else "ba"
        cheap = sure(wrong, 0.55) if n % 4 < 2 else sure(right, 0.55)
        reference(scene, right, 0.5, sure(right, 0.98), cheap)
    dear, cheap_one = scene.validators
    Validator.objects.filter(pk=dear.pk).update(price_input=9.0)
    Verdict.objects.filter(validator=dear).update(tokens=100, latency_ms=1.0)
    Verdict.objects.filter(validator=cheap_one).update(tokens=100, latency_ms=50.0)


def fitted(scene: Scene, target: float = 1.0) -> Policy:
    return fit_policy(
        project=scene.project,
        configuration=scene.configuration,
        target=target,
        by="test",
        cascade=True,
    )


def test_stages_are_tuned_in_order_of_cost(scene: Scene) -> None:
    fill(scene)
    policy = fitted(scene)
    cheap = scene.validators[1].pk
    assert policy.rule["stages"] == [
        {"validators": [], "threshold": {"multiclass": pytest.approx(0.99)}},
        {"validators": [cheap], "threshold": {"multiclass": pytest.approx(0.95)}},
    ]
    assert set(policy.rule["validators"]) == {one.pk for one in scene.validators}
    first, second = policy.evidence["stages"]
    assert (first["reached"], first["settled"]) == (90, 30)
    assert (second["reached"], second["settled"]) == (60, 30)
    assert policy.evidence["left_to_all"] == 30
    found = measure(policy, ["tune"])
    assert (found.accuracy.value, found.coverage.value) == (1.0, 1.0)
    words = stages_in_words(policy)
    assert "classifier alone: settles 30 of 90" in words[0]
    assert f"{scene.validators[1].name}: settles 30 of 60" in words[1]
    assert "for the other 30" in words[2]


def test_a_stage_that_settles_little_is_left_out(scene: Scene) -> None:
    fill(scene)
    Ranking.objects.update(
        candidates=[[label.pk, 0.5, 0.5] for label in scene.project.labels.order_by("pk")]
    )
    policy = fitted(scene)
    assert [stage["validators"] for stage in policy.rule["stages"]] == [[scene.validators[1].pk]]


def test_without_a_cascade_there_are_no_stages(scene: Scene) -> None:
    fill(scene)
    policy = fit_policy(
        project=scene.project, configuration=scene.configuration, target=1.0, by="test"
    )
    assert "stages" not in policy.rule
    assert stages_in_words(policy) == []


def test_money_goes_before_time_and_time_before_number(scene: Scene) -> None:
    fill(scene)
    from labeling.actions.scored import scored_items

    rows, _unscored = scored_items(scene.configuration, ["tune"])
    dear, cheap = (one.pk for one in scene.validators)
    assert by_cost([dear, cheap], rows) == [cheap, dear]
    Validator.objects.update(price_input=None)
    assert by_cost([cheap, dear], rows) == [dear, cheap]
    Verdict.objects.update(latency_ms=5.0)
    rows, _unscored = scored_items(scene.configuration, ["tune"])
    assert by_cost([cheap, dear], rows) == sorted([cheap, dear])


def test_a_decision_says_which_stage_settled_it(scene: Scene) -> None:
    fill(scene)
    Policy.objects.filter(pk=fitted(scene).pk).update(status="active")
    early = scene.task(None, sure("a", 0.96))
    late = scene.task(sure("a", 0.99), sure("a", 0.6))
    unsure = scene.task(sure("a", 0.4), sure("a", 0.4))
    scene.decide(early, late, unsure)
    assert [scene.live(task).stage for task in (early, late, unsure)] == [1, 2, None]
    assert Decision.objects.filter(task=early, outcome="accept").exists()


def test_the_classifier_alone_never_says_no() -> None:
    scene = make_scene("binary", validators=1)
    for n in range(40):
        right = "a" if n < 25 else "b"
        holds = right == "a"
        reference(
            scene, right, 0.9 if holds else 0.1, {"yes": float(holds), "no": float(not holds)}
        )
    policy = fitted(scene)
    [alone] = policy.rule["stages"]
    assert alone == {"validators": [], "threshold": {"yes": pytest.approx(0.9)}}
    assert policy.rule["threshold"]["no"] == 1.0
