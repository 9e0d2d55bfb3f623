"""LRSL: reranking of a classifier's scores by label semantics (Huang et al. 2024, eq. 8-10)."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rerank_engine.errors import ScoresError

FloatArray = NDArray[np.floating[Any]]
Mode = Literal["paper", "released", "released_snap", "similarity"]
MODES: tuple[Mode, ...] = get_args(Mode)
# The inverse temperature of the softmax over cosines; the semantic map is trained with it.
SIMILARITY_SCALE = 20.0


def softmax(scores: FloatArray) -> NDArray[np.float64]:
    """Row-wise softmax of (n, C) logits or log-probabilities, shape (n, C).

    NaN means "score unknown" and gets 0; the known ones sum to 1. Raises ScoresError for a row
    with no known score, or with an infinite one above all (+inf), or with nothing but -inf.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] == 0:
        raise ScoresError(f"Scores need the shape (rows, labels); got {values.shape}.")
    known = np.where(np.isnan(values), -np.inf, values)
    highest = known.max(axis=1, keepdims=True) if len(known) else np.zeros((0, 1))
    if not np.isfinite(highest).all():
        row = int(np.flatnonzero(~np.isfinite(highest[:, 0]))[0])
        raise ScoresError(f"Row {row} has no finite score to compare.")
    weights = np.exp(known - highest)
    result: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return result


def cosines(text_vectors: FloatArray, label_vectors: FloatArray) -> NDArray[np.float64]:
    """Cosine of each of n texts with each of C labels: (n, d), (C, d) -> (n, C).

    A zero vector has cosine 0 with everything.
    """
    return _unit(text_vectors) @ _unit(label_vectors).T


def _unit(vectors: FloatArray) -> NDArray[np.float64]:
    values = np.asarray(vectors, dtype=np.float64)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    result: NDArray[np.float64] = np.divide(
        values, norms, out=np.zeros_like(values), where=norms > 0
    )
    return result


def rerank(
    scores: FloatArray,
    text_vectors: FloatArray,
    label_vectors: FloatArray,
    *,
    mode: Mode = "paper",
    hard: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Rerank the hard rows; every row of the (n, C) result is a probability distribution.

    With D the cosines of a text with the labels and p = softmax(scores):

    - `paper`: R = D * p (eq. 10).
    - `released`: D^2 * p, as the published code has it for most data sets.
    - `released_snap`: as its branch for Banking77: the largest cosine counts as 1, then D^3 * p.
    - `similarity`: the order of D alone, softmax(20 D); the scores are not read but for which of
      them are unknown (tables 4 and 5).

    Two things are added that keep the order of the published products: they are divided by their
    sum, and a negative cosine counts as 0 (squared it would become a reward). A row whose products
    are all 0 says nothing about the order, so it keeps its softmax.

    `scores` are (n, C) logits or log-probabilities, NaN where unknown (stays 0); `text_vectors`
    (n, d) and `label_vectors` (C, d) need no normalisation. `hard` (n,) chooses the rows to
    rerank, None all of them; the others keep softmax(scores). Raises ScoresError.
    """
    if mode not in MODES:
        raise ScoresError(f"There is no reranking mode {mode!r}; known: {', '.join(MODES)}.")
    probabilities = softmax(scores)
    rows, labels = probabilities.shape
    _check_shapes(rows, labels, np.shape(text_vectors), np.shape(label_vectors))
    chosen = np.ones(rows, dtype=bool) if hard is None else np.asarray(hard, dtype=bool)
    if chosen.shape != (rows,):
        raise ScoresError(f"`hard` has the shape {chosen.shape}; it needs one flag a row ({rows}).")
    closeness = cosines(np.asarray(text_vectors)[chosen], label_vectors)
    if not np.isfinite(closeness).all():
        raise ScoresError("A text or label vector holds a number that is not finite.")
    products = _products(mode, closeness, probabilities[chosen])
    total = products.sum(axis=1, keepdims=True)
    probabilities[chosen] = np.divide(
        products, total, out=probabilities[chosen].copy(), where=total > 0
    )
    return probabilities


def _products(
    mode: Mode, closeness: NDArray[np.float64], before: NDArray[np.float64]
) -> NDArray[np.float64]:
    if mode == "similarity":
        return softmax(np.where(before > 0, SIMILARITY_SCALE * closeness, np.nan))
    positive = np.clip(closeness, 0.0, 1.0)
    if mode == "paper":
        return positive * before
    if mode == "released":
        return positive**2 * before
    nearest = positive.max(axis=1, keepdims=True)
    snapped = np.where((positive == nearest) & (nearest > 0), 1.0, positive)
    return np.asarray(snapped**3 * before, dtype=np.float64)


def _check_shapes(
    rows: int, labels: int, texts: tuple[int, ...], label_shape: tuple[int, ...]
) -> None:
    if len(texts) != 2 or len(label_shape) != 2 or texts[1] != label_shape[1]:
        raise ScoresError(f"Text vectors {texts} and label vectors {label_shape} do not fit.")
    if texts[0] != rows or label_shape[0] != labels:
        raise ScoresError(
            f"Scores of {rows} rows and {labels} labels do not fit {texts[0]} text vectors "
            f"and {label_shape[0]} label vectors."
        )


def top_candidates(probabilities: FloatArray, k: int) -> NDArray[np.int64]:
    """Indices of the best min(k, C) labels of each row, best first, shape (n, min(k, C)).

    Equal probabilities keep the order of the labels.
    """
    if k < 1:
        raise ScoresError("At least one candidate is needed.")
    order = np.argsort(-np.asarray(probabilities, dtype=np.float64), axis=1, kind="stable")
    return order[:, :k].astype(np.int64)
