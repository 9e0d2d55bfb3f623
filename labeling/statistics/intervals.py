"""Intervals for a share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import norm


@dataclass(frozen=True)
class Share:
    """`successes` out of `n` with an interval; every bound is None where n is 0."""

    successes: int
    n: int
    value: float | None
    low: float | None
    high: float | None


def wilson(successes: int, n: int, *, confidence: float = 0.95) -> Share:
    """Wilson score interval of a binomial share (Wilson 1927).

    Raises ValueError unless 0 <= successes <= n and 0 < confidence < 1.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes out of {n} is impossible.")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"A confidence of {confidence} is not between 0 and 1.")
    if n == 0:
        return Share(0, 0, None, None, None)
    low, high = _score_bounds(successes / n, n, confidence)
    return Share(successes, n, successes / n, low, high)


def _score_bounds(value: float, n: float, confidence: float) -> tuple[float, float]:
    """Wilson's bounds of a share that was seen in `n` > 0 rows, which need not be whole."""
    z = float(norm.ppf(0.5 + confidence / 2))
    centre = (value + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(value * (1 - value) / n + z * z / (4 * n * n))
    # Where all or none succeed a bound is the share itself, but for the last digit of rounding.
    return min(max(centre - half, 0.0), value), max(min(centre + half, 1.0), value)


def weighted_share(
    happened: Sequence[bool], probabilities: Sequence[float], *, confidence: float = 0.95
) -> Share:
    """The share of a whole of which each row was seen with its probability: every row counts one
    over it (Horvitz-Thompson), with Wilson's interval of as many rows of equal weight as would tell
    as much (Kish's effective number). `n` and `successes` count the rows that were seen.

    Raises ValueError where the two are not equally many, or a probability is not above 0.
    """
    if len(happened) != len(probabilities) or any(not one > 0.0 for one in probabilities):
        raise ValueError("Each row needs a probability above 0.")
    weights = [1.0 / one for one in probabilities]
    total = sum(weights)
    if not total:
        return wilson(0, 0, confidence=confidence)
    share = sum(w for w, yes in zip(weights, happened, strict=True) if yes) / total
    rows = total**2 / sum(w * w for w in weights)
    low, high = _score_bounds(share, rows, confidence)
    return Share(sum(happened), len(weights), share, low, high)
