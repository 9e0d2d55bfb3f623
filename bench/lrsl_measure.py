"""Figures of the LRSL benchmark: by way of reranking, paired against the classifier, over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rerank_engine.calibration import (
    calibration_error,
    negative_log_likelihood,
    top_k_accuracy,
)
from rerank_engine.hard_samples import marginal_effect

Probabilities = Mapping[str, NDArray[np.float64]]
TOP = (1, 2, 3, 5, 10)
CURVE_POINTS = 21


def compare(
    found: Probabilities, truth: NDArray[np.int64], hard: NDArray[np.bool_]
) -> dict[str, dict[str, Any]]:
    """Figures of every way, and McNemar's test of each against `origin`."""
    plain = found["origin"].argmax(axis=1) == truth
    return {
        name: {**_figures(values, truth, hard), **_mcnemar(plain, values.argmax(axis=1) == truth)}
        for name, values in found.items()
    }


def _figures(
    values: NDArray[np.float64], truth: NDArray[np.int64], hard: NDArray[np.bool_]
) -> dict[str, Any]:
    right = values.argmax(axis=1) == truth
    return {
        "accuracy": float(right.mean()),
        "nll": float(negative_log_likelihood(values, truth).mean()),
        "hard_accuracy": _mean(right[hard]),
        "easy_accuracy": _mean(right[~hard]),
        "calibration_error": calibration_error(values, truth),
        "top_k_accuracy": {
            str(k): float(top_k_accuracy(values, truth, k).mean())
            for k in TOP
            if k <= values.shape[1]
        },
    }


def _mean(values: NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if len(values) else None


def _mcnemar(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> dict[str, Any]:
    """Rows that only one of the two has right, and the exact two-sided p-value."""
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    p = float(stats.binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    return {"mcnemar": {"gained": gained, "lost": lost, "p": p}}


def curve(
    variance: NDArray[np.float64],
    origin: NDArray[np.float64],
    everywhere: Probabilities,
    truth: NDArray[np.int64],
) -> dict[str, list[dict[str, float]]]:
    """Accuracy and hard share against the variance threshold; `everywhere` are the probabilities
    of the ways of reranking when every row is hard."""
    before = origin.argmax(axis=1) == truth
    return {
        name: [
            {"variance": p.variance, "hard_share": p.hard_share, "accuracy": p.accuracy}
            for p in marginal_effect(
                variance, before, values.argmax(axis=1) == truth, points=CURVE_POINTS
            )
        ]
        for name, values in everywhere.items()
    }


def summary(cells: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One cell as it is; of several, means over seeds with 95 % t-intervals, and the cells."""
    if len(cells) == 1:
        return cells[0]
    return {**_averaged(cells, cells[0]), "seeds": len(cells), "cells": list(cells)}


def _averaged(cells: Sequence[Any], model: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in model.items():
        if key in ("cell", "machine", "curve", "map_losses", "mcnemar"):
            continue
        theirs = [cell.get(key) for cell in cells]
        if isinstance(value, Mapping):
            result[key] = _averaged(theirs, value)
        elif all(isinstance(one, int | float) for one in theirs):
            result[key] = _mean_with_interval([float(one) for one in theirs])
    return result


def _mean_with_interval(values: Sequence[float]) -> dict[str, float]:
    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return {"mean": mean, "low": mean - half, "high": mean + half}
