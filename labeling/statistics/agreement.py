"""How far people (or machines) agree, beyond what chance would give.

Every coefficient is computed from how many workers gave each label to each task, so tasks may have
different numbers of labels; with equal numbers the values are those of the textbooks. Each takes
weights of tasks too, which is how the bootstrap draws tasks anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labeling.statistics.bootstrap import DRAWS, over_tasks, ratio
from labeling.statistics.ratings import NothingToCompare, OneLabelOnly, Ratings

Floats = NDArray[np.float64]
Coefficient = Callable[[Floats, Floats], Floats]
"""Counts (tasks, labels) and weights (draws, tasks) to values (draws,), NaN where undefined."""


@dataclass(frozen=True)
class Agreement:
    """A coefficient with its 95 % interval over `tasks`, those that two workers or more labeled.

    `value` is None where the coefficient is not defined; `why` then says it in a word: "empty" (no
    task has two labels) or "one_label" (only one label was ever used).
    """

    value: float | None
    low: float | None
    high: float | None
    tasks: int
    why: str = ""


def percent_agreement(counts: Floats, weights: Floats) -> Floats:
    """The share of agreeing pairs of workers in a task, mean over the tasks that have a pair."""
    agrees, paired = _pair_agreement(counts)
    return ratio(weights @ agrees, weights @ paired)


def fleiss_kappa(counts: Floats, weights: Floats) -> Floats:
    """Fleiss 1971, over the tasks with two labels or more.

    Chance is that two labels drawn from the shares of all labels, every task counting the same,
    are equal. Where tasks have different numbers of labels this is the usual extension (Gwet 2014,
    section 2.5), which the original, for equal numbers, does not define.
    """
    agrees, paired = _pair_agreement(counts)
    given = counts.sum(axis=1)
    shares = counts * ratio(paired, given)[:, None].clip(min=0)
    tasks = weights @ paired
    margin = ratio(weights @ shares, np.broadcast_to(tasks[:, None], (len(tasks), shares.shape[1])))
    chance = (margin**2).sum(axis=1)
    return _beyond(ratio(weights @ agrees, tasks), chance)


def gwet_ac1(counts: Floats, weights: Floats) -> Floats:
    """Gwet 2008. Chance is sum(p (1 - p)) / (labels - 1), with p the mean share of a label over
    all labeled tasks; it stays small where one label is much more frequent than the others."""
    agrees, paired = _pair_agreement(counts)
    given = counts.sum(axis=1)
    labeled = (given > 0).astype(float)
    shares = np.divide(counts, given[:, None], out=np.zeros_like(counts), where=given[:, None] > 0)
    tasks = weights @ labeled
    margin = ratio(weights @ shares, np.broadcast_to(tasks[:, None], (len(tasks), shares.shape[1])))
    if counts.shape[1] < 2:
        return np.full(len(tasks), np.nan)
    chance = (margin * (1 - margin)).sum(axis=1) / (counts.shape[1] - 1)
    return _beyond(ratio(weights @ agrees, weights @ paired), chance)


def krippendorff_alpha(counts: Floats, weights: Floats) -> Floats:
    """Krippendorff's alpha for nominal labels with missing data (Krippendorff 2011).

    1 - observed / expected disagreement, over the labels of tasks that have two or more.
    """
    given = counts.sum(axis=1)
    pairable = given >= 2
    counts, given, weights = counts[pairable], given[pairable], weights[:, pairable]
    matching = (counts * (counts - 1)).sum(axis=1) / (given - 1)
    n = weights @ given
    totals = weights @ counts
    observed = n - weights @ matching
    expected = ratio(n**2 - (totals**2).sum(axis=1), np.maximum(n - 1, 0))
    return 1 - ratio(observed, expected)


def _pair_agreement(counts: Floats) -> tuple[Floats, Floats]:
    """For each task the share of its pairs that agree, and 1 where it has a pair (else 0, 0)."""
    given = counts.sum(axis=1)
    paired = given >= 2
    pairs = np.where(paired, given * (given - 1), 1.0)
    agrees = np.where(paired, (counts * (counts - 1)).sum(axis=1) / pairs, 0.0)
    return agrees, paired.astype(float)


def _beyond(observed: Floats, chance: Floats) -> Floats:
    """(observed - chance) / (1 - chance). A margin of a single label leaves nothing below."""
    room = np.where(1 - chance > 1e-12, 1 - chance, 0.0)
    return ratio(observed - chance, room)


COEFFICIENTS: dict[str, Coefficient] = {
    "percent_agreement": percent_agreement,
    "fleiss_kappa": fleiss_kappa,
    "krippendorff_alpha": krippendorff_alpha,
    "gwet_ac1": gwet_ac1,
}


def value_of(coefficient: Coefficient, ratings: Ratings) -> float:
    """The coefficient alone. Raises NothingToCompare or OneLabelOnly where it is not defined."""
    counts = ratings.counts()
    if not (counts.sum(axis=1) >= 2).any():
        raise NothingToCompare("No task has labels of two workers.")
    value = float(coefficient(counts, np.ones((1, len(counts))))[0])
    if not np.isfinite(value):
        raise OneLabelOnly("Only one label was ever used, so chance alone would always agree.")
    return value


def agreement(
    coefficient: Coefficient, ratings: Ratings, *, draws: int = DRAWS, seed: int = 0
) -> Agreement:
    """The coefficient with its interval; never raises for odd data, see `Agreement`."""
    counts = ratings.counts()
    tasks = int((counts.sum(axis=1) >= 2).sum())
    try:
        value = value_of(coefficient, ratings)
    except NothingToCompare:
        return Agreement(None, None, None, tasks, "empty")
    except OneLabelOnly:
        return Agreement(None, None, None, tasks, "one_label")
    interval = over_tasks(
        lambda weights: coefficient(counts, weights), len(counts), draws=draws, seed=seed
    )
    return Agreement(value, interval.low, interval.high, tasks)


def cohen(
    one: NDArray[np.int64],
    other: NDArray[np.int64],
    *,
    groups: NDArray[np.int64] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Agreement:
    """Cohen's kappa (1960) of two workers who labeled the same tasks, in the same order.

    `one` and `other` have shape (n,) and hold labels as numbers from 0. Where one of them stands
    for several workers, `groups`, shape (n,), numbers the task of each pair, so that the interval
    draws whole tasks. Raises ValueError if lengths differ.
    """
    if len(one) != len(other):
        raise ValueError(f"{len(one)} labels cannot be compared with {len(other)}.")
    if not len(one):
        return Agreement(None, None, None, 0, "empty")
    of_task = np.arange(len(one)) if groups is None else groups
    tasks = int(of_task.max()) + 1
    labels = int(max(one.max(), other.max())) + 1
    first, second = np.eye(labels)[one], np.eye(labels)[other]
    same = (one == other).astype(float)

    def kappa(weights: Floats) -> Floats:
        of_pairs = weights[:, of_task]
        n = of_pairs.sum(axis=1)
        chance = ((of_pairs @ first) * (of_pairs @ second)).sum(axis=1) / n**2
        return _beyond(of_pairs @ same / n, chance)

    value = float(kappa(np.ones((1, tasks)))[0])
    if not np.isfinite(value):
        return Agreement(None, None, None, tasks, "one_label")
    interval = over_tasks(kappa, tasks, draws=draws, seed=seed)
    return Agreement(value, interval.low, interval.high, tasks)


@dataclass(frozen=True)
class PairOfWorkers:
    """Cohen's kappa of two workers over the tasks that both labeled."""

    one: object
    other: object
    kappa: Agreement


def cohen_by_pair(ratings: Ratings, *, fewest: int = 20, draws: int = 0) -> list[PairOfWorkers]:
    """Every pair of workers with at least `fewest` common tasks; by default without intervals."""
    by_worker: dict[int, dict[int, int]] = {}
    for task, worker, label in zip(ratings.task, ratings.worker, ratings.label, strict=True):
        by_worker.setdefault(int(worker), {})[int(task)] = int(label)
    found = []
    for one, labels in sorted(by_worker.items()):
        for other in range(one + 1, len(ratings.workers)):
            theirs = by_worker.get(other, {})
            common = sorted(labels.keys() & theirs.keys())
            if len(common) < fewest:
                continue
            mine = np.array([labels[task] for task in common])
            yours = np.array([theirs[task] for task in common])
            kappa = cohen(mine, yours, draws=draws)
            found.append(PairOfWorkers(ratings.workers[one], ratings.workers[other], kappa))
    return found
