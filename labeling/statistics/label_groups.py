"""Certificates by groups of labels, so that one good average does not hide bad labels.

Groups are fixed on *tune*. They are certified together (*simultaneous*: each spends its part of
delta, and all promises hold at once with confidence 1 - delta) or *each alone* (each spends the
whole delta, and of many such promises some will be broken).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from labeling.statistics.certificates import (
    START_MARGIN,
    Certified,
    Flags,
    Scores,
    certify_conditional,
    critical_errors,
    threshold_grid,
)

L = TypeVar("L", bound=Hashable)
# A plan aims at this chance that the test holds, if the errors stay what they were on *tune*.
POWER = 0.8
MOST_ROWS = 10_000_000
# Thresholds that a plan looks at.
STEPS = 25


@dataclass(frozen=True)
class GroupResult:
    """A group's test, and, where it did not hold, how many random rows more of the whole stream
    would let it hold with a chance of four in five; `more_rows` is None where no number would."""

    certified: Certified
    delta: float
    more_rows: int | None


def group_labels(labels: Sequence[L], wrong: Flags, *, groups: int) -> dict[L, int]:
    """Labels in `groups` of about equal numbers of *tune* rows, from the most reliable (0) on.

    `labels` are those that the machine would give, shape (n,). A label with few rows is ranked by
    its errors shrunk towards those of all. A label that *tune* never shows is in no group.
    """
    if groups < 1:
        raise ValueError("There is at least one group.")
    if not len(labels):
        return {}
    overall = float(np.mean(wrong))
    rows: dict[L, int] = {}
    errors: dict[L, int] = {}
    for label, bad in zip(labels, wrong, strict=True):
        rows[label] = rows.get(label, 0) + 1
        errors[label] = errors.get(label, 0) + int(bad)

    def unreliable(label: L) -> tuple[float, str]:
        return (errors[label] + 10 * overall) / (rows[label] + 10), str(label)

    placed: dict[L, int] = {}
    before = 0
    for label in sorted(rows, key=unreliable):
        placed[label] = min(groups - 1, int(groups * (before + rows[label] / 2) / len(labels)))
        before += rows[label]
    return placed


@dataclass(frozen=True)
class Rows:
    """Rows by shape (n,): score, whether accepting would be wrong, the label it would give."""

    scores: Scores
    wrong: Flags
    labels: Sequence[Hashable]


def certify_groups(
    tune: Rows,
    certify: Rows,
    placed: Mapping[Any, int],
    *,
    alpha: float,
    delta: float,
    simultaneous: bool,
) -> list[GroupResult]:
    """Test each group of `placed` on its own rows, with its own threshold."""
    groups = max(placed.values(), default=-1) + 1
    spent = delta / groups if simultaneous and groups else delta
    return [_certify_group(tune, certify, placed, g, alpha, spent) for g in range(groups)]


def _certify_group(
    tune: Rows,
    certify: Rows,
    placed: Mapping[Any, int],
    group: int,
    alpha: float,
    delta: float,
) -> GroupResult:
    ours, theirs = _of_group(tune, placed, group), _of_group(certify, placed, group)
    # How many rows of the group to expect is told by *tune*, since the test may not look.
    expected = int(len(certify.scores) * np.mean(ours)) if len(ours) else 0
    grid = threshold_grid(
        tune.scores[ours], tune.wrong[ours], rows=expected, alpha=alpha, delta=delta
    )
    found = certify_conditional(
        certify.scores[theirs], certify.wrong[theirs], grid=grid, alpha=alpha, delta=delta
    )
    more = None
    if not found.holds:
        # Fresh rows are tested apart from those that have been looked at.
        more = rows_needed(
            tune.scores[ours], tune.wrong[ours], of=len(tune.scores), alpha=alpha, delta=delta
        )
    return GroupResult(found, delta, more)


def _of_group(rows: Rows, placed: Mapping[Any, int], group: int) -> NDArray[np.bool_]:
    return np.array([placed.get(label) == group for label in rows.labels], bool)


def rows_needed(scores: Scores, wrong: Flags, *, of: int, alpha: float, delta: float) -> int | None:
    """How many random rows of the stream, labeled, would let some threshold be certified with a
    chance of four in five, if errors are what they are on these rows, which are some among `of`;
    None where the error is too near alpha at every threshold."""
    grid = np.unique(scores[~np.isnan(scores)])[::-1]
    best: int | None = None
    for at in np.unique(np.linspace(0, len(grid) - 1, STEPS).astype(int)) if len(grid) else []:
        taken = scores >= grid[at]
        n, errors = int(taken.sum()), int((wrong & taken).sum())
        accepted = accepted_needed((errors + 0.5) / (n + 1), alpha=alpha, delta=delta)
        if accepted is not None:
            share = n / of
            spare = START_MARGIN * math.sqrt(accepted * (1 - share))
            need = math.ceil((accepted + spare) / share)
            best = need if best is None else min(best, need)
    return best


def accepted_needed(error: float, *, alpha: float, delta: float) -> int | None:
    """The least number of accepted rows at which the test of alpha holds with a chance of four in
    five if the true error is `error`; None where it is not below alpha, or no number would do."""
    if error >= alpha:
        return None
    low, high = 1, MOST_ROWS
    if _chance(high, error, alpha, delta) < POWER:
        return None
    while low < high:
        middle = (low + high) // 2
        if _chance(middle, error, alpha, delta) >= POWER:
            high = middle
        else:
            low = middle + 1
    return low


def _chance(n: int, error: float, alpha: float, delta: float) -> float:
    most = critical_errors(np.array([n]), alpha, delta)[0]
    return float(binom.cdf(most, n, error))
