"""Certified thresholds, against hand-computed values, brute force, simulation and a library."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, hypergeom

from labeling.statistics.betting import betting_bound, betting_p, log_capital, mixed
from labeling.statistics.certificates import (
    Certified,
    binomial_p,
    certify_conditional,
    certify_joint,
    certify_off_topic,
    certify_weighted,
    critical_errors,
    delta_of_test,
    least_accepted,
    threshold_grid,
    upper_bound,
)
from labeling.statistics.finite_pool import (
    pool_bound,
    pool_p,
    pool_sample_size,
    pool_sequence_bound,
)
from labeling.statistics.label_groups import (
    Rows,
    accepted_needed,
    certify_groups,
    group_labels,
    rows_needed,
)

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
NOTHING: Floats = np.zeros(0)


def stream(rng: np.random.Generator, n: int) -> tuple[Floats, Flags]:
    """An overconfident classifier: a score s is right with probability s ** 1.5."""
    scores = rng.beta(6, 1, n)
    return scores, rng.random(n) > scores**1.5


def true_error(threshold: float) -> float:
    """Of what the stream accepts at the threshold, by integration."""
    s = np.linspace(threshold, 1, 4001)
    density = s**5
    return float((density * (1 - s**1.5)).sum() / density.sum())


def flags(*values: int) -> Flags:
    return np.array(values, bool)


# --- The exact test -----------------------------------------------------------------------------


@pytest.mark.parametrize(("alpha", "rows"), [(0.01, 299), (0.02, 149), (0.05, 59), (0.1, 29)])
def test_without_an_error_the_published_numbers_of_rows_are_needed(alpha: float, rows: int) -> None:
    assert least_accepted(alpha, 0.05) == rows
    assert binomial_p(0, rows, alpha) <= 0.05 < binomial_p(0, rows - 1, alpha)


@pytest.mark.parametrize(("errors", "rows"), [(1, 93), (2, 124), (5, 208), (10, 336)])
def test_with_errors_the_published_numbers_of_rows_are_needed(errors: int, rows: int) -> None:
    assert binomial_p(errors, rows, 0.05) <= 0.05 < binomial_p(errors, rows - 1, 0.05)


def test_a_whole_quotient_of_logarithms_is_not_rounded_up() -> None:
    assert least_accepted(0.5, 0.25) == 2
    assert least_accepted(0.1, 0.9**7) == 7


def test_p_values_are_those_of_mapie() -> None:
    from mapie.risk_control.methods import compute_hoeffding_bentkus_p_value

    for errors, n, alpha in product([0, 1, 3, 9], [10, 100, 1000], [0.01, 0.05, 0.2]):
        if errors / n > alpha:
            continue
        theirs = compute_hoeffding_bentkus_p_value(np.array([errors / n]), n, alpha, binary=True)
        assert binomial_p(errors, n, alpha) == pytest.approx(float(theirs[0, 0]), rel=1e-9)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_bound_is_the_share_at_which_the_test_just_fails(case: tuple[int, int]) -> None:
    errors, n = case
    bound = upper_bound(errors, n, 0.1)
    assert bound >= errors / n
    if errors < n:
        assert binomial_p(errors, n, bound) == pytest.approx(0.1, rel=1e-6)


def test_nothing_accepted_bounds_nothing() -> None:
    assert binomial_p(0, 0, 0.05) == 1.0
    assert upper_bound(0, 0, 0.1) == 1.0


def test_the_critical_number_of_errors_is_that_of_brute_force() -> None:
    n = np.arange(0, 120)
    found = critical_errors(n, 0.05, 0.1)
    for rows, most in zip(n, found, strict=True):
        passing = [k for k in range(rows + 1) if rows and binom.cdf(k, rows, 0.05) <= 0.1]
        assert most == (max(passing) if passing else -1)


def test_the_ledger_never_spends_more_than_delta() -> None:
    spent = [delta_of_test(0.1, j) for j in range(1, 20_001)]
    assert spent[0] == pytest.approx(0.6 / math.pi**2)
    assert sum(spent) < 0.1
    assert sum(spent) > 0.0999
    with pytest.raises(ValueError, match="from 1"):
        delta_of_test(0.1, 0)


# --- Thresholds ---------------------------------------------------------------------------------


def test_a_hand_computed_walk_stops_at_the_first_failure() -> None:
    """alpha 1/2, delta 1/4: two right ones hold (p 1/4), with an error among three p is 1/2."""
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3])
    wrong = flags(0, 0, 1, 0, 0, 0, 0)
    grid = np.array([0.8, 0.7, 0.3])
    found = certify_conditional(scores, wrong, grid=grid, alpha=0.5, delta=0.25)
    assert (found.threshold, found.accepted, found.errors, found.rows) == (0.8, 2, 0, 7)
    assert found.p_value == pytest.approx(0.25)
    assert found.tested == 2
    assert found.bound == pytest.approx(0.5)


def test_a_later_threshold_that_would_hold_is_out_of_reach_after_a_failure() -> None:
    scores, wrong = np.linspace(1, 0, 200), np.zeros(200, bool)
    wrong[:3] = True
    grid = np.array([0.99, 0.0])
    assert binomial_p(3, 200, 0.05) < 0.1
    assert not certify_conditional(scores, wrong, grid=grid, alpha=0.05, delta=0.1).holds


def test_rows_of_equal_score_are_accepted_together() -> None:
    scores, wrong = np.full(100, 0.7), np.zeros(100, bool)
    found = certify_conditional(scores, wrong, grid=np.array([0.7]), alpha=0.05, delta=0.1)
    assert (found.threshold, found.accepted) == (0.7, 100)


def test_rows_that_may_not_be_accepted_count_in_no_threshold() -> None:
    scores = np.where(np.arange(200) % 2 == 0, 0.9, np.nan)
    wrong = np.isnan(scores)
    found = certify_conditional(scores, wrong, grid=np.array([0.5]), alpha=0.05, delta=0.1)
    assert (found.accepted, found.errors, found.rows) == (100, 0, 200)
    joint = certify_joint(scores, wrong, epsilon=0.05, delta=0.1)
    assert (joint.threshold, joint.accepted, joint.errors) == (0.9, 100, 0)


@pytest.mark.parametrize(
    ("scores", "grid"),
    [(NOTHING, np.array([0.5])), (np.array([0.1, 0.2]), np.array([0.5])), (NOTHING, NOTHING)],
)
def test_where_nothing_is_accepted_nothing_is_certified(scores: Floats, grid: Floats) -> None:
    wrong = np.zeros(len(scores), bool)
    found = certify_conditional(scores, wrong, grid=grid, alpha=0.05, delta=0.1)
    assert (found.threshold, found.accepted, found.bound) == (None, 0, None)
    weights = np.ones(len(scores))
    assert not certify_weighted(scores, wrong, weights, grid=grid, alpha=0.05, delta=0.1).holds
    assert not certify_joint(scores, wrong, epsilon=0.05, delta=0.1).holds


def test_the_grid_starts_where_enough_rows_are_expected_and_goes_down() -> None:
    rng = np.random.default_rng(1)
    scores, wrong = stream(rng, 2000)
    grid = threshold_grid(scores, wrong, rows=1000, alpha=0.1, delta=0.1)
    assert (np.diff(grid) < 0).all()
    assert np.mean(scores >= grid[0]) * 1000 > least_accepted(0.1, 0.1)
    assert grid[-1] == scores.min()


def test_too_few_rows_leave_no_grid() -> None:
    scores, wrong = stream(np.random.default_rng(1), 500)
    assert not len(threshold_grid(scores, wrong, rows=20, alpha=0.05, delta=0.1))
    assert not len(threshold_grid(NOTHING, flags(), rows=500, alpha=0.05, delta=0.1))
    all_taken = threshold_grid(scores, wrong, rows=46, alpha=0.05, delta=0.1)
    assert list(all_taken) == [scores.min()]


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_of_errors_outside_0_and_1_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="lies between 0 and 1"):
        certify_joint(np.ones(3), flags(0, 0, 0), epsilon=alpha, delta=0.1)


def test_scores_and_flags_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one score and one flag"):
        certify_joint(np.ones(3), flags(0, 0), epsilon=0.1, delta=0.1)


def broken(alpha: float, repeats: int, kind: str) -> tuple[float, float]:
    """How often the promise was broken, and the mean coverage."""
    rng = np.random.default_rng(7)
    violations, coverage = 0, 0.0
    for _ in range(repeats):
        tune, certify = stream(rng, 400), stream(rng, 600)
        found = _certify(kind, tune, certify, alpha, rng)
        if found.threshold is not None:
            error = true_error(found.threshold)
            accepted = 1 - found.threshold**6
            violations += (error * accepted if kind == "joint" else error) > alpha
            coverage += accepted
    return violations / repeats, coverage / repeats


def _certify(
    kind: str,
    tune: tuple[Floats, Flags],
    certify: tuple[Floats, Flags],
    alpha: float,
    rng: np.random.Generator,
) -> Certified:
    if kind == "joint":
        return certify_joint(*certify, epsilon=alpha, delta=0.1)
    grid = threshold_grid(*tune, rows=len(certify[0]), alpha=alpha, delta=0.1)
    if kind == "conditional":
        return certify_conditional(*certify, grid=grid, alpha=alpha, delta=0.1)
    # Doubtful rows were taken with certainty, sure ones at half.
    chance = np.where(certify[0] < 0.85, 1.0, 0.5)
    drawn = rng.random(len(chance)) < chance
    scores, wrong = certify[0][drawn], certify[1][drawn]
    weights = 0.5 / chance[drawn]
    return certify_weighted(scores, wrong, weights, grid=grid, alpha=alpha, delta=0.1)


@pytest.mark.parametrize("kind", ["conditional", "joint", "weighted"])
def test_promises_are_broken_no_more_often_than_delta(kind: str) -> None:
    repeats = 400
    violation, coverage = broken(0.1, repeats, kind)
    assert binom.sf(violation * repeats - 1, repeats, 0.1) > 0.01, violation
    assert coverage > {"conditional": 0.25, "joint": 0.4, "weighted": 0.1}[kind]


def test_tuning_in_the_ordinary_way_breaks_the_same_promise() -> None:
    """So that the simulation above can fail: the stream does mislead those who do not test."""
    from labeling.statistics.thresholds import loosest_threshold

    rng = np.random.default_rng(7)
    violations = 0
    for _ in range(200):
        scores, wrong = stream(rng, 600)
        found = loosest_threshold(scores, ~wrong, target=0.9)
        violations += found is not None and true_error(found.threshold) > 0.1
    assert violations > 60


@pytest.mark.parametrize(
    ("scores", "threshold"),
    [
        (np.full(22, np.nan), -math.inf),
        (np.full(21, np.nan), None),
        (np.append(np.full(40, 0.2), 0.9), 0.9),
        (np.append(np.full(21, 0.2), 0.9), float(np.nextafter(0.9, 1))),
        (NOTHING, None),
    ],
)
def test_off_topic_texts_bound_the_threshold(scores: Floats, threshold: float | None) -> None:
    """With none accepted 22 rows say "at most 10 %" (0.9 ** 22 < 0.1), with one it takes 38."""
    assert certify_off_topic(scores, share=0.1, delta=0.1) == threshold


# --- Betting ------------------------------------------------------------------------------------


def test_the_capital_is_the_product_of_all_rows() -> None:
    """One stake, by hand: against 0.5, at 2 x 0.999, a right row gives 1.999 and a wrong one
    0.001."""
    wrong, weights = np.array([0.0, 1.0, 0.0]), np.ones(3)
    capital = np.exp(log_capital(wrong, weights, 0.5, more=False)[:, -1])
    assert capital == pytest.approx([1, 1.999, 1.999 * 0.001, 1.999**2 * 0.001])


def test_the_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    wrong, weights = (rng.random(300) < 0.02).astype(float), rng.uniform(0.2, 1, 300)
    order = rng.permutation(300)
    assert betting_p(wrong, weights, 0.05) == pytest.approx(
        betting_p(wrong[order], weights[order], 0.05)
    )


def test_a_bet_on_a_true_share_reaches_its_goal_no_more_often_than_delta() -> None:
    rng = np.random.default_rng(5)
    reached = 0
    for _ in range(500):
        chance = rng.choice([0.25, 1.0], 400)
        wrong = (rng.random(400) < np.where(chance == 1.0, 0.2, 0.05)).astype(float)
        seen = rng.random(400) < chance
        # Half of the rows err at 20 %, half at 5 %: 12.5 % of all.
        capital = mixed(log_capital(wrong[seen], 0.25 / chance[seen], 0.125, more=False))
        reached += bool(capital.max() >= math.log(10))
    assert reached <= 65


def test_betting_bounds_hold_and_are_not_far_from_the_exact_ones() -> None:
    wrong = np.zeros(300)
    wrong[::60] = 1
    high = betting_bound(wrong, np.ones(300), 0.05)
    assert upper_bound(5, 300, 0.05) < high < 1.5 * upper_bound(5, 300, 0.05)
    low = betting_bound(wrong, np.ones(300), 0.05, upper=False)
    assert 0 < low < 5 / 300
    assert betting_bound(NOTHING, NOTHING, 0.05) == 1.0
    assert betting_bound(NOTHING, NOTHING, 0.05, upper=False) == 0.0


@pytest.mark.parametrize(
    ("wrong", "weights", "sentence"),
    [([2.0], [1.0], "loss"), ([0.0], [0.0], "weight"), ([0.0, 1.0], [1.0], "one loss")],
)
def test_rows_that_cannot_be_bet_on_are_refused(
    wrong: list[float], weights: list[float], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        log_capital(np.array(wrong), np.array(weights), 0.1, more=True)


# --- Finite pools -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pool", "alpha", "sizes"),
    [
        (200, 0.05, [47, 93, 145]),
        (500, 0.05, [54, 110, 180]),
        (2000, 0.05, [57, 120, 200]),
        (200, 0.02, [90, 162, None]),
    ],
)
def test_pools_need_the_published_numbers_of_rows(
    pool: int, alpha: float, sizes: list[int | None]
) -> None:
    found = [pool_sample_size(pool, alpha, 0.05, errors=errors) for errors in (0, 2, 5)]
    assert found == sizes


def test_the_bound_of_a_pool_is_that_of_brute_force() -> None:
    for pool, sampled, errors in [(30, 10, 0), (30, 10, 3), (30, 30, 4), (12, 0, 0), (7, 7, 7)]:
        possible = [
            bad
            for bad in range(errors, pool - sampled + errors + 1)
            if hypergeom.cdf(errors, pool, bad, sampled) > 0.1
        ]
        assert pool_bound(pool, sampled, errors, 0.1).most == max(possible)


def test_a_pool_that_was_seen_whole_holds_what_was_found() -> None:
    found = pool_bound(50, 50, 3, 0.05)
    assert (found.most, found.left, found.share) == (3, 0, 0.06)
    assert pool_sequence_bound(50, 50, 3, 0.05).most == 3
    assert pool_p(50, 50, 2, 0.05) == 0.0
    assert pool_bound(0, 0, 0, 0.05).share == 0.0


def test_a_pool_may_be_watched_row_by_row_and_the_bound_stays_true() -> None:
    rng = np.random.default_rng(11)
    missed = 0
    for _ in range(300):
        pool = np.zeros(300, bool)
        pool[: rng.choice([3, 15, 40])] = True
        drawn = rng.permutation(pool)
        found = np.cumsum(drawn)
        bounds = [
            pool_sequence_bound(300, n, int(found[n - 1]), 0.1).most for n in range(5, 300, 5)
        ]
        missed += any(bound < pool.sum() for bound in bounds)
    assert binom.sf(missed - 1, 300, 0.1) > 0.01


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="impossible"):
        pool_bound(10, 5, 6, 0.1)
    with pytest.raises(ValueError, match="impossible"):
        upper_bound(3, 2, 0.1)


# --- Groups of labels ---------------------------------------------------------------------------


def grouped(rng: np.random.Generator, n: int) -> Rows:
    """Labels a and b are nearly always right, c and d often wrong; e is rare."""
    labels = rng.choice(list("abcde"), n, p=[0.3, 0.3, 0.19, 0.19, 0.02])
    error = np.array([{"a": 0.0, "b": 0.002, "c": 0.2, "d": 0.3, "e": 0.1}[x] for x in labels])
    return Rows(rng.random(n), rng.random(n) < error, list(labels))


def test_groups_go_from_the_reliable_to_the_others_and_are_of_like_size() -> None:
    tune = grouped(np.random.default_rng(2), 1000)
    placed = group_labels(tune.labels, tune.wrong, groups=2)
    assert {placed["a"], placed["b"]} == {0}
    assert {placed["c"], placed["d"]} == {1}
    assert set(placed) == set("abcde")
    assert group_labels([], flags(), groups=3) == {}


def test_each_group_is_tested_on_its_own_and_told_what_it_lacks() -> None:
    rng = np.random.default_rng(4)
    tune, certify = grouped(rng, 1000), grouped(rng, 1000)
    placed = group_labels(tune.labels, tune.wrong, groups=2)
    good, bad = certify_groups(tune, certify, placed, alpha=0.05, delta=0.1, simultaneous=True)
    assert good.certified.holds
    assert (good.delta, good.more_rows) == (0.05, None)
    assert not bad.certified.holds
    assert bad.more_rows is None, "an error of a quarter cannot be certified at 5 %"
    alone, _ = certify_groups(tune, certify, placed, alpha=0.05, delta=0.1, simultaneous=False)
    assert alone.delta == 0.1


def test_a_group_with_too_few_rows_is_told_how_many_more() -> None:
    rng = np.random.default_rng(4)
    tune, few = grouped(rng, 1000), grouped(rng, 60)
    placed = group_labels(tune.labels, tune.wrong, groups=2)
    good, _bad = certify_groups(tune, few, placed, alpha=0.05, delta=0.1, simultaneous=True)
    assert not good.certified.holds
    assert good.more_rows is not None
    assert 59 < good.more_rows < 400
    enough = grouped(rng, good.more_rows)
    good, _bad = certify_groups(tune, enough, placed, alpha=0.05, delta=0.1, simultaneous=True)
    assert good.certified.holds


def test_a_group_without_rows_is_not_certified() -> None:
    rng = np.random.default_rng(4)
    tune = grouped(rng, 500)
    nothing = Rows(NOTHING, flags(), [])
    placed = {"a": 0, "zzz": 1}
    for result in certify_groups(tune, nothing, placed, alpha=0.05, delta=0.1, simultaneous=True):
        assert not result.certified.holds


def test_the_planned_number_of_rows_is_the_least_that_does() -> None:
    rows = accepted_needed(0.01, alpha=0.05, delta=0.1)
    assert rows is not None

    def chance(n: int) -> float:
        return float(binom.cdf(critical_errors(np.array([n]), 0.05, 0.1)[0], n, 0.01))

    assert chance(rows) >= 0.8 > chance(rows - 1)
    assert accepted_needed(0.05, alpha=0.05, delta=0.1) is None


def test_the_plan_takes_the_best_threshold_there_is() -> None:
    scores = np.linspace(1, 0, 1000)
    wrong = np.arange(1000) >= 500
    need = rows_needed(scores, wrong, of=1000, alpha=0.05, delta=0.1)
    assert need is not None
    assert 90 <= need < 140
    assert rows_needed(NOTHING, flags(), of=9, alpha=0.05, delta=0.1) is None
    assert rows_needed(scores, np.ones(1000, bool), of=1000, alpha=0.05, delta=0.1) is None
