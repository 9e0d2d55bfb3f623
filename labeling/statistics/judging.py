"""How good the probabilities of one judge are, beyond the share of right answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FLOOR = 1e-3


@dataclass(frozen=True)
class CurvePoint:
    """If the answers of at least this confidence are taken: how many of all, and of them right."""

    confidence: float
    taken: int
    right: int


def log_loss(probability_of_right: Sequence[float], options: Sequence[int]) -> float | None:
    """Mean negative log-likelihood of the right options; None without rows.

    Each distribution over `options` options is mixed with the uniform one (weight 0.001), so that
    one probability of 0 does not make it infinite.
    """
    if not len(probability_of_right):
        return None
    p = np.asarray(probability_of_right, float)
    mixed = (1.0 - FLOOR) * p + FLOOR / np.asarray(options, float)
    return float(-np.log(mixed).mean())


def coverage_curve(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> list[CurvePoint]:
    """One point for each distinct confidence, the most confident first."""
    if not len(confidence):
        return []
    order = np.argsort(-confidence, kind="stable")
    ranked, hits = confidence[order], np.cumsum(right[order])
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    return [CurvePoint(float(ranked[at]), int(at) + 1, int(hits[at])) for at in last]
