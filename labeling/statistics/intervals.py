"""Intervals for a share."""

from __future__ import annotations

import math
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
    z = float(norm.ppf(0.5 + confidence / 2))
    value = successes / n
    centre = (value + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(value * (1 - value) / n + z * z / (4 * n * n))
    # Where all or none succeed a bound is the share itself, but for the last digit of rounding.
    low, high = min(max(centre - half, 0.0), value), max(min(centre + half, 1.0), value)
    return Share(successes, n, value, low, high)
