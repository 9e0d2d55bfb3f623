"""How likely is this label right? More than the top probability knows.

Monotone calibration leaves the order of rows as it is, so it cannot raise the share that may be
accepted at a given error; only signs beyond the top probability can (arXiv 2510.20242). The scorer
is a ridge logistic regression on such signs. It is fitted on *fit*, and used only where on *tune*
it ranks better than the top probability (`ranks_better`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
Distribution = Mapping[str, float]

SMALLEST = 1e-6
RIDGES = (0.3, 3.0, 30.0, 300.0)
FOLDS = 5
MIN_ROWS = 50
MIN_EACH = 8


@dataclass(frozen=True)
class Signs:
    """What is known of a row whose label may be accepted: the pooled distribution, every
    validator's own, the shares of probability that these gave to the options at all, how far each
    one's answers to shifted options lie apart, the candidates as (label, probability after
    reranking, before, cosine or None), and the scores of the documents found."""

    label: str
    pooled: Distribution
    verdicts: Sequence[Distribution] = ()
    masses: Sequence[float] = ()
    spreads: Sequence[float] = ()
    candidates: Sequence[tuple[str, float, float, float | None]] = ()
    documents: Sequence[float] = field(default_factory=tuple)


def features(signs: Signs) -> dict[str, float]:
    """Named numbers of a row; a sign that is missing is left out."""
    found = _of_distribution("pooled", signs.pooled, signs.label)
    for number, verdict in enumerate(signs.verdicts):
        found |= _of_distribution(f"validator{number}", verdict, signs.label)
    if len(signs.verdicts) > 1:
        own = [verdict.get(signs.label, 0.0) for verdict in signs.verdicts]
        found["disagreement"] = max(own) - min(own)
        found["least_support"] = _log_odds(min(own))
    if signs.masses:
        found["mass"] = _log_odds(min(signs.masses))
    if signs.spreads:
        found["spread"] = max(signs.spreads)
    found |= _of_candidates(signs)
    if signs.documents:
        found["document"] = max(signs.documents)
    return found


def _of_distribution(name: str, distribution: Distribution, label: str) -> dict[str, float]:
    own = distribution.get(label, 0.0)
    others = max((p for option, p in distribution.items() if option != label), default=0.0)
    entropy = -sum(p * math.log(p) for p in distribution.values() if p > 0)
    return {
        f"{name}_support": _log_odds(own),
        f"{name}_margin": _log(own) - _log(others),
        f"{name}_entropy": entropy,
    }


def _of_candidates(signs: Signs) -> dict[str, float]:
    mine = next((c for c in signs.candidates if c[0] == signs.label), None)
    if mine is None:
        return {}
    _label, after, before, cosine = mine
    others = [c for c in signs.candidates if c[0] != signs.label]
    found = {
        "classifier_support": _log_odds(before),
        "classifier_margin": _log(before) - _log(max((c[2] for c in others), default=0.0)),
        "reranked_support": _log_odds(after),
        "reranked_margin": _log(after) - _log(max((c[1] for c in others), default=0.0)),
        "reranking_changed": _log(after) - _log(before),
    }
    if cosine is not None:
        found["similarity"] = cosine
        near = [c[3] for c in others if c[3] is not None]
        if near:
            found["similarity_margin"] = cosine - max(near)
    return found


def _log(p: float) -> float:
    return math.log(max(p, SMALLEST))


def _log_odds(p: float) -> float:
    kept = min(max(p, SMALLEST), 1 - SMALLEST)
    return math.log(kept / (1 - kept))


@dataclass(frozen=True)
class Scorer:
    """Weights of standardised features; a feature that a row lacks counts as its mean."""

    names: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float

    def probability(self, row: Mapping[str, float]) -> float:
        """The probability that the row's label is right."""
        total = self.intercept
        for name, mean, scale, weight in zip(
            self.names, self.means, self.scales, self.weights, strict=True
        ):
            total += weight * (row.get(name, mean) - mean) / scale
        return float(expit(total))

    def as_json(self) -> dict[str, Any]:
        return {
            "names": list(self.names),
            "means": list(self.means),
            "scales": list(self.scales),
            "weights": list(self.weights),
            "intercept": self.intercept,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Scorer:
        return cls(
            names=tuple(stored["names"]),
            means=tuple(stored["means"]),
            scales=tuple(stored["scales"]),
            weights=tuple(stored["weights"]),
            intercept=float(stored["intercept"]),
        )


def fit_scorer(
    rows: Sequence[Mapping[str, float]], right: Flags, *, seed: int = 0
) -> Scorer | None:
    """Fit on rows of *fit*; the ridge is chosen by cross-validated likelihood.

    None where there are fewer than 50 rows, or fewer than 8 right or 8 wrong ones: then there is
    nothing to learn.
    """
    if len(rows) != len(right):
        raise ValueError("Every row has one flag.")
    if len(rows) < MIN_ROWS or min(right.sum(), (~right).sum()) < MIN_EACH:
        return None
    names = tuple(sorted({name for row in rows for name in row}))
    table = np.array([[row.get(name, np.nan) for name in names] for row in rows])
    means = np.nanmean(table, axis=0)
    scales = np.maximum(np.nanstd(table, axis=0), SMALLEST)
    standard = np.where(np.isnan(table), 0.0, (table - means) / scales)
    ridge = _best_ridge(standard, right, seed)
    weights, intercept = _logistic(standard, right, ridge)
    return Scorer(
        names,
        tuple(means.tolist()),
        tuple(scales.tolist()),
        tuple(weights.tolist()),
        intercept,
    )


def _best_ridge(table: Values, right: Flags, seed: int) -> float:
    fold = np.random.default_rng(seed).permutation(len(right)) % FOLDS
    losses = dict.fromkeys(RIDGES, 0.0)
    for ridge in RIDGES:
        for number in range(FOLDS):
            rest = fold != number
            weights, intercept = _logistic(table[rest], right[rest], ridge)
            odds = table[~rest] @ weights + intercept
            losses[ridge] += float(np.logaddexp(0, np.where(right[~rest], -odds, odds)).sum())
    return min(RIDGES, key=lambda ridge: losses[ridge])


def _logistic(table: Values, right: Flags, ridge: float) -> tuple[Values, float]:
    """Weights and intercept of the logistic regression with the penalty ridge / 2 * |w|^2."""
    sign = np.where(right, 1.0, -1.0)

    def loss(w: Values) -> tuple[float, Values]:
        odds = sign * (table @ w[:-1] + w[-1])
        slope = -sign * expit(-odds)
        gradient = np.append(table.T @ slope + ridge * w[:-1], slope.sum())
        return float(np.logaddexp(0, -odds).sum() + ridge / 2 * w[:-1] @ w[:-1]), gradient

    found = minimize(loss, np.zeros(table.shape[1] + 1), jac=True, method="L-BFGS-B").x
    return found[:-1], float(found[-1])


@dataclass(frozen=True)
class Comparison:
    """Area under the curve of error against coverage (less is better) of two scores on the same
    rows, and the share of bootstrap samples in which the first is not better."""

    first: float
    second: float
    p_value: float

    @property
    def first_wins(self) -> bool:
        return self.p_value <= 0.05


def ranks_better(
    first: Values, second: Values, right: Flags, *, resamples: int = 1000, seed: int = 0
) -> Comparison:
    """Does the first score rank right rows above wrong ones better than the second?

    A paired bootstrap over rows. Without wrong or without right rows nobody wins (p = 1).
    """
    if not len(right) or right.all() or not right.any():
        return Comparison(0.0, 0.0, 1.0)
    n = len(right)
    rng = np.random.default_rng(seed)
    gains = []
    for start in range(0, resamples, 100):
        draws = rng.multinomial(n, np.full(n, 1 / n), size=min(100, resamples - start))
        gains.append(_areas(second, right, draws) - _areas(first, right, draws))
    p_value = (1 + int((np.concatenate(gains) <= 0).sum())) / (resamples + 1)
    whole = np.ones((1, n))
    return Comparison(
        float(_areas(first, right, whole)[0]), float(_areas(second, right, whole)[0]), p_value
    )


def area_under_risk(score: Values, right: Flags) -> float:
    """Mean error of the accepted over all coverages, the surest rows first; 0 without rows."""
    return float(_areas(score, right, np.ones((1, len(right))))[0]) if len(right) else 0.0


def _areas(score: Values, right: Flags, counts: NDArray[Any]) -> Values:
    """One area for each line of `counts`, shape (b, n): how often each row was drawn. Rows of equal
    score share their errors evenly."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    drawn = counts[:, order].astype(np.float64)
    errors = drawn * ~right[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    accepted = np.cumsum(drawn, axis=1)[:, ends]
    wrong = np.cumsum(errors, axis=1)[:, ends]
    size = np.diff(accepted, axis=1, prepend=0.0)
    risk = wrong / np.maximum(accepted, 1.0)
    return np.asarray((risk * size).sum(axis=1) / accepted[:, -1], dtype=np.float64)
