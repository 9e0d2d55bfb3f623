"""Honest probabilities, and how to see whether they are.

A calibration maps a confidence to the share of right ones among rows of that confidence. It does
not make a classifier rank better: it is for honesty, the scorer (`labeling.statistics.scorer`) is
for coverage. Fitted maps are plain numbers that fit into JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize_scalar
from scipy.special import logsumexp

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]

EPSILON = 1e-12
# Points kept of a fitted step function; more rows are merged into bins of equal mass.
MOST_STEPS = 400
MIN_ROWS = 20


def _checked(confidence: Values, right: Flags) -> None:
    if confidence.shape != right.shape or confidence.ndim != 1:
        raise ValueError("Every row has one confidence and one flag.")
    if not np.isfinite(confidence).all():
        raise ValueError("A confidence is a number.")


def fit_temperature(log_probabilities: Values, truth: NDArray[np.integer[Any]]) -> float:
    """The T that makes softmax(log p / T) likeliest, in [0.05, 20]; shapes (n, C) and (n,).

    Guo et al. 2017. Raises ValueError without rows.
    """
    if not len(truth):
        raise ValueError("There are no rows to fit a temperature on.")
    rows = np.arange(len(truth))

    def loss(log_t: float) -> float:
        scaled = log_probabilities / np.exp(log_t)
        return float(np.mean(logsumexp(scaled, axis=1) - scaled[rows, truth]))

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


@dataclass(frozen=True)
class StepMap:
    """A rising map from confidence to probability, linear between its points."""

    at: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def interval(self, confidence: float) -> tuple[float, float]:
        return (
            float(np.interp(confidence, self.at, self.low)),
            float(np.interp(confidence, self.at, self.high)),
        )

    def probability(self, confidence: float) -> float:
        """One probability: of an interval [p0, p1] it is p1 / (1 - p0 + p1), which loses least
        in likelihood (Vovk and Petej 2014)."""
        low, high = self.interval(confidence)
        return high / (1.0 - low + high) if high > low else low

    def as_json(self) -> dict[str, list[float]]:
        return {"at": list(self.at), "low": list(self.low), "high": list(self.high)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> StepMap:
        return cls(tuple(stored["at"]), tuple(stored["low"]), tuple(stored["high"]))


def fit_isotonic(confidence: Values, right: Flags) -> StepMap:
    """The rising step function nearest to the flags (pool adjacent violators). Needs about a
    thousand rows to be smooth. Raises ValueError for fewer than 20 rows."""
    at, share, weight = _points(confidence, right)
    fitted = isotonic_regression(share, weights=weight).x
    return StepMap(tuple(at.tolist()), tuple(fitted.tolist()), tuple(fitted.tolist()))


def fit_venn_abers(confidence: Values, right: Flags) -> StepMap:
    """An interval of probability at each confidence: two isotonic fits, with the new row counted
    as wrong and as right (inductive Venn-Abers, Vovk, Petej and Fedorova 2015).

    Valid for few rows too: the interval is wide where little is known. Raises ValueError for fewer
    than 20 rows.
    """
    at, share, weight = _points(confidence, right)
    low, high = [], []
    for place in range(len(at)):
        ends = []
        for outcome in (0.0, 1.0):
            shares, weights = share.copy(), weight.copy()
            shares[place] = (share[place] * weight[place] + outcome) / (weight[place] + 1)
            weights[place] += 1
            ends.append(float(isotonic_regression(shares, weights=weights).x[place]))
        low.append(ends[0])
        high.append(ends[1])
    rising = np.maximum.accumulate
    return StepMap(tuple(at.tolist()), tuple(rising(low).tolist()), tuple(rising(high).tolist()))


def _points(confidence: Values, right: Flags) -> tuple[Values, Values, Values]:
    """Distinct confidences, rising, with the share of right ones and the number of rows."""
    _checked(confidence, right)
    if len(right) < MIN_ROWS:
        raise ValueError(f"A calibration needs {MIN_ROWS} rows; there are {len(right)}.")
    at, place = np.unique(confidence, return_inverse=True)
    if len(at) > MOST_STEPS:
        rank = np.searchsorted(np.sort(confidence), confidence, side="left")
        place = rank * MOST_STEPS // len(confidence)
        _, place = np.unique(place, return_inverse=True)
        at = np.bincount(place, confidence) / np.bincount(place)
    weight = np.bincount(place).astype(np.float64)
    return at, np.bincount(place, right) / weight, weight


@dataclass(frozen=True)
class Bin:
    """A bar of the reliability diagram: rows of like confidence."""

    n: int
    confidence: float
    right: float


def reliability(confidence: Values, right: Flags, *, bins: int = 15) -> list[Bin]:
    """Bins of equal mass, from the least confident on; rows of equal confidence stay together."""
    _checked(confidence, right)
    return [
        Bin(len(rows), float(confidence[rows].mean()), float(right[rows].mean()))
        for rows in _equal_mass(confidence, bins)
    ]


def _equal_mass(confidence: Values, bins: int) -> list[NDArray[np.intp]]:
    order = np.argsort(confidence, kind="stable")
    ranked = confidence[order]
    edges = (np.arange(1, bins) * len(ranked)) // bins
    # An edge within a tie moves to its start.
    edges = np.unique(np.searchsorted(ranked, ranked[edges], side="left")) if len(ranked) else edges
    return [rows for rows in np.split(order, edges) if len(rows)]


@dataclass(frozen=True)
class CalibrationReport:
    """How honest confidences are: `error` is the mean distance between confidence and share of
    right ones over bins of equal mass, with a 95 % bootstrap interval; `brier` and `log_loss`
    (nats) judge "is the label right?". All None without rows."""

    n: int
    error: float | None
    error_low: float | None
    error_high: float | None
    brier: float | None
    log_loss: float | None
    bins: list[Bin]


def calibration_report(
    confidence: Values, right: Flags, *, bins: int = 15, resamples: int = 500, seed: int = 0
) -> CalibrationReport:
    """Raises ValueError for shapes that do not fit or a confidence that is no number."""
    _checked(confidence, right)
    n = len(right)
    if not n:
        return CalibrationReport(0, None, None, None, None, None, [])
    rng = np.random.default_rng(seed)
    draws = [rng.integers(0, n, n) for _ in range(resamples)]
    errors = [calibration_error(confidence[rows], right[rows], bins=bins) for rows in draws]
    low, high = np.quantile(errors, [0.025, 0.975])
    p = np.clip(confidence, EPSILON, 1 - EPSILON)
    likelihood = np.where(right, np.log(p), np.log1p(-p))
    return CalibrationReport(
        n,
        calibration_error(confidence, right, bins=bins),
        float(low),
        float(high),
        float(np.mean((confidence - right) ** 2)),
        float(-likelihood.mean()),
        reliability(confidence, right, bins=bins),
    )


def calibration_error(confidence: Values, right: Flags, *, bins: int = 15) -> float:
    """Expected calibration error by bins of equal mass, in [0, 1]; 0 without rows."""
    found = reliability(confidence, right, bins=bins)
    return sum(b.n * abs(b.confidence - b.right) for b in found) / max(len(right), 1)
