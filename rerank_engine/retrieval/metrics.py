"""How good a ranking is, for one query: judged by which of its places hold something relevant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000


def recall_at(k: int, relevant: NDArray[np.bool_], total: int) -> float:
    """Share of the `total` relevant documents that stand at the first k places.

    `relevant` (m,) says of each place, best first, whether its document is relevant; so below.
    """
    return float(relevant[:k].sum() / total)


def reciprocal_rank_at(k: int, relevant: NDArray[np.bool_]) -> float:
    """1 over the place (from 1) of the first relevant document; 0 if none is at the first k."""
    places = np.flatnonzero(relevant[:k])
    return 1.0 / (1 + int(places[0])) if len(places) else 0.0


def ndcg_at(k: int, relevant: NDArray[np.bool_], total: int) -> float:
    """Normalised discounted cumulative gain (Järvelin & Kekäläinen 2002) for binary relevance.

    The sum of 1 / log2(1 + place) over relevant places, by that of `total` relevant ones in front.
    """
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    gained = discounts[: len(relevant[:k])][relevant[:k]].sum()
    return float(gained / discounts[: min(k, total)].sum())


def bootstrap_interval(
    values: NDArray[np.float64], groups: Sequence[str], *, seed: int
) -> tuple[float, float]:
    """95 % interval of the mean of `values` (n,) by bootstrap over `groups` (n), not over rows:
    queries of one group are alike, so that they tell less than as many others would."""
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    sums, sizes = np.bincount(codes, weights=values), np.bincount(codes)
    drawn = np.random.default_rng(seed).integers(len(sums), size=(RESAMPLES, len(sums)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
