"""Counting confidence: exact at every threshold, and the same as asking task by task."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.actions.opinion import gather, opinion
from labeling.actions.tally import scoring_of, tally_run, tally_runs, uncounted
from labeling.models import Outcome, Policy, Run, Tally
from labeling.statistics import tally
from tests.labeling.builders import make_benchmark_item
from tests.labeling.scenes import Scene, make_scene

shares = st.floats(0.0, 1.0)


@given(st.lists(shares, max_size=40), st.integers(0, tally.STEPS))
def test_counts_say_exactly_how_many_reach_a_threshold_of_the_grid(
    confidence: list[float], step: int
) -> None:
    counts = tally.count(np.zeros(len(confidence), np.intp), tally.steps_of(confidence), n_groups=1)
    reached = sum(one >= tally.GRID[step] for one in confidence)
    assert tally.at_least(counts)[0, step] == reached


def test_packed_counts_come_back_as_they_were() -> None:
    counts = tally.count(np.array([0, 1, 1]), tally.steps_of([0.2, 0.9, 1.0]), n_groups=2)
    assert (tally.unpack(tally.pack(counts)) == counts).all()


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_what_is_no_confidence_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        tally.steps_of([0.5, wrong])


def test_bytes_that_are_no_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="no packed counts"):
        tally.unpack(b"something else")


@pytest.fixture
def scene(db: None) -> Scene:
    return make_scene()


def some_tasks(scene: Scene) -> None:
    for one, other in ((0.91, 0.8), (0.4, 0.7), (0.95, 0.99), (0.5, 0.52)):
        said = [{"a": one, "b": 1 - one}, {"a": other, "b": 1 - other}]
        scene.task(*said)
    scene.task({"unk": 0.9, "a": 0.1}, {"unk": 0.8, "a": 0.2})
    scene.task({"a": 1.0}, "the server was away")


@pytest.mark.django_db
def test_a_tally_agrees_with_the_policy_at_every_threshold(scene: Scene) -> None:
    some_tasks(scene)
    policy = scene.policy("draft", multiclass=0.5)
    made = tally_run(run=scene.run, policy=policy)
    reached = tally.at_least(tally.unpack(made.counts))
    evidence = gather(scene.run, list(scene.run.plan_rows.values_list("task_id", flat=True)))
    for step in (0, 400, 520, 550, 855, 856, 970, 971, 1000):
        rule = {**policy.rule, "threshold": {"multiclass": float(tally.GRID[step])}}
        trial = Policy(rule=rule)
        by_label = {label: 0 for _side, label in made.groups}
        for one in evidence.values():
            found = opinion(trial, one, question="multiclass")
            if found.outcome == Outcome.ACCEPT:
                assert found.label_id is not None
                by_label[found.label_id] += 1
        counted = {
            label: int(row[step]) for (_s, label), row in zip(made.groups, reached, strict=True)
        }
        assert counted == by_label


@pytest.mark.django_db
def test_what_no_threshold_accepts_is_counted_by_reason(scene: Scene) -> None:
    some_tasks(scene)
    made = tally_run(run=scene.run, policy=scene.policy("draft", multiclass=0.5))
    assert made.never == {"unk": 1, "validator_failed": 1}
    assert made.tasks == 6


@pytest.mark.django_db
def test_what_an_earlier_stage_takes_is_taken_at_whatever_threshold(scene: Scene) -> None:
    scene.task({"a": 0.99, "b": 0.01}, None)
    scene.task({"a": 0.6, "b": 0.4}, {"a": 0.8, "b": 0.2})
    policy = scene.policy("draft", multiclass=0.9)
    first = {"validators": [scene.validators[0].pk], "threshold": {"multiclass": 0.95}}
    cascade = Policy(
        project=scene.project,
        configuration=scene.configuration,
        rule={**policy.rule, "stages": [first]},
    )
    counts = tally.unpack(tally_run(run=scene.run, policy=cascade).counts)
    reached = tally.at_least(counts)[0]
    assert [int(reached[step]) for step in (0, 700, 701, 1000, tally.ALWAYS)] == [2, 2, 1, 1, 1]


@pytest.mark.django_db
def test_both_sides_of_a_binary_question_are_counted() -> None:
    scene = make_scene("binary")
    scene.task({"yes": 0.9, "no": 0.1}, {"yes": 0.8, "no": 0.2})
    scene.task({"yes": 0.1, "no": 0.9}, {"yes": 0.3, "no": 0.7})
    made = tally_run(run=scene.run, policy=scene.policy("draft", yes=0.9, no=None))
    assert sorted(side for side, _label in made.groups) == ["accept", "reject"]
    assert made.never == {}


@pytest.mark.django_db
def test_benchmark_tasks_are_not_counted(scene: Scene) -> None:
    task = scene.task({"a": 1.0}, {"a": 1.0})
    make_benchmark_item(task)
    assert tally_run(run=scene.run, policy=scene.policy("draft", multiclass=0.5)).tasks == 0


@pytest.mark.django_db
def test_completed_runs_are_counted_once_for_all_thresholds(scene: Scene) -> None:
    some_tasks(scene)
    policy = scene.policy("draft", multiclass=0.5)
    assert tally_runs(policy) == 0, "the run is still open"
    Run.objects.filter(pk=scene.run.pk).update(
        status=Run.Status.COMPLETED, completed_at=scene.run.created_at
    )
    assert tally_runs(policy) == 1
    stricter = scene.policy("draft", multiclass=0.9)
    assert not uncounted(stricter).exists()
    assert Tally.objects.count() == 1


def test_a_scoring_is_everything_but_thresholds() -> None:
    rule = {"pool": "mean", "validators": [1, 2], "threshold": {"multiclass": 0.5}}
    assert scoring_of(rule) == scoring_of({**rule, "threshold": {"multiclass": 0.9}})
    assert scoring_of(rule) != scoring_of({**rule, "validators": [1]})
