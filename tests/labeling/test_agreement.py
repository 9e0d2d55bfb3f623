"""Coefficients of agreement, against sklearn, statsmodels, crowd-kit and plain counting."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.statistics.agreement import (
    COEFFICIENTS,
    agreement,
    cohen,
    cohen_by_pair,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
    percent_agreement,
    value_of,
)
from labeling.statistics.bootstrap import over_tasks, ratio
from labeling.statistics.ratings import NothingToCompare, OneLabelOnly, Ratings, Row


def made(seed: int, *, tasks: int = 40, workers: int = 5, missing: float = 0.0) -> list[Row]:
    """Ratings of three labels and `unk` by workers who are right more often than not."""
    rng = np.random.default_rng(seed)
    labels = ["a", "b", "c", "unk"]
    rows: list[Row] = []
    for task in range(tasks):
        true = rng.choice(labels, p=[0.5, 0.3, 0.1, 0.1])
        for worker in range(workers):
            if rng.random() >= missing:
                said = true if rng.random() < 0.6 else rng.choice(labels)
                rows.append((task, f"w{worker}", str(said)))
    return rows


def pairs_of(rows: list[Row]) -> dict[object, list[tuple[object, object]]]:
    """All ordered pairs of labels of different workers, by task."""
    labels: dict[object, list[object]] = {}
    for task, _worker, label in rows:
        labels.setdefault(task, []).append(label)
    return {task: list(itertools.permutations(said, 2)) for task, said in labels.items()}


@pytest.mark.parametrize("seed", range(5))
def test_cohens_kappa_is_that_of_sklearn(seed: int) -> None:
    from sklearn.metrics import cohen_kappa_score

    rng = np.random.default_rng(seed)
    one = rng.integers(0, 4, 60)
    other = np.where(rng.random(60) < 0.5, one, rng.integers(0, 4, 60))
    assert cohen(one, other).value == pytest.approx(cohen_kappa_score(one, other), abs=1e-9)


def test_several_people_on_one_task_count_as_one_task_in_kappas_interval() -> None:
    """Five who always say the same leave the interval as wide as one of them alone."""
    rng = np.random.default_rng(0)
    one = rng.integers(0, 3, 60)
    other = np.where(rng.random(60) < 0.6, one, rng.integers(0, 3, 60))
    alone = cohen(one, other)
    crowd = cohen(one.repeat(5), other.repeat(5), groups=np.arange(60).repeat(5))
    assert (crowd.value, crowd.low, crowd.high, crowd.tasks) == pytest.approx(
        (alone.value, alone.low, alone.high, 60)
    )


@pytest.mark.parametrize("seed", range(5))
def test_fleiss_kappa_is_that_of_statsmodels_where_every_task_has_as_many_labels(seed: int) -> None:
    from statsmodels.stats.inter_rater import fleiss_kappa as theirs

    ratings = Ratings.of(made(seed))
    expected = theirs(ratings.counts(), method="fleiss")
    assert value_of(fleiss_kappa, ratings) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_krippendorffs_alpha_is_that_of_crowd_kit_with_missing_labels(seed: int) -> None:
    import pandas as pd
    from crowdkit.metrics.data import alpha_krippendorff

    rows = made(seed, missing=0.4)
    expected = alpha_krippendorff(pd.DataFrame(rows, columns=["task", "worker", "label"]))
    assert value_of(krippendorff_alpha, Ratings.of(rows)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_alpha_counts_pairs_as_krippendorff_writes_it(seed: int) -> None:
    """Each pair of labels of a task weighs 1 / (labels of the task - 1)."""
    rows = made(seed, missing=0.5)
    coincidence: Counter[tuple[object, object]] = Counter()
    for pairs in pairs_of(rows).values():
        given_labels = (1 + math.isqrt(1 + 4 * len(pairs))) // 2
        for pair in pairs:
            coincidence[pair] += 1 / (given_labels - 1)  # type: ignore[assignment]
    n = sum(coincidence.values())
    totals: Counter[object] = Counter()
    for (one, _other), weight in coincidence.items():
        totals[one] += weight
    observed = sum(weight for (one, other), weight in coincidence.items() if one != other)
    expected = sum(
        totals[one] * totals[other] for one, other in itertools.permutations(totals, 2)
    ) / (n - 1)
    alpha = value_of(krippendorff_alpha, Ratings.of(rows))
    assert alpha == pytest.approx(1 - observed / expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_ac1_is_gwets_formula_counted_by_hand(seed: int) -> None:
    rows = made(seed, missing=0.5)
    by_task: dict[object, Counter[object]] = {}
    for task, _worker, label in rows:
        by_task.setdefault(task, Counter())[label] += 1
    labels = {label for _task, _worker, label in rows}
    shares = {
        label: np.mean([said[label] / said.total() for said in by_task.values()])
        for label in labels
    }
    chance = sum(share * (1 - share) for share in shares.values()) / (len(labels) - 1)
    paired = [pairs for pairs in pairs_of(rows).values() if pairs]
    observed = np.mean([np.mean([one == other for one, other in pairs]) for pairs in paired])
    expected = (observed - chance) / (1 - chance)
    assert value_of(gwet_ac1, Ratings.of(rows)) == pytest.approx(expected, abs=1e-9)
    assert value_of(percent_agreement, Ratings.of(rows)) == pytest.approx(observed, abs=1e-9)


def test_two_workers_who_always_agree_reach_one_everywhere() -> None:
    rows: list[Row] = [(t, w, "ab"[t % 2]) for t in range(10) for w in "xy"]
    for coefficient in COEFFICIENTS.values():
        assert value_of(coefficient, Ratings.of(rows)) == pytest.approx(1.0)


def test_kappa_falls_where_one_label_is_everywhere_and_ac1_does_not() -> None:
    """The paradox that AC1 is for: 95 of 100 agree, and kappa is near 0."""
    rows: list[Row] = [(t, w, "a") for t in range(95) for w in "xy"]
    rows += [(t, w, label) for t in range(95, 100) for w, label in (("x", "a"), ("y", "b"))]
    ratings = Ratings.of(rows)
    assert value_of(fleiss_kappa, ratings) < 0.0
    assert value_of(gwet_ac1, ratings) > 0.9


@pytest.mark.parametrize("coefficient", COEFFICIENTS.values(), ids=COEFFICIENTS)
def test_nothing_to_compare_has_a_name_and_no_number(coefficient: object) -> None:
    for rows in ([], [(1, "x", "a"), (2, "y", "a")]):
        with pytest.raises(NothingToCompare):
            value_of(coefficient, Ratings.of(rows))  # type: ignore[arg-type]
        found = agreement(coefficient, Ratings.of(rows))  # type: ignore[arg-type]
        assert (found.value, found.low, found.high, found.why) == (None, None, None, "empty")


def test_one_label_only_has_a_name_where_chance_is_corrected() -> None:
    ratings = Ratings.of([(t, w, "unk") for t in range(5) for w in "xyz"])
    for name, coefficient in COEFFICIENTS.items():
        if name == "percent_agreement":
            assert value_of(coefficient, ratings) == 1.0
            continue
        with pytest.raises(OneLabelOnly):
            value_of(coefficient, ratings)
        assert agreement(coefficient, ratings).why == "one_label"
    assert cohen(np.zeros(5, int), np.zeros(5, int)).why == "one_label"
    assert cohen(np.zeros(0, int), np.zeros(0, int)).why == "empty"


def test_a_worker_who_labels_a_task_again_is_counted_once_with_the_first_label() -> None:
    rows: list[Row] = [(1, "x", "a"), (1, "y", "a"), (1, "x", "b"), (1, "y", "a")]
    ratings = Ratings.of(rows)
    assert ratings.rows() == rows[:2]
    assert (ratings.repeats.rows, ratings.repeats.same) == (2, 1)


def test_unk_is_a_label_of_its_own_unless_left_out() -> None:
    rows: list[Row] = [(1, "x", "a"), (1, "y", "unk"), (2, "x", "b"), (2, "y", "b")]
    rows += [(3, "x", "a"), (3, "y", "a")]
    ratings = Ratings.of(rows)
    assert value_of(percent_agreement, ratings) == pytest.approx(2 / 3)
    assert value_of(percent_agreement, ratings.without({"unk", "conf"})) == 1.0


def test_pairs_with_too_few_common_tasks_are_left_out() -> None:
    rows = made(1, tasks=25, workers=2) + [(task, "late", "a") for task in range(5)]
    found = cohen_by_pair(Ratings.of(rows), fewest=20)
    assert [(pair.one, pair.other) for pair in found] == [("w0", "w1")]
    assert found[0].kappa.tasks == 25


@pytest.mark.parametrize("coefficient", COEFFICIENTS.values(), ids=COEFFICIENTS)
def test_a_draw_is_the_coefficient_of_the_tasks_it_drew(coefficient: object) -> None:
    """Weights of tasks give what repeating the tasks gives."""
    ratings = Ratings.of(made(7, tasks=12, missing=0.3))
    counts = ratings.counts()
    weights = np.random.default_rng(0).integers(0, 3, size=(4, len(counts))).astype(float)
    drawn = coefficient(counts, weights)  # type: ignore[operator]
    for row, value in zip(weights, drawn, strict=True):
        repeated = counts.repeat(row.astype(int), axis=0)
        again = coefficient(repeated, np.ones((1, len(repeated))))  # type: ignore[operator]
        assert value == pytest.approx(again[0], abs=1e-12)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """The share of heads among 60 tasks: 95 % intervals miss 0.3 in about one of twenty."""
    rng = np.random.default_rng(5)
    missed = 0
    for seed in range(200):
        heads = (rng.random(60) < 0.3).astype(float)
        found = over_tasks(
            lambda weights, heads=heads: ratio(weights @ heads, weights.sum(axis=1)),  # type: ignore[misc]
            60,
            draws=300,
            seed=seed,
        )
        assert found.low is not None
        assert found.high is not None
        missed += not found.low <= 0.3 <= found.high
    assert missed <= 24


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 3), st.sampled_from(["a", "b", "unk", "conf"])),
        max_size=25,
    )
)
def test_no_data_gives_a_number_that_is_none(rows: list[Row]) -> None:
    ratings = Ratings.of(rows)
    for coefficient in COEFFICIENTS.values():
        found = agreement(coefficient, ratings, draws=20)
        for value in (found.value, found.low, found.high):
            assert value is None or math.isfinite(value)
        assert (found.value is None) == bool(found.why)
