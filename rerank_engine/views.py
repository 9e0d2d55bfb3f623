"""Views of a text: log-probabilities over the labels, each got another way.

All take and give numpy arrays for all rows at once; a log-linear pool adds them up.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerank_engine.errors import ScoresError
from rerank_engine.lrsl import SIMILARITY_SCALE, cosines, softmax

FloatArray = NDArray[np.floating[Any]]
NEIGHBOURS = 32
# The inverse temperature of a neighbour's vote, and the votes shared out among all labels so that
# a label without a neighbour is unlikely and not impossible.
VOTE_SCALE = 20.0
PRIOR_VOTES = 0.1
_ROWS_AT_ONCE = 2048


def classifier_view(log_scores: FloatArray) -> NDArray[np.float64]:
    """log softmax of (n, C) logits; NaN (unknown) stays NaN."""
    probabilities = softmax(log_scores)
    with np.errstate(divide="ignore"):
        logs = np.log(probabilities)
    return np.where(np.isnan(log_scores), np.nan, logs)


def similarity_view(text_vectors: FloatArray, label_vectors: FloatArray) -> NDArray[np.float64]:
    """log softmax(20 cosine) of texts (n, d) with labels (C, d), shape (n, C)."""
    scores = SIMILARITY_SCALE * cosines(text_vectors, label_vectors)
    return _log_softmax(scores)


def neighbours_view(
    text_vectors: FloatArray,
    example_vectors: FloatArray,
    example_codes: NDArray[np.integer[Any]],
    n_labels: int,
    *,
    k: int = NEIGHBOURS,
) -> NDArray[np.float64]:
    """Log share of each label in the votes of the k nearest labeled texts, shape (n, C).

    A neighbour votes with exp(20 (cosine - 1)), so that near ones count more. Vectors (n, d) and
    (m, d) are of length 1, as encoders give them: to normalise m examples again for each batch
    would take longer than to search them. Raises ScoresError.
    """
    codes = np.asarray(example_codes)
    if not len(codes) or len(codes) != len(example_vectors):
        raise ScoresError(f"{len(example_vectors)} examples came with {len(codes)} labels.")
    take = min(k, len(codes))
    votes = np.full((len(text_vectors), n_labels), PRIOR_VOTES / n_labels)
    for start in range(0, len(text_vectors), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        near = text_vectors[rows] @ example_vectors.T
        best = np.argpartition(-near, take - 1, axis=1)[:, :take]
        weight = np.exp(VOTE_SCALE * (np.take_along_axis(near, best, axis=1) - 1.0))
        place = np.arange(len(near))[:, None] * n_labels + codes[best]
        counted = np.bincount(place.ravel(), weight.ravel(), minlength=len(near) * n_labels)
        votes[rows] += counted.reshape(len(near), n_labels)
    shares: NDArray[np.float64] = np.log(votes / votes.sum(axis=1, keepdims=True))
    return shares


def _log_softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    peak = scores.max(axis=1, keepdims=True)
    total = peak + np.log(np.exp(scores - peak).sum(axis=1, keepdims=True))
    return np.asarray(scores - total, dtype=np.float64)
