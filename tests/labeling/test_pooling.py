"""Pools of several validators: what they are, how they are fitted, and when the mean is better."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.statistics.pool_fit import Row, compare, fit_pool, prior_shares
from labeling.statistics.pooling import (
    Distribution,
    linear_pool,
    log_linear_pool,
    mean_pool,
    pool,
)

OPTIONS = ("1", "2", "3", "unk")


def said(*weights: float) -> dict[str, float]:
    return {option: w / sum(weights) for option, w in zip(OPTIONS, weights, strict=True)}


DISTRIBUTIONS = st.lists(
    st.floats(0.001, 1.0, allow_nan=False), min_size=len(OPTIONS), max_size=len(OPTIONS)
).map(lambda weights: said(*weights))


Planted = list[tuple[str, list[Distribution]]]


def planted(skills: list[float], *, rows: int, seed: int = 0) -> Planted:
    """Tasks with a right option, and what validators of these skills say of it independently."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(rows):
        right = int(random.integers(len(OPTIONS)))
        answers: list[Distribution] = []
        for skill in skills:
            scores = random.normal(size=len(OPTIONS))
            scores[right] += skill
            answers.append(said(*np.exp(scores).tolist()))
        found.append((OPTIONS[right], answers))
    return found


def fitting(tasks: Planted, *columns: int) -> list[Row]:
    return [
        Row([answers[column] for column in columns], frozenset({right})) for right, answers in tasks
    ]


# --- What a pool is -----------------------------------------------------------------------------


@given(st.lists(DISTRIBUTIONS, min_size=1, max_size=4), st.data())
def test_every_pool_is_a_distribution(
    verdicts: list[dict[str, float]], data: st.DataObject
) -> None:
    weights = [data.draw(st.floats(0.01, 5.0)) for _ in verdicts]
    for found in (
        mean_pool(verdicts),
        linear_pool(verdicts, weights),
        log_linear_pool(verdicts, weights, temperature=0.3, floor=1e-3),
    ):
        assert set(found) == set(OPTIONS)
        assert math.fsum(found.values()) == pytest.approx(1.0)
        assert min(found.values()) >= 0.0


@given(st.lists(DISTRIBUTIONS, min_size=1, max_size=4))
def test_equal_weights_are_the_mean(verdicts: list[dict[str, float]]) -> None:
    assert linear_pool(verdicts, [3.0] * len(verdicts)) == pytest.approx(mean_pool(verdicts))


def test_the_log_linear_pool_is_the_weighted_geometric_mean() -> None:
    one, other = said(6, 2, 1, 1), said(1, 7, 1, 1)
    found = log_linear_pool([one, other], [3.0, 1.0], temperature=0.5, floor=1e-9)
    product = {name: (one[name] ** 0.75 * other[name] ** 0.25) ** 2 for name in OPTIONS}
    total = sum(product.values())
    assert found == pytest.approx({name: value / total for name, value in product.items()})


def test_one_validator_that_is_sure_of_no_does_not_rule_an_option_out() -> None:
    sure, other = {"1": 0.0, "2": 1.0}, {"1": 0.9, "2": 0.1}
    found = log_linear_pool([sure, other], [1.0, 1.0], temperature=1.0, floor=0.01)
    assert 0.0 < found["1"] < found["2"] < 1.0


def test_an_option_that_a_validator_does_not_name_counts_as_improbable() -> None:
    for found in (
        linear_pool([{"1": 1.0}, {"1": 0.4, "2": 0.6}], [1.0, 1.0]),
        log_linear_pool([{"1": 1.0}, {"1": 0.4, "2": 0.6}], [1.0, 1.0], temperature=1, floor=0.01),
    ):
        assert 0.0 < found["2"] < found["1"]
        assert sum(found.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("weights", [[], [1.0], [0.0, 0.0], [-1.0, 2.0]])
def test_weights_that_mean_nothing_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weight"):
        linear_pool([said(1, 1, 1, 1)] * 2, weights)
    with pytest.raises(ValueError, match="weight"):
        log_linear_pool([said(1, 1, 1, 1)] * 2, weights, temperature=1.0, floor=0.01)


@pytest.mark.parametrize(("temperature", "floor"), [(0.0, 0.01), (1.0, 0.0), (1.0, 1.0)])
def test_a_temperature_or_floor_that_means_nothing_is_refused(
    temperature: float, floor: float
) -> None:
    with pytest.raises(ValueError, match="temperature"):
        log_linear_pool([said(1, 1, 1, 1)], [1.0], temperature=temperature, floor=floor)


def test_a_rule_pools_those_that_were_asked() -> None:
    rule = {"pool": "linear", "weights": {"7": 0.6, "8": 0.3, "9": 0.1}}
    one, other = said(8, 1, 1, 0), said(1, 8, 1, 0)
    assert pool(rule, {8: one, 9: other}) == pytest.approx(linear_pool([one, other], [3.0, 1.0]))
    assert pool({"pool": "mean"}, {8: one, 9: other}) == pytest.approx(mean_pool([one, other]))
    logs = rule | {"pool": "log_linear", "temperature": 2.0, "floor": 0.01}
    expected = log_linear_pool([one, other], [3.0, 1.0], temperature=2.0, floor=0.01)
    assert pool(logs, {8: one, 9: other}) == pytest.approx(expected)


# --- Fitting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["linear", "log_linear"])
def test_the_better_validator_gets_the_greater_weight(kind: str) -> None:
    shares = fit_pool(fitting(planted([3.0, 0.3], rows=200), 0, 1), kind).shares
    assert shares[0] > 0.75
    assert sum(shares) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["linear", "log_linear"])
def test_two_copies_of_one_validator_together_weigh_like_one(kind: str) -> None:
    tasks = planted([2.0, 1.5], rows=120)
    alone = fit_pool(fitting(tasks, 0, 1), kind)
    copied = fit_pool(fitting(tasks, 0, 0, 1), kind)
    assert copied.shares[0] == pytest.approx(copied.shares[1], abs=1e-4)
    assert copied.shares[0] + copied.shares[1] == pytest.approx(alone.shares[0], abs=1e-4)
    assert copied.temperature == pytest.approx(alone.temperature, rel=1e-3)


def test_near_copies_share_one_weight_and_strangers_do_not() -> None:
    tasks = planted([2.0, 2.0], rows=300)
    random = np.random.default_rng(1)
    near: Planted = [
        (right, [*answers, said(*(p * random.uniform(0.9, 1.1) for p in answers[0].values()))])
        for right, answers in tasks
    ]
    assert prior_shares(fitting(near, 0, 1)) == pytest.approx([0.5, 0.5])
    one, other, copy = prior_shares(fitting(near, 0, 1, 2))
    assert one + copy == pytest.approx(other, rel=0.05)


def test_few_rows_leave_the_weights_near_the_mean() -> None:
    tasks = planted([3.0, 0.3], rows=400)
    few, many = (fit_pool(fitting(tasks[:n], 0, 1), "linear").shares[0] for n in (3, 400))
    assert 0.5 < few < 0.8 < many


def test_a_log_linear_pool_sharpens_validators_that_are_too_modest() -> None:
    modest: Planted = [
        (right, [{name: 0.8 * p + 0.05 for name, p in answer.items()} for answer in answers])
        for right, answers in planted([4.0, 4.0], rows=200)
    ]
    assert fit_pool(fitting(modest, 0, 1), "log_linear").temperature < 0.9


@pytest.mark.parametrize("kind", ["linear", "log_linear"])
def test_the_fit_is_judged_on_rows_it_has_not_seen(kind: str) -> None:
    """The figure of the comparison is that of fresh rows, not the better one of the fitted rows."""
    better = compare(fitting(planted([3.0, 0.3, 0.3], rows=200), 0, 1, 2), kind)
    assert better.is_better
    assert better.low <= better.difference <= better.high < 0.0
    assert better.fitted_loss - better.mean_loss == pytest.approx(better.difference)
    # Three that are equally good: nothing to gain by weights, so noise is all that is fitted.
    alike = compare(fitting(planted([2.0, 2.0, 2.0], rows=40, seed=3), 0, 1, 2), "linear")
    assert not alike.is_better


def test_the_comparison_is_the_same_every_time() -> None:
    rows = fitting(planted([2.0, 1.0], rows=50), 0, 1)
    assert compare(rows, "linear") == compare(rows, "linear")


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be fitted"):
        fit_pool([], "linear")
    with pytest.raises(ValueError, match="cannot be fitted"):
        fit_pool(fitting(planted([1.0], rows=3), 0), "mean")
