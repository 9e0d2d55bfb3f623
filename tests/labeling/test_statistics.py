"""Intervals, pooling, thresholds and acceptance, against slower and plainer computations."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import binomtest, norm

from labeling.statistics.acceptance import Judged, acceptance_metrics
from labeling.statistics.intervals import weighted_share, wilson
from labeling.statistics.pooling import best_option, mean_pool
from labeling.statistics.thresholds import loosest_threshold

# --- Intervals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (3, 7), (95, 100), (0, 40), (40, 40)])
def test_the_wilson_interval_is_that_of_scipy(successes: int, n: int, confidence: float) -> None:
    found = wilson(successes, n, confidence=confidence)
    expected = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert found.value == successes / n
    assert found.low == pytest.approx(expected.low, abs=1e-12)
    assert found.high == pytest.approx(expected.high, abs=1e-12)


def test_the_bounds_are_the_shares_that_a_score_test_just_does_not_refuse() -> None:
    """Wilson's own definition, solved numerically: (p - value)² = z² p (1 - p) / n."""
    successes, n = 17, 60
    z = norm.ppf(0.975)

    def gap(p: float) -> float:
        return (p - successes / n) ** 2 - z**2 * p * (1 - p) / n

    found = wilson(successes, n)
    assert found.low == pytest.approx(brentq(gap, 1e-9, successes / n), abs=1e-9)
    assert found.high == pytest.approx(brentq(gap, successes / n, 1 - 1e-9), abs=1e-9)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share_lies_within_its_interval(case: tuple[int, int]) -> None:
    found = wilson(*case)
    assert found.low is not None
    assert found.value is not None
    assert found.high is not None
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0
    assert found.low < found.high


def test_nothing_out_of_nothing_has_no_share() -> None:
    found = wilson(0, 0)
    assert (found.value, found.low, found.high) == (None, None, None)


@pytest.mark.parametrize(
    ("successes", "n", "confidence"), [(2, 1, 0.95), (-1, 3, 0.95), (1, 2, 1.0)]
)
def test_an_impossible_share_is_refused(successes: int, n: int, confidence: float) -> None:
    with pytest.raises(ValueError, match=r"impossible|not between"):
        wilson(successes, n, confidence=confidence)


# --- Pooling ------------------------------------------------------------------------------------

OPTIONS = ("11", "12", "13", "unk")


@st.composite
def distributions(draw: st.DrawFn) -> dict[str, float]:
    weights = draw(st.lists(st.floats(0.01, 1.0), min_size=len(OPTIONS), max_size=len(OPTIONS)))
    return {option: weight / sum(weights) for option, weight in zip(OPTIONS, weights, strict=True)}


@given(st.lists(distributions(), min_size=1, max_size=6))
def test_a_mean_of_distributions_is_one_and_lies_between_them(
    verdicts: list[dict[str, float]],
) -> None:
    pooled = mean_pool(verdicts)
    assert set(pooled) == set(OPTIONS)
    assert math.fsum(pooled.values()) == pytest.approx(1.0)
    for option in OPTIONS:
        said = [verdict[option] for verdict in verdicts]
        assert min(said) - 1e-12 <= pooled[option] <= max(said) + 1e-12
        assert pooled[option] == pytest.approx(np.mean(said))


@given(st.lists(distributions(), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_the_validators_does_not_matter(
    verdicts: list[dict[str, float]], random: object
) -> None:
    shuffled = list(verdicts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    pooled, again = mean_pool(verdicts), mean_pool(shuffled)
    assert pooled == pytest.approx(again)


@given(distributions(), st.integers(1, 5))
def test_validators_of_one_mind_pool_to_that_mind(verdict: dict[str, float], n: int) -> None:
    assert mean_pool([verdict] * n) == pytest.approx(verdict)


def test_an_option_that_a_verdict_does_not_name_counts_as_nothing_there() -> None:
    assert mean_pool([{"1": 1.0}, {"2": 0.5, "unk": 0.5}]) == {"1": 0.5, "2": 0.25, "unk": 0.25}


def test_no_verdict_cannot_be_pooled() -> None:
    with pytest.raises(ValueError, match="no verdict"):
        mean_pool([])


def test_a_tie_goes_to_the_option_that_sorts_first_whatever_the_order() -> None:
    assert best_option({"2": 0.4, "1": 0.4, "unk": 0.2}) == ("1", 0.4)
    assert best_option({"1": 0.4, "2": 0.4, "unk": 0.2}) == ("1", 0.4)
    assert best_option({"1": 0.1, "unk": 0.9}) == ("unk", 0.9)


# --- Thresholds ---------------------------------------------------------------------------------

# Few distinct confidences, so that ties are common.
rows = st.lists(
    st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9, 1.0]), st.booleans()), max_size=30
)
targets = st.sampled_from(["0.5", "0.6", "0.75", "0.8", "0.9", "0.95", "1.0", "0.333"])


@given(rows, targets)
@example([(0.9, True), (0.9, False)], "0.6")
@example([(0.9, False), (0.5, True), (0.3, True)], "0.6")
def test_the_loosest_threshold_is_what_trying_every_one_finds(
    given_rows: list[tuple[float, bool]], target: str
) -> None:
    confidence = np.array([row[0] for row in given_rows], dtype=float)
    right = np.array([row[1] for row in given_rows], dtype=bool)
    expected = None
    for candidate in sorted(set(confidence.tolist())):  # the lowest first
        taken = [hit for sure, hit in given_rows if sure >= candidate]
        if Fraction(sum(taken), len(taken)) >= Fraction(target):
            expected = (candidate, len(taken), sum(taken))
            break
    found = loosest_threshold(confidence, right, target=float(target))
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert (found.threshold, found.accepted, found.right) == expected
        assert found.rows == len(given_rows)


def test_rows_of_equal_confidence_are_accepted_together_or_not_at_all() -> None:
    confidence = np.array([0.9, 0.9, 0.8])
    assert loosest_threshold(confidence, np.array([True, False, False]), target=0.9) is None
    found = loosest_threshold(confidence, np.array([True, True, False]), target=0.9)
    assert found is not None
    assert (found.threshold, found.accepted) == (0.9, 2)


def test_a_dip_below_the_target_does_not_end_the_search() -> None:
    """A wrong row near the top is outweighed further down: the loosest threshold is wanted."""
    confidence = np.linspace(1.0, 0.1, 20)
    right = np.ones(20, dtype=bool)
    right[1] = False
    found = loosest_threshold(confidence, right, target=0.95)
    assert found is not None
    assert found.accepted == 20


@pytest.mark.parametrize("n", [1_000, 91_000, 1_490_000])
def test_a_target_that_is_just_met_is_met_however_many_rows(n: int) -> None:
    for thousandths in (17, 290, 570, 950, 999):
        right = np.zeros(n, dtype=bool)
        right[: n * thousandths // 1000] = True
        found = loosest_threshold(np.full(n, 0.5), right, target=thousandths / 1000)
        assert found is not None, (n, thousandths)
        right[0] = False
        assert loosest_threshold(np.full(n, 0.5), right, target=thousandths / 1000) is None


def test_no_rows_have_no_threshold() -> None:
    assert loosest_threshold(np.array([]), np.array([], dtype=bool), target=0.5) is None


# --- Acceptance ---------------------------------------------------------------------------------


def test_acceptance_counts_as_the_paper_does() -> None:
    judged = [Judged(True, True)] * 6 + [Judged(True, False)] * 2 + [Judged(False, False)] * 4
    found = acceptance_metrics(judged)
    assert (found.accuracy.successes, found.accuracy.n) == (6, 8)
    assert (found.coverage.successes, found.coverage.n) == (8, 12)
    assert (found.total_accuracy.successes, found.total_accuracy.n) == (6, 12)
    assert found.accuracy.value == 0.75


def test_a_right_label_that_was_not_accepted_does_not_count() -> None:
    found = acceptance_metrics([Judged(False, True), Judged(True, True)])
    assert found.total_accuracy.successes == 1
    assert found.accuracy.value == 1.0


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=50))
def test_total_accuracy_is_accuracy_times_coverage(pairs: list[tuple[bool, bool]]) -> None:
    found = acceptance_metrics(Judged(*pair) for pair in pairs)
    assert found.coverage.value is not None
    assert found.total_accuracy.value is not None
    accuracy = found.accuracy.value or 0.0
    assert found.total_accuracy.value == pytest.approx(accuracy * found.coverage.value)


def test_nothing_judged_has_no_figures() -> None:
    found = acceptance_metrics([])
    assert found.accuracy.value is None
    assert found.coverage.value is None


def test_rows_of_equal_weight_give_wilsons_interval() -> None:
    happened = [True, False, False, True, False]
    weighted = weighted_share(happened, [0.2] * 5)
    plain = wilson(2, 5)
    assert (weighted.successes, weighted.n) == (2, 5)
    assert weighted.value == pytest.approx(0.4)
    assert (weighted.low, weighted.high) == pytest.approx((plain.low, plain.high))


def test_a_row_counts_one_over_its_probability() -> None:
    found = weighted_share([True, False], [0.75, 0.25])
    assert found.value == pytest.approx((4 / 3) / (4 / 3 + 4))
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.25 < found.high


def test_no_rows_have_no_share_and_no_probability_is_refused() -> None:
    assert weighted_share([], []).value is None
    with pytest.raises(ValueError, match="probability above 0"):
        weighted_share([True], [0.0])
