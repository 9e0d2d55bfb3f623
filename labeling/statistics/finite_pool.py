"""Certificates for one frozen pool of rows, such as one export: sampled without replacement.

Nothing is assumed of the texts: the only chance is that of the sampling. The pool is frozen first;
then rows are drawn from it at random, each at most once, and labeled whatever the system thought.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln
from scipy.stats import hypergeom

from labeling.statistics.certificates import check_levels

# Errors are bet on as if their share had come from a beta distribution: one in a few dozen rows.
PRIOR = (0.5, 20.0)


@dataclass(frozen=True)
class PoolBound:
    """Of `pool` rows, `sampled` were looked at and `errors` found; at most `most` are wrong, of
    which `left` remain once those that were found are mended."""

    pool: int
    sampled: int
    errors: int
    most: int

    @property
    def left(self) -> int:
        return self.most - self.errors

    @property
    def share(self) -> float:
        """The upper bound as a share of the pool; 0 for an empty pool."""
        return self.most / self.pool if self.pool else 0.0


def _check(pool: int, sampled: int, errors: int, delta: float) -> None:
    if not 0 <= errors <= sampled <= pool:
        raise ValueError(f"{errors} errors in {sampled} rows of {pool} are impossible.")
    if not 0.0 < delta < 1.0:
        raise ValueError(f"The delta lies between 0 and 1; {delta} does not.")


def least_bad(pool: int, alpha: float) -> int:
    """The least number of errors that is more than the share alpha of the pool."""
    # The product of a share and a count may come out a little below the whole number it stands for.
    return math.floor(alpha * pool + 1e-9) + 1


def pool_p(pool: int, sampled: int, errors: int, alpha: float) -> float:
    """How likely so few errors are if more than alpha of the pool is wrong (hypergeometric)."""
    bad = least_bad(pool, alpha)
    return float(hypergeom.cdf(errors, pool, bad, sampled)) if bad <= pool else 0.0


def pool_bound(pool: int, sampled: int, errors: int, delta: float) -> PoolBound:
    """The most errors that the pool can hold, with confidence 1 - delta, by the exact
    hypergeometric test. The number of rows must have been fixed before their labels were seen."""
    _check(pool, sampled, errors, delta)
    low, high = errors, pool - (sampled - errors)
    while low < high:
        middle = (low + high + 1) // 2
        if hypergeom.cdf(errors, pool, middle, sampled) > delta:
            low = middle
        else:
            high = middle - 1
    return PoolBound(pool, sampled, errors, low)


def pool_sequence_bound(pool: int, sampled: int, errors: int, delta: float) -> PoolBound:
    """The same bound, good after every row: looking and stopping when it suffices is allowed.

    The ratio of prior to posterior is a bet against every possible number of errors
    (Waudby-Smith and Ramdas 2020, section 2): those against which it reaches 1 / delta are out.
    """
    _check(pool, sampled, errors, delta)
    total = np.arange(errors, pool - (sampled - errors) + 1, dtype=np.float64)
    a, b = PRIOR
    marginal = betaln(a + errors, b + sampled - errors) - betaln(a, b)
    capital = marginal - _log_chance(pool, total, sampled, errors)
    possible = np.flatnonzero(capital < -math.log(delta))
    # More errors than the greatest possible number are out whatever a smaller number says.
    most = int(total[possible[-1]]) if len(possible) else errors
    return PoolBound(pool, sampled, errors, most)


def _log_chance(
    pool: int, total: NDArray[np.float64], sampled: int, errors: int
) -> NDArray[np.float64]:
    """Logarithm of the chance of one given order of draws if `total` of the pool are wrong."""

    def falling(n: NDArray[np.float64] | float, k: int) -> NDArray[np.float64]:
        return np.asarray(gammaln(n + 1) - gammaln(n - k + 1), dtype=np.float64)

    good = sampled - errors
    return falling(total, errors) + falling(pool - total, good) - falling(float(pool), sampled)


def pool_sample_size(pool: int, alpha: float, delta: float, *, errors: int = 0) -> int | None:
    """The least number of rows to draw so that the pool is certified if at most `errors` of them
    are wrong; None where not even the whole pool would do."""
    check_levels(alpha, delta)
    if errors > alpha * pool + 1e-9:
        return None
    low, high = errors, pool
    while low < high:
        middle = (low + high) // 2
        if pool_p(pool, middle, errors, alpha) <= delta:
            high = middle
        else:
            low = middle + 1
    return low


def pool_sequence_size(pool: int, alpha: float, delta: float, *, errors: int = 0) -> int | None:
    """After how many rows, of which `errors` are wrong, `pool_sequence_bound` certifies the pool;
    None where not even the whole pool would do."""
    check_levels(alpha, delta)
    bad = least_bad(pool, alpha)
    if errors >= bad:
        return None
    low, high = errors, pool
    while low < high:
        middle = (low + high) // 2
        if pool_sequence_bound(pool, middle, errors, delta).most < bad:
            high = middle
        else:
            low = middle + 1
    return low
