"""Watching a promise: evidence from audits that may be looked at every day.

An observation is an audited task: was the machine's label wrong, and with what probability was it
to be observed at all. Where a regular annotator answers first and an expert sees every disagreement
but only a share of the agreements, an agreement that an expert has seen has the product of both
probabilities; one that no expert has seen is no observation.

Two bets run side by side (`labeling.statistics.betting`). The *alarm* bets that the error is above
the promise, and what it wins by chance while the promise holds passes 1 / delta with probability
delta at most, over the whole life of the policy and however often anybody looks. The *certificate*
bets that it is below.

A bet that has lost for months is slow to win when the world changes. So a new alarm starts every
`EVERY` observations; number k gets 1 / (k (k + 1)) of the capital, and all of it together is
still one bet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labeling.statistics.betting import betting_bound, log_capital, mixed

Values = NDArray[np.float64]
EVERY = 100


@dataclass(frozen=True)
class Observation:
    """An audited task: `wrong` is the loss in [0, 1], `probability` that of its being observed."""

    wrong: float
    probability: float = 1.0


@dataclass(frozen=True)
class MonitorReport:
    """What the audits say so far, in the order in which they came in.

    `alarm_at` is the number of the observation at which the alarm was first raised (1, 2, ...),
    None while it was not. `log_alarm` and `log_certificate` have shape (n + 1,): the logarithm of
    the capital after each observation; an alarm is due at `goal`. `error` is the weighted share of
    wrong ones; `low` and `high` bound it at any time with confidence 1 - delta, provided that
    it does not change; all three are None without observations.
    """

    n: int
    wrong: float
    alarm_at: int | None
    certified_at: int | None
    log_alarm: Values
    log_certificate: Values
    goal: float
    error: float | None
    low: float | None
    high: float | None


def watch(
    observations: Sequence[Observation], *, promised: float, delta: float, least_probability: float
) -> MonitorReport:
    """The evidence for and against "the error of the accepted is at most `promised`".

    `least_probability` is the least that any observation can have, known beforehand. Raises
    ValueError where an observation is less probable, or a share is not between 0 and 1.
    """
    if not 0.0 < delta < 1.0:
        raise ValueError(f"The delta lies between 0 and 1; {delta} does not.")
    wrong = np.array([seen.wrong for seen in observations], dtype=np.float64)
    chance = np.array([seen.probability for seen in observations], dtype=np.float64)
    if len(chance) and chance.min() < least_probability * (1 - 1e-9):
        raise ValueError("An observation is less probable than the least that was named.")
    if len(chance) and chance.max() > 1:
        raise ValueError("A probability is at most 1.")
    weights = np.minimum(least_probability / chance, 1.0) if len(chance) else chance
    alarm = alarm_capital(wrong, weights, promised)
    certificate = mixed(log_capital(wrong, weights, promised, more=False))
    goal = -math.log(delta)
    low, high = error_interval(wrong, weights, delta)
    return MonitorReport(
        n=len(wrong),
        wrong=float(wrong.sum()),
        alarm_at=_first(alarm >= goal),
        certified_at=_first(certificate >= goal),
        log_alarm=alarm,
        log_certificate=certificate,
        goal=goal,
        error=float((weights * wrong).sum() / weights.sum()) if len(wrong) else None,
        low=low if len(wrong) else None,
        high=high if len(wrong) else None,
    )


def alarm_capital(wrong: Values, weights: Values, promised: float) -> Values:
    """Logarithm of the alarm's capital after each observation, shape (n + 1,)."""
    steps = log_capital(wrong, weights, promised, more=True)
    starts = np.arange(0, len(steps), EVERY)
    numbers = np.arange(1, len(starts) + 1)
    shares = -np.log(numbers * (numbers + 1.0))
    # A bet that started at s has exp(steps[t] - steps[s]) at t: so the sum over all bets that have
    # started is one running sum over s.
    started = np.logaddexp.accumulate(shares[:, None] - steps[starts], axis=0)
    epoch = np.arange(len(steps)) // EVERY
    running = mixed(steps + started[epoch])
    # What is set aside for bets that have not started yet: the sum of all later shares.
    aside = -np.log(numbers[epoch] + 1.0)
    return np.asarray(np.logaddexp(running, aside), dtype=np.float64)


def error_interval(wrong: Values, weights: Values, delta: float) -> tuple[float, float]:
    """Bounds of the error, each side with half of delta, good at any time for an error that stays
    the same."""
    return (
        betting_bound(wrong, weights, delta / 2, upper=False),
        betting_bound(wrong, weights, delta / 2, upper=True),
    )


def _first(reached: NDArray[np.bool_]) -> int | None:
    at = np.flatnonzero(reached)
    return int(at[0]) if len(at) else None
