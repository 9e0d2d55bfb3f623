"""The monitor keeps its own promise however often it is looked at, and sees what changes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from labeling.statistics.betting import stakes
from labeling.statistics.certificates import upper_bound
from labeling.statistics.monitor import EVERY, Observation, alarm_capital, watch

Floats = NDArray[np.float64]


def drawn(rng: np.random.Generator, n: int, error: float) -> Floats:
    return (rng.random(n) < error).astype(np.float64)


def observed(wrong: Floats) -> list[Observation]:
    return [Observation(float(one)) for one in wrong]


def test_while_the_promise_holds_alarms_are_no_more_frequent_than_delta() -> None:
    rng = np.random.default_rng(1)
    alarms = naive = 0
    for _ in range(400):
        wrong = drawn(rng, 800, 0.05)
        alarms += bool(alarm_capital(wrong, np.ones(800), 0.05).max() >= math.log(10))
        errors, n = np.cumsum(wrong)[19::20], np.arange(20, 801, 20)
        naive += bool(np.min(binom.sf(errors - 1, n, 0.05)) <= 0.1)
    assert binom.sf(alarms - 1, 400, 0.1) > 0.01
    assert naive > 100, "an exact test that is looked at again and again does raise false alarms"


def test_an_error_that_doubles_is_found() -> None:
    rng = np.random.default_rng(2)
    found = []
    for _ in range(50):
        wrong = np.concatenate([drawn(rng, 500, 0.02), drawn(rng, 1500, 0.10)])
        at = watch(observed(wrong), promised=0.05, delta=0.1, least_probability=1.0).alarm_at
        assert at is None or at > 500
        found.append(at)
    assert sum(at is not None for at in found) >= 48
    assert np.median([at for at in found if at is not None]) < 1000


def test_the_alarm_is_the_sum_of_its_bets() -> None:
    """Against the plain definition: a bet a start, each with its share, the rest set aside."""
    rng = np.random.default_rng(3)
    wrong, weights = drawn(rng, 2 * EVERY + 40, 0.1), rng.uniform(0.2, 1, 2 * EVERY + 40)
    bets = 1 + weights[:, None] * (wrong[:, None] - 0.05) * stakes(0.05, more=True)[None, :]
    plain = []
    for t in range(len(wrong) + 1):
        total = 0.0
        for k in range(1, 1000):
            start = (k - 1) * EVERY
            total += bets[start:t].prod(axis=0).mean() / (k * (k + 1)) if start <= t else 0.0
        started = t // EVERY + 1
        plain.append(total + 1 / (started + 1))
    assert np.exp(alarm_capital(wrong, weights, 0.05)) == pytest.approx(plain)


def test_observations_of_unequal_probability_are_weighed() -> None:
    """Doubtful tasks err at 20 % and are always seen, the others at 1 % and seen one in five:
    of all 4.8 %, of the seen far more. The plain share would raise an alarm."""
    rng = np.random.default_rng(4)
    alarms = 0
    for _ in range(100):
        doubtful = rng.random(2500) < 0.2
        wrong = np.where(doubtful, drawn(rng, 2500, 0.2), drawn(rng, 2500, 0.01))
        chance = np.where(doubtful, 1.0, 0.2)
        seen = rng.random(2500) < chance
        rows = [
            Observation(float(w), float(p)) for w, p in zip(wrong[seen], chance[seen], strict=True)
        ]
        report = watch(rows, promised=0.05, delta=0.1, least_probability=0.2)
        alarms += report.alarm_at is not None
        assert np.mean(wrong[seen]) > 0.07
        assert report.error == pytest.approx(0.048, abs=0.03)
    assert alarms <= 17


def test_an_error_well_below_the_promise_is_certified_in_time() -> None:
    report = watch(observed(np.zeros(100)), promised=0.05, delta=0.1, least_probability=1.0)
    assert report.certified_at is not None
    assert math.log(0.1) / math.log(0.95) <= report.certified_at < 80
    assert report.alarm_at is None
    assert (report.low, report.error) == (0.0, 0.0)
    assert report.high is not None
    assert upper_bound(0, 100, 0.05) < report.high < 0.07


def test_without_observations_nothing_is_said() -> None:
    report = watch([], promised=0.05, delta=0.1, least_probability=0.5)
    assert (report.n, report.alarm_at, report.certified_at) == (0, None, None)
    assert (report.error, report.low, report.high) == (None, None, None)
    assert list(np.exp(report.log_alarm)) == pytest.approx([1.0])


@pytest.mark.parametrize(
    ("row", "delta", "sentence"),
    [
        (Observation(1.0, 0.1), 0.1, "less probable"),
        (Observation(1.0, 1.5), 0.1, "at most 1"),
        (Observation(2.0), 0.1, "loss"),
        (Observation(1.0), 0.0, "delta"),
    ],
)
def test_what_cannot_be_watched_is_refused(row: Observation, delta: float, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        watch([row], promised=0.05, delta=delta, least_probability=0.5)
