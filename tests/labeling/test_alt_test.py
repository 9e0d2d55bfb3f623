"""The alternative annotator test: against statsmodels, brute force, and simulated people."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import ttest_1samp

from labeling.statistics.alt_test import (
    TooFewPeople,
    alt_test,
    benjamini_yekutieli,
    exact_p_value,
    p_value,
    plan,
)

People = dict[object, dict[object, object]]


def differences(rng: np.random.Generator, n: int, up: float, down: float) -> NDArray[np.float64]:
    """`n` draws of 1 with `up`, -1 with `down`, else 0."""
    return rng.choice([1.0, -1.0, 0.0], size=n, p=[up, down, 1 - up - down])


def crowd(
    seed: int, *, tasks: int, people: int = 4, skill: float = 0.8, validator: float = 0.8
) -> tuple[People, dict[object, object]]:
    """People and a validator who find the true one of three labels with these probabilities."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, tasks)

    def said(right: float) -> dict[object, object]:
        wrong = (truth + rng.integers(1, 3, tasks)) % 3
        labels = np.where(rng.random(tasks) < right, truth, wrong)
        return {task: int(label) for task, label in enumerate(labels)}

    everyone: People = {f"p{number}": said(skill) for number in range(people)}
    return everyone, said(validator)


def test_wins_and_differences_are_counted_as_the_paper_defines_them() -> None:
    """Worked out by hand: ten tasks, three people; the validator copies the first."""
    people: People = {
        "x": dict.fromkeys(range(10), "a"),
        "y": {task: "a" if task < 6 else "b" for task in range(10)},
        "z": {task: "a" if task < 8 else "b" for task in range(10)},
    }
    found = alt_test(people, people["x"], epsilon=0.1)
    by_person = {row.person: row for row in found.people}
    assert (by_person["x"].mean, by_person["x"].advantage) == (0.0, 1.0)
    # Against x and z: y agrees with as many as "a" would, but for tasks 6 and 7, where "a" wins.
    assert (by_person["y"].mean, by_person["y"].advantage) == (-0.2, 1.0)
    # Against x and y: alike on tasks 8 and 9 (one other each way) and before 8 the same label.
    assert (by_person["z"].mean, by_person["z"].advantage) == (0.0, 1.0)
    assert found.average_advantage == 1.0


@pytest.mark.parametrize("epsilon", [0.1, 0.2])
def test_from_thirty_tasks_on_the_p_value_is_that_of_scipys_t_test(epsilon: float) -> None:
    d = differences(np.random.default_rng(3), 80, 0.1, 0.2)
    p, exact = p_value(d, epsilon)
    assert not exact
    assert p == pytest.approx(ttest_1samp(d, epsilon, alternative="less").pvalue, abs=1e-12)


def test_differences_that_are_all_alike_prove_no_more_than_their_number() -> None:
    """A t-test would call them certain, having no spread to divide by."""
    p, exact = p_value(np.zeros(40), 0.1)
    assert exact
    assert 0.9**40 <= p < 1


def brute_force(total: int, n: int, up: float, down: float) -> float:
    """P(sum <= total) by going through every outcome."""
    chance = {1: up, -1: down, 0: 1 - up - down}
    return math.fsum(
        math.prod(chance[one] for one in outcome)
        for outcome in itertools.product((1, -1, 0), repeat=n)
        if sum(outcome) <= total
    )


@pytest.mark.parametrize(("total", "epsilon"), [(-3, 0.1), (-5, 0.2), (-1, 0.0), (3, 0.3)])
def test_the_exact_p_value_is_the_worst_that_the_hypothesis_allows(
    total: int, epsilon: float
) -> None:
    n = 7
    d = np.array([np.sign(total)] * abs(total) + [1.0, -1.0] * ((n - abs(total)) // 2))
    assert len(d) == n
    assert np.count_nonzero(d) == n
    worst = max(
        brute_force(total, n, (share + epsilon) / 2, (share - epsilon) / 2)
        for share in np.linspace(epsilon, 1.0, 9)
    )
    found = exact_p_value(d, epsilon)
    assert found >= worst
    assert found == pytest.approx(worst, abs=0.01)


@pytest.mark.parametrize(("n", "epsilon", "down"), [(12, 0.2, 0.1), (25, 0.1, 0.0), (20, 0.0, 0.3)])
def test_at_the_edge_of_the_hypothesis_the_exact_test_errs_at_most_as_often_as_it_may(
    n: int, epsilon: float, down: float
) -> None:
    rng = np.random.default_rng(0)
    draws = [differences(rng, n, down + epsilon, down) for _ in range(800)]
    wrong = sum(exact_p_value(d, epsilon) <= 0.05 for d in draws)
    # Two standard deviations above 5 % of 800.
    assert wrong <= 40 + 2 * math.sqrt(800 * 0.05 * 0.95)


def test_a_validator_who_is_worse_by_epsilon_rarely_passes_and_an_equal_one_mostly_does() -> None:
    passed = {0.8: 0, 0.55: 0}
    for skill in passed:
        for seed in range(40):
            people, validator = crowd(seed, tasks=150, validator=skill)
            passed[skill] += alt_test(people, validator, epsilon=0.15).passes
    assert passed[0.8] >= 35
    assert passed[0.55] <= 2


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.sampled_from([0.05, 0.2]))
def test_benjamini_and_yekutieli_reject_what_statsmodels_rejects(
    p_values: list[float], q: float
) -> None:
    from statsmodels.stats.multitest import multipletests

    expected = multipletests(p_values, alpha=q, method="fdr_by")[0].tolist()
    assert benjamini_yekutieli(p_values, q=q) == expected


def test_people_with_few_tasks_are_left_out_and_named() -> None:
    people, validator = crowd(1, tasks=40)
    people["late"] = dict.fromkeys(range(5), 0)
    found = alt_test(people, validator, epsilon=0.2)
    assert found.left_out == ("late",)
    assert len(found.people) == 4


def test_too_few_people_have_a_name() -> None:
    people, validator = crowd(1, tasks=40, people=1)
    with pytest.raises(TooFewPeople):
        alt_test(people, validator, epsilon=0.2)
    with pytest.raises(TooFewPeople):
        alt_test({}, {}, epsilon=0.2)
    with pytest.raises(ValueError, match="between 0 and 1"):
        alt_test(people, validator, epsilon=1.5)


def test_where_the_test_passes_no_more_labels_are_needed() -> None:
    people, validator = crowd(0, tasks=400, validator=0.95)
    found = plan(alt_test(people, validator, epsilon=0.2), epsilon=0.2)
    assert (found.decided, found.likely, found.more_each) == (True, True, 0)


def test_a_validator_who_is_plainly_worse_is_decided_against() -> None:
    people, validator = crowd(0, tasks=600, skill=0.95, validator=0.5)
    found = plan(alt_test(people, validator, epsilon=0.1), epsilon=0.1)
    assert (found.decided, found.likely) == (True, False)


def test_labels_as_many_as_planned_decide_about_as_often_as_planned() -> None:
    """Plan from a small sample drawn to look like the truth, then draw the planned size anew."""
    epsilon = 0.15
    people, validator = crowd(11, tasks=60, validator=0.78)
    start = alt_test(people, validator, epsilon=epsilon)
    told = plan(start, epsilon=epsilon)
    assert (told.decided, told.likely) == (False, True)
    assert told.more_each is not None
    size = 60 + told.more_each
    passed = 0
    for seed in range(60):
        more, judge = resampled(people, validator, size, seed)
        passed += alt_test(more, judge, epsilon=epsilon).passes
    assert passed / 60 >= 0.65


def resampled(
    people: People, validator: dict[object, object], size: int, seed: int
) -> tuple[People, dict[object, object]]:
    """The same people on `size` tasks drawn with replacement from theirs."""
    drawn = np.random.default_rng(seed).integers(0, len(validator), size)
    again: People = {
        who: {at: labels[int(task)] for at, task in enumerate(drawn)}
        for who, labels in people.items()
    }
    return again, {at: validator[int(task)] for at, task in enumerate(drawn)}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 14), st.sampled_from(["a", "b", "unk"])),
        max_size=60,
    ),
    st.dictionaries(st.integers(0, 14), st.sampled_from(["a", "b", "unk"])),
    st.sampled_from([0.0, 0.1, 0.3]),
)
def test_odd_data_give_numbers_or_a_name(
    rows: list[tuple[int, int, str]], validator: dict[object, object], epsilon: float
) -> None:
    people: People = {}
    for person, task, label in rows:
        people.setdefault(person, {})[task] = label
    try:
        found = alt_test(people, validator, epsilon=epsilon, fewest=2)
    except TooFewPeople:
        return
    for row in found.people:
        assert 0.0 <= row.p <= 1.0
        assert math.isfinite(row.mean)
    told = plan(found, epsilon=epsilon)
    assert told.more_each is None or told.more_each >= 0
