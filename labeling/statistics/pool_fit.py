"""Weights of a pool, fitted by likelihood, with the mean to fall back to.

Tsymbalov 2025 (section 3.10) averages. A fitted pool may do better where validators differ in
quality, and worse where there are few rows to fit it on; so it is held against the mean on rows
that it was not fitted on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from labeling.statistics.pooling import LINEAR, LOG_LINEAR, POOLS, Distribution

Floats = NDArray[np.float64]

FLOORS = (1e-4, 1e-3, 1e-2)
LOSS_FLOOR = 1e-3
"""How far the mean and the linear pool are drawn towards the uniform distribution before a loss
is taken of them, so that one 0 does not cost infinitely much. It touches losses only."""
PRIOR_ROWS = 5.0
"""How strongly the weights are held to the mean, in rows of the fitting data."""
COPIES_FROM, COPIES_AT = 0.8, 0.98
"""Correlation of errors from which two validators begin to count as one, and at which they do."""
FOLDS = 5
RESAMPLES = 2000


@dataclass(frozen=True)
class Row:
    """One task: a distribution of every validator, in one order, and the options that are right."""

    verdicts: Sequence[Distribution]
    right: frozenset[str]


@dataclass(frozen=True)
class Weights:
    """A fitted pool: shares that sum to 1 in the order of the validators; the last two for the
    log-linear pool only."""

    shares: tuple[float, ...]
    temperature: float = 1.0
    floor: float = LOSS_FLOOR


@dataclass(frozen=True)
class Compared:
    """Mean loss (negative log-likelihood) per row, fitted on other rows, beside that of the mean.

    `difference` is fitted less mean, with the 95 % interval of a paired bootstrap.
    """

    rows: int
    fitted_loss: float
    mean_loss: float
    difference: float
    low: float
    high: float

    @property
    def is_better(self) -> bool:
        return self.difference < 0.0


@dataclass(frozen=True)
class _Data:
    """`p` has shape (rows, validators, options), padded with 0; `offered` and `right`, of shape
    (rows, options), say which options there are and which of them are right."""

    p: Floats
    offered: NDArray[np.bool_]
    right: NDArray[np.bool_]

    def take(self, rows: NDArray[np.intp]) -> _Data:
        return _Data(self.p[rows], self.offered[rows], self.right[rows])


def fit_pool(rows: Sequence[Row], kind: str) -> Weights:
    """The weights of the pool `kind` ("linear" or "log_linear") that fit `rows` best.

    What is minimised is the negative log-likelihood of the right options, plus `PRIOR_ROWS` times
    the distance of the weights from equal ones. Equal means: near-copies share the weight of one
    (`prior_shares`), and the distance, sum (w - m)^2 / m, is the same whether a validator stands
    there once or as several copies. Raises ValueError for another kind or without rows.
    """
    if kind not in POOLS or kind not in (LINEAR, LOG_LINEAR) or not rows:
        raise ValueError(f"{kind!r} cannot be fitted on {len(rows)} rows.")
    return _fit(_packed(rows), kind)


def compare(rows: Sequence[Row], kind: str, *, seed: int = 0) -> Compared:
    """Cross-fit the pool `kind` and hold it against the mean on the rows left out of each fit."""
    data = _packed(rows)
    folds = np.random.default_rng(seed).permutation(len(rows)) % FOLDS
    fitted = np.zeros(len(rows))
    for fold in range(FOLDS):
        out = np.flatnonzero(folds == fold)
        if len(out):
            weights = _fit(data.take(np.flatnonzero(folds != fold)), kind)
            fitted[out] = _losses(data.take(out), kind, weights)
    validators = data.p.shape[1]
    mean = _losses(data, LINEAR, Weights((1.0 / validators,) * validators))
    gap = fitted - mean
    draws = np.random.default_rng(seed).integers(0, len(gap), (RESAMPLES, len(gap)))
    low, high = np.quantile(gap[draws].mean(axis=1), [0.025, 0.975])
    return Compared(
        len(rows),
        float(fitted.mean()),
        float(mean.mean()),
        float(gap.mean()),
        float(low),
        float(high),
    )


def prior_shares(rows: Sequence[Row]) -> Floats:
    """Equal shares, shape (validators,), but for near-copies, which share that of one.

    Two validators count as one to the degree that the correlation of their errors (the right
    options as 0 and 1, less the probabilities) lies between `COPIES_FROM` and `COPIES_AT`.
    """
    return _prior(_packed(rows))


def _packed(rows: Sequence[Row]) -> _Data:
    options = [
        sorted({option for verdict in row.verdicts for option in verdict} | row.right)
        for row in rows
    ]
    most = max(len(names) for names in options)
    p = np.zeros((len(rows), len(rows[0].verdicts), most))
    offered = np.zeros((len(rows), most), bool)
    right = np.zeros((len(rows), most), bool)
    for n, (row, names) in enumerate(zip(rows, options, strict=True)):
        offered[n, : len(names)] = True
        right[n, : len(names)] = [name in row.right for name in names]
        for v, verdict in enumerate(row.verdicts):
            p[n, v, : len(names)] = [verdict.get(name, 0.0) for name in names]
    return _Data(p, offered, right)


def _prior(data: _Data) -> Floats:
    hits = data.right / np.maximum(data.right.sum(axis=1, keepdims=True), 1)
    errors = (hits[:, None, :] - data.p).transpose(1, 0, 2)[:, data.offered]
    norms = np.sqrt((errors**2).sum(axis=1))
    scale = np.where(norms > 0.0, norms, 1.0)
    correlation = (errors @ errors.T) / np.outer(scale, scale)
    copies = np.clip((correlation - COPIES_FROM) / (COPIES_AT - COPIES_FROM), 0.0, 1.0)
    np.fill_diagonal(copies, 1.0)
    shares: Floats = 1.0 / copies.sum(axis=1)
    shares /= shares.sum()
    return shares


def _fit(data: _Data, kind: str) -> Weights:
    prior = _prior(data)
    floors = FLOORS if kind == LOG_LINEAR else (LOSS_FLOOR,)
    fits = [_fit_at(data, kind, prior, floor) for floor in floors]
    return min(fits, key=lambda fit: fit[0])[1]


def _fit_at(data: _Data, kind: str, prior: Floats, floor: float) -> tuple[float, Weights]:
    """The least penalised loss with this floor, and the weights that have it."""

    def weights_at(point: Floats) -> Weights:
        shares = prior * np.exp(point[: len(prior)])
        temperature = float(np.exp(point[-1])) if kind == LOG_LINEAR else 1.0
        return Weights(tuple((shares / shares.sum()).tolist()), temperature, floor)

    def cost(point: Floats) -> float:
        weights = weights_at(point)
        away = float((((np.array(weights.shares) - prior) ** 2) / prior).sum())
        away += float(np.log(weights.temperature)) ** 2
        return float(_losses(data, kind, weights).sum()) + PRIOR_ROWS * away

    start = np.zeros(len(prior) + (kind == LOG_LINEAR))
    found = minimize(cost, start, method="L-BFGS-B", bounds=[(-5.0, 5.0)] * len(start))
    return float(found.fun), weights_at(found.x)


def _losses(data: _Data, kind: str, weights: Weights) -> Floats:
    """Negative log-likelihood of each row's right options under the pool, shape (rows,)."""
    of: Callable[[_Data, Weights], Floats] = _log_linear if kind == LOG_LINEAR else _linear
    q = of(data, weights)
    losses: Floats = -np.log((q * data.right).sum(axis=1))
    return losses


def _linear(data: _Data, weights: Weights) -> Floats:
    return _raised(np.einsum("rvo,v->ro", data.p, np.array(weights.shares)), data, weights.floor)


def _log_linear(data: _Data, weights: Weights) -> Floats:
    p = np.stack(
        [_raised(data.p[:, v], data, weights.floor) for v in range(data.p.shape[1])], axis=1
    )
    logs = np.log(np.where(data.offered[:, None, :], p, 1.0))
    score = np.einsum("rvo,v->ro", logs, np.array(weights.shares)) / weights.temperature
    score = np.where(data.offered, score, -np.inf)
    q: Floats = np.exp(score - score.max(axis=1, keepdims=True))
    q /= q.sum(axis=1, keepdims=True)
    return q


def _raised(p: Floats, data: _Data, floor: float) -> Floats:
    options = data.offered.sum(axis=1, keepdims=True)
    mixed: Floats = ((1.0 - floor) * p + floor / options) * data.offered
    return mixed
