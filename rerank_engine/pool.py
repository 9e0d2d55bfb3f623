"""Our reranking: a fitted log-linear pool of several views of a text, always a distribution.

log q = w_1 log p_1 + ... + w_V log p_V - log(sum): the views are the classifier's softmax, the
closeness of text and labels in the semantic map, and the labels of the nearest labeled texts. An
exponent of 0 leaves a view out, so the pool contains "do not rerank" (only the classifier), and
for positive cosines eq. 10 of Huang et al. 2024. Its negative log-likelihood is convex in the
exponents, so the fit has one optimum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerank_engine.calibration import negative_log_likelihood
from rerank_engine.errors import ScoresError, TrainingDataError
from rerank_engine.lrsl import softmax

FloatArray = NDArray[np.floating[Any]]
Views = Mapping[str, FloatArray]
CLASSIFIER = "classifier"
# Of probabilities below it nothing is known but that they are small.
LOG_FLOOR = float(np.log(1e-12))
_FOLDS = 5
# An exponent costs this much of the mean negative log-likelihood a row for each unit squared:
# nothing for hundreds of rows, and it keeps an exponent finite where a few rows are all right.
_RIDGE = 1e-4


@dataclass(frozen=True)
class LogLinearPool:
    """Fitted exponents by view, in the order in which the views are added up.

    `classifier` is among them: its exponent is the inverse temperature of the classifier.
    """

    weights: dict[str, float]

    def combine(self, views: Views) -> NDArray[np.float64]:
        """Views of log-probabilities, each (n, C), to probabilities (n, C).

        NaN in the classifier's view (score unknown) stays 0. Raises ScoresError where a view with
        an exponent above 0 is missing, or shapes differ.
        """
        logits = _weighted(_checked(views, self.weights), self.weights)
        return softmax(logits)

    @property
    def reranks(self) -> bool:
        """False where only the classifier counts: the order of the labels stays as it was."""
        return any(weight > 0 for name, weight in self.weights.items() if name != CLASSIFIER)


def _checked(views: Views, weights: Mapping[str, float]) -> dict[str, NDArray[np.float64]]:
    missing = [name for name, weight in weights.items() if weight > 0 and name not in views]
    if missing or CLASSIFIER not in views:
        raise ScoresError(f"The view {', '.join(missing) or CLASSIFIER} is missing.")
    shape = np.shape(views[CLASSIFIER])
    found = {}
    for name in weights:
        if name not in views:
            continue
        values = np.asarray(views[name], dtype=np.float64)
        if values.shape != shape or len(shape) != 2:
            raise ScoresError(f"The view {name} has the shape {values.shape}, not {shape}.")
        if np.isposinf(values).any() or (name != CLASSIFIER and np.isnan(values).any()):
            raise ScoresError(f"The view {name} holds a number that is not finite.")
        found[name] = np.maximum(values, LOG_FLOOR)
    return found


def _weighted(
    views: Mapping[str, NDArray[np.float64]], weights: Mapping[str, float]
) -> NDArray[np.float64]:
    # Unknown labels are NaN in the classifier's view and stay unknown whatever its exponent.
    total = np.where(np.isnan(views[CLASSIFIER]), np.nan, 0.0)
    for name, weight in weights.items():
        if weight > 0:
            total = total + weight * views[name]
    return np.asarray(total, dtype=np.float64)


@dataclass(frozen=True)
class PoolFit:
    """A fitted pool and, for each set of views tried, its cross-validated negative log-likelihood
    (mean over rows), the sets named by their views joined with "+".

    `held_out` (n, C) are the probabilities of the chosen set, each row's by exponents that were
    fitted without it: what to judge the pool by. Rows that could not be learned from are NaN.
    """

    pool: LogLinearPool
    cross_validated: dict[str, float]
    held_out: NDArray[np.float64]


def fit_pool(
    views: Views, labels: NDArray[np.integer[Any]], *, sets: Sequence[Sequence[str]], seed: int = 0
) -> PoolFit:
    """Fit the exponents on rows that trained none of the views, and choose which views to use.

    `views` hold log-probabilities (n, C), `labels` (n,) the true ones. Of `sets` (each a list of
    views, the classifier always among them, which alone stands for "do not rerank") the one with
    the least cross-validated negative log-likelihood wins, the earlier of equal ones. Rows whose
    true label is unknown to the classifier cannot be learned from and are left out.
    Raises TrainingDataError, ScoresError.
    """
    truth = np.asarray(labels)
    checked = _checked(views, dict.fromkeys({name for names in sets for name in names}, 1.0))
    shape = checked[CLASSIFIER].shape
    if truth.shape != shape[:1] or (len(truth) and not 0 <= truth.min() <= truth.max() < shape[1]):
        raise TrainingDataError(f"Labels {truth.shape} do not fit views of shape {shape}.")
    usable = ~np.isnan(checked[CLASSIFIER][np.arange(len(truth)), truth])
    if usable.sum() < 2 * _FOLDS:
        raise TrainingDataError(
            f"{int(usable.sum())} rows are too few to fit a pool on; {2 * _FOLDS} are needed."
        )
    rows = {name: values[usable] for name, values in checked.items()}
    truth = truth[usable]
    shares = [_cross_validated(rows, truth, names, seed) for names in sets]
    losses = [float(negative_log_likelihood(found, truth).mean()) for found in shares]
    best = int(np.argmin(losses))  # the first of equal ones
    tried = {"+".join(names): loss for names, loss in zip(sets, losses, strict=True)}
    held_out = np.full(shape, np.nan)
    held_out[usable] = shares[best]
    return PoolFit(LogLinearPool(_fit(rows, truth, sets[best])), tried, held_out)


def _cross_validated(
    views: Mapping[str, NDArray[np.float64]],
    truth: NDArray[np.integer[Any]],
    names: Sequence[str],
    seed: int,
) -> NDArray[np.float64]:
    """Probabilities (n, C) of rows under exponents fitted without their fold."""
    fold = np.random.default_rng(seed).permutation(len(truth)) % _FOLDS
    shares = np.empty(views[CLASSIFIER].shape)
    for number in range(_FOLDS):
        rest, held = fold != number, fold == number
        weights = _fit({name: views[name][rest] for name in names}, truth[rest], names)
        kept = {name: view[held] for name, view in views.items()}
        shares[held] = softmax(_weighted(kept, weights))
    return shares


def _fit(
    views: Mapping[str, NDArray[np.float64]],
    truth: NDArray[np.integer[Any]],
    names: Sequence[str],
) -> dict[str, float]:
    from scipy.optimize import minimize

    known = ~np.isnan(views[CLASSIFIER])
    stacked = np.stack([np.where(known, views[name], LOG_FLOOR) for name in names])
    right = stacked[:, np.arange(len(truth)), truth]

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = np.where(known, np.tensordot(weights, stacked, axes=1), -np.inf)
        shares = softmax(logits)
        peak = logits.max(axis=1)
        total = peak + np.log(np.exp(logits - peak[:, None]).sum(axis=1))
        expected = np.einsum("nc,vnc->v", shares, stacked) / len(truth)
        value = float((total - weights @ right).mean()) + _RIDGE * float(weights @ weights)
        return value, expected - right.mean(axis=1) + 2 * _RIDGE * weights

    start = np.array([1.0 if name == CLASSIFIER else 0.0 for name in names])
    bounds = [(0.0, None)] * len(names)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return {name: float(weight) for name, weight in zip(names, found.x, strict=True)}
