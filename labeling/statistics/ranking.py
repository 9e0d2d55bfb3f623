"""How well scores rank: areas under the ROC and the precision-recall curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Areas:
    """Means over `labels` labels of the areas with which a label's score tells its tasks from the
    others (one against the rest). None where no label has tasks of both kinds."""

    roc: float | None
    pr: float | None
    labels: int


def areas(shares: Floats, true: NDArray[np.int64]) -> Areas:
    """`shares` has shape (tasks, labels); `true`, shape (tasks,), is the column of the right label,
    or -1 for a task that no label fits: it is one of the others for every label."""
    roc, pr = [], []
    for column in range(shares.shape[1]):
        positive = true == column
        if positive.any() and not positive.all():
            roc.append(roc_area(shares[:, column], positive))
            pr.append(pr_area(shares[:, column], positive))
    if not roc:
        return Areas(None, None, 0)
    return Areas(float(np.mean(roc)), float(np.mean(pr)), len(roc))


def roc_area(score: Floats, positive: NDArray[np.bool_]) -> float:
    """The probability that a positive scores above a negative, ties counting half (Mann-Whitney).

    Raises ValueError unless there are both.
    """
    ups, downs = int(positive.sum()), int((~positive).sum())
    if not ups or not downs:
        raise ValueError("An area needs positives and negatives.")
    ranks = rankdata(score)[positive].sum()
    return float((ranks - ups * (ups + 1) / 2) / (ups * downs))


def pr_area(score: Floats, positive: NDArray[np.bool_]) -> float:
    """Average precision: the precision at each recall that is reached, tied scores together.

    Raises ValueError without positives.
    """
    if not positive.any():
        raise ValueError("An area needs positives.")
    order = np.argsort(-score, kind="stable")
    ranked, hits = score[order], np.cumsum(positive[order])
    last = np.append(ranked[1:] != ranked[:-1], True)
    found = hits[last]
    precision = found / (np.flatnonzero(last) + 1)
    return float((np.diff(found, prepend=0) * precision).sum() / found[-1])
