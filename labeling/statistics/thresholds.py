"""Thresholds on confidence. Tuned here, not certified: see the notes of `loosest_threshold`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# `target * counts` may come out a little above the whole number it stands for.
ROUNDING = 1e-9


@dataclass(frozen=True)
class TunedThreshold:
    """Accept at confidence >= `threshold`; on the rows it was tuned on that gave these figures."""

    threshold: float
    accepted: int
    right: int
    rows: int


def loosest_threshold(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], *, target: float
) -> TunedThreshold | None:
    """The lowest threshold at which the accepted rows reach accuracy `target`, or None.

    `confidence` has shape (n,), in [0, 1]; `right` has shape (n,) and says whether accepting the
    row's label would be right. Rows of equal confidence are accepted together. This is the
    ordinary tuning of Tsymbalov 2025 (section 3.10): the accuracy on new rows can be lower than
    the target; it is no guarantee.
    """
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    hits = np.cumsum(right[order])
    counts = np.arange(1, len(ranked) + 1)
    last_of_tie = np.append(ranked[1:] != ranked[:-1], True) if len(ranked) else np.array([], bool)
    good = np.flatnonzero(last_of_tie & (hits >= target * counts - ROUNDING))
    if not len(good):
        return None
    at = int(good[-1])
    return TunedThreshold(float(ranked[at]), int(counts[at]), int(hits[at]), len(ranked))
