"""Bets against a share: tests for weighted rows, and such as may be looked at after every row.

A bettor starts with 1 and stakes on each row before seeing it. If the error is what is doubted,
the capital grows only by luck: the chance that it ever reaches 1 / delta is at most delta (Ville).
So the capital is evidence at any time, however often it is looked at (Waudby-Smith and Ramdas
2023, Podkopaev and Ramdas 2022).

A row counts `weight * (wrong - share)` where the weight is the least possible probability of
inclusion over that of the row: in (0, 1], and of the right mean whatever the probabilities. The
stakes are a fixed mixture, so that the order of the rows does not matter, and the capital is the
plain product of all rows. (Splitting rows into batches and adding the best of each, as a library
does, overstates it.)
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import logsumexp

Values = NDArray[np.float64]

# Alternatives to the doubted share that the mixture bets on, as parts of the way: from the share to
# 0 for a bet that the error is less, to 1 for a bet that it is more.
LESS = np.array([0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 0.999])
MORE = np.array([0.004, 0.01, 0.025, 0.06, 0.12, 0.25, 0.5, 0.8])


def stakes(share: float, *, more: bool) -> Values:
    """The mixture of stakes against `share`: for an error q, the stake that makes a 0/1 row grow
    the capital fastest is |q - share| / (share (1 - share)). Shape (k,)."""
    if not 0.0 < share < 1.0:
        raise ValueError(f"A share of {share} is not between 0 and 1.")
    return MORE / share if more else LESS / (1.0 - share)


def log_capital(wrong: Values, weights: Values, share: float, *, more: bool) -> Values:
    """Logarithm of the capital after each row, shape (n + 1,), for every stake apart: (n + 1, k).

    `wrong` holds losses in [0, 1], `weights` lie in (0, 1]. Raises ValueError otherwise.
    """
    if wrong.shape != weights.shape or wrong.ndim != 1:
        raise ValueError("Every row has one loss and one weight.")
    if len(wrong) and not (wrong.min() >= 0 and wrong.max() <= 1):
        raise ValueError("A loss lies between 0 and 1.")
    if len(weights) and not (weights.min() > 0 and weights.max() <= 1):
        raise ValueError("A weight lies above 0 and is at most 1.")
    gain = (weights * (wrong - share))[:, None] * stakes(share, more=more)[None, :]
    steps = np.log1p(gain if more else -gain)
    return np.concatenate([np.zeros((1, steps.shape[1])), np.cumsum(steps, axis=0)])


def mixed(log_capitals: Values) -> Values:
    """The mean over the stakes, as a logarithm."""
    return np.asarray(
        logsumexp(log_capitals, axis=-1) - np.log(log_capitals.shape[-1]), dtype=np.float64
    )


def betting_p(wrong: Values, weights: Values, share: float) -> float:
    """A p-value of "the error is `share` or more": one over the capital of betting on less."""
    capital = mixed(log_capital(wrong, weights, share, more=False))[-1]
    return float(min(1.0, np.exp(-capital)))


def betting_bound(wrong: Values, weights: Values, delta: float, *, upper: bool = True) -> float:
    """The upper bound of the error (or, with upper=False, the lower one) at confidence 1 - delta:
    where betting against a share just reaches 1 / delta. 1 (or 0) without enough rows."""
    goal = -math.log(delta)
    edge = 1e-6

    def beyond(share: float) -> float:
        capital = mixed(log_capital(wrong, weights, share, more=not upper))
        return float(capital[-1] - goal)

    low, high = edge, 1.0 - edge
    if upper:
        if beyond(high) < 0:
            return 1.0
        return low if beyond(low) >= 0 else float(brentq(beyond, low, high, xtol=1e-9))
    if beyond(low) < 0:
        return 0.0
    return high if beyond(high) >= 0 else float(brentq(beyond, low, high, xtol=1e-9))
