"""How good a distribution over labels is: accuracy, likelihood, calibration."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerank_engine.errors import ScoresError

FloatArray = NDArray[np.floating[Any]]
BINS = 15
# Below it a probability is taken for a rounded one; it bounds the loss of one row at 27.6.
SMALLEST = 1e-12


def negative_log_likelihood(
    probabilities: FloatArray, labels: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    """-log of the probability of the true label of each row: (n, C), (n,) -> (n,) in nats."""
    values = _checked(probabilities, labels)
    right = values[np.arange(len(values)), np.asarray(labels)]
    return np.asarray(-np.log(np.maximum(right, SMALLEST)), dtype=np.float64)


def top_k_accuracy(
    probabilities: FloatArray, labels: NDArray[np.integer[Any]], k: int
) -> NDArray[np.bool_]:
    """Whether the true label is among the k best of each row, (n,); ties count against it."""
    values = _checked(probabilities, labels)
    right = values[np.arange(len(values)), np.asarray(labels)]
    better = (values >= right[:, None]).sum(axis=1)  # the true label itself is one of them
    return np.asarray(better <= k, dtype=np.bool_)


def calibration_error(probabilities: FloatArray, labels: NDArray[np.integer[Any]]) -> float:
    """Expected calibration error of the best label over 15 bins of equal mass, in [0, 1]."""
    values = _checked(probabilities, labels)
    if not len(values):
        return 0.0
    confidence = values.max(axis=1)
    right = values.argmax(axis=1) == np.asarray(labels)
    order = np.argsort(confidence, kind="stable")
    gaps = [
        abs(float(confidence[rows].mean()) - float(right[rows].mean())) * len(rows)
        for rows in np.array_split(order, min(BINS, len(order)))
    ]
    return float(sum(gaps) / len(values))


def _checked(probabilities: FloatArray, labels: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim != 2 or np.shape(labels) != (len(values),):
        raise ScoresError(f"Labels {np.shape(labels)} do not fit probabilities {values.shape}.")
    return values
