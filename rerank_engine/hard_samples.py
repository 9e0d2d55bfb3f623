"""Which rows are hard: the variance of their top-k scores is low (Huang et al. 2024, eq. 7).

The variance is taken on raw logits. Where a classifier gives probabilities, take their logarithm
first (`as_log_scores`): it differs from the logits by one constant a row, which no variance sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rerank_engine.errors import NothingMisclassifiedError, ScoresError, TrainingDataError

FloatArray = NDArray[np.floating[Any]]

# A stored probability of 0 is a rounded one; its logarithm must stay finite.
PROBABILITY_FLOOR = 1e-12
K_CHOICES = (2, 3, 4, 5, 7, 10)


@dataclass(frozen=True)
class HardThreshold:
    """Rows with a top-k variance below `threshold` are hard.

    `n_rows` rows were looked at, `n_misclassified` of them gave the mean.
    """

    k: int
    threshold: float
    n_rows: int
    n_misclassified: int


def as_log_scores(
    scores: FloatArray, kind: Literal["logits", "probabilities"]
) -> NDArray[np.float64]:
    """Scores on the scale of logits, (n, C); NaN (unknown) stays NaN.

    Logits pass unchanged; probabilities become logarithms, 0 counting as 1e-12. Raises
    ScoresError for another kind or a negative probability.
    """
    values = np.asarray(scores, dtype=np.float64)
    if kind == "logits":
        return values
    if kind != "probabilities":
        raise ScoresError(f"Scores are 'logits' or 'probabilities', not {kind!r}.")
    if (values < 0).any():
        raise ScoresError("A probability is negative.")
    result: NDArray[np.float64] = np.log(np.maximum(values, PROBABILITY_FLOOR))
    return result


def top_k_variance(scores: FloatArray, k: int) -> NDArray[np.float64]:
    """Population variance of the k highest known scores of each row, (n, C) -> (n,).

    NaN scores are unknown and left out. A row with fewer than k known scores uses those it has;
    with fewer than two the variance is NaN.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2:
        raise ScoresError(f"Scores need the shape (rows, labels); got {values.shape}.")
    if k < 2:
        raise ScoresError("A variance needs the top 2 scores at least.")
    if np.isinf(values).any():
        raise ScoresError("A score is infinite, so its row has no variance.")
    # NaN sorts last, so after negation the known scores stand first, highest first.
    top = -np.sort(-values, axis=1)[:, :k]
    known = ~np.isnan(top)
    count = known.sum(axis=1)
    enough = np.maximum(count, 1)
    mean = np.where(known, top, 0.0).sum(axis=1) / enough
    squares = np.where(known, top - mean[:, None], 0.0) ** 2
    return np.where(count >= 2, squares.sum(axis=1) / enough, np.nan)


def fit_hard_threshold(
    scores: FloatArray, labels: NDArray[np.integer[Any]], *, k: int
) -> HardThreshold:
    """Mean top-k variance over the misclassified rows (eq. 7).

    `scores` (n, C) on the scale of logits, of rows the classifier was not trained on; `labels`
    (n,) are the true ones. Rows with fewer than two known scores do not count. Raises
    NothingMisclassifiedError where no counted row is wrong, TrainingDataError for bad labels.
    """
    values = np.asarray(scores, dtype=np.float64)
    truth = np.asarray(labels)
    variance = top_k_variance(values, k)
    if truth.shape != (len(values),):
        raise TrainingDataError(f"{len(values)} rows of scores came with {truth.size} labels.")
    if len(truth) and (truth.min() < 0 or truth.max() >= values.shape[1]):
        raise TrainingDataError(f"A label lies outside of 0 to {values.shape[1] - 1}.")
    usable = ~np.isnan(variance)
    guesses = np.where(np.isnan(values), -np.inf, values).argmax(axis=1)
    wrong = usable & (guesses != truth)
    if not wrong.any():
        raise NothingMisclassifiedError(
            f"None of {int(usable.sum())} rows is misclassified, so there is no threshold "
            "below which a row is hard."
        )
    return HardThreshold(k, float(variance[wrong].mean()), int(usable.sum()), int(wrong.sum()))


def is_hard(scores: FloatArray, fit: HardThreshold) -> NDArray[np.bool_]:
    """True for rows whose top-k variance is below the threshold, (n, C) -> (n,).

    A row with fewer than two known scores has nothing to rerank and is not hard.
    """
    hard: NDArray[np.bool_] = top_k_variance(scores, fit.k) < fit.threshold
    return hard


def choose_k(
    scores: FloatArray, labels: NDArray[np.integer[Any]], *, choices: Sequence[int] = K_CHOICES
) -> int:
    """The k whose top-k variance tells misclassified rows from right ones best.

    By the area under the ROC curve over rows (n, C) the classifier was not trained on; the smaller
    k in a tie. k = 2 where all rows are right or all wrong: nothing can be told apart.
    """
    values = np.asarray(scores, dtype=np.float64)
    guesses = np.where(np.isnan(values), -np.inf, values).argmax(axis=1)
    wrong = guesses != np.asarray(labels)
    possible = [k for k in choices if k <= values.shape[1]] or [2]
    areas = [_area(top_k_variance(values, k), wrong) for k in possible]
    return possible[int(np.argmax(areas))]


def _area(variance: NDArray[np.float64], wrong: NDArray[np.bool_]) -> float:
    """P(a wrong row has a lower variance than a right one), ties half; 0.5 where it is undefined.

    Rows without a variance do not count.
    """
    from scipy.stats import rankdata

    known = ~np.isnan(variance)
    ranks = rankdata(variance[known])
    bad = wrong[known]
    n_bad, n_good = int(bad.sum()), int((~bad).sum())
    if not n_bad or not n_good:
        return 0.5
    above = float(ranks[~bad].sum()) - n_good * (n_good + 1) / 2
    return above / (n_bad * n_good)


@dataclass(frozen=True)
class MarginalPoint:
    """What a variance threshold would cost and bring: the share of rows it makes hard, and the
    accuracy when those and only those are reranked."""

    variance: float
    hard_share: float
    accuracy: float


def marginal_effect(
    variance: FloatArray,
    right_before: NDArray[np.bool_],
    right_after: NDArray[np.bool_],
    *,
    points: int = 41,
) -> list[MarginalPoint]:
    """Accuracy and hard share against the variance threshold (figures 4 and 10 of the paper).

    `variance` (n,); `right_before` and `right_after` (n,) say whether the best label of a row is
    the true one without and with reranking. Thresholds are quantiles of the variance, from "no row
    is hard" to "every row is". Rows without a variance are never hard. Raises ScoresError.
    """
    spread = np.asarray(variance, dtype=np.float64)
    before, after = np.asarray(right_before, dtype=bool), np.asarray(right_after, dtype=bool)
    if spread.ndim != 1 or before.shape != spread.shape or after.shape != spread.shape:
        raise ScoresError("Variance and correctness need one value a row.")
    known = np.sort(spread[~np.isnan(spread)])
    if not len(known):
        raise ScoresError("No row has a variance.")
    cuts = np.unique(np.quantile(known, np.linspace(0.0, 1.0, points - 1)))
    curve = []
    for cut in [*cuts.tolist(), float(np.nextafter(known[-1], np.inf))]:
        hard = spread < cut
        right = np.where(hard, after, before)
        curve.append(MarginalPoint(cut, float(hard.mean()), float(right.mean())))
    return curve
