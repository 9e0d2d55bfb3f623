"""Bootstrap over tasks: they are drawn anew with replacement, each with all that was said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""From weights, shape (draws, tasks), to the value of each draw, NaN where the draw has none."""

DRAWS = 1000
_CELLS = 4_000_000
_MOST_UNDEFINED = 0.05


@dataclass(frozen=True)
class Interval:
    """Percentile interval; both bounds are None where too many draws have no value."""

    low: float | None
    high: float | None


NO_INTERVAL = Interval(None, None)


def over_tasks(
    statistic: Statistic, tasks: int, *, confidence: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """The percentile interval of `statistic` (Efron 1979) over `draws` draws of `tasks` tasks.

    A draw gives each task the number of times it was drawn as its weight. Without draws, of fewer
    than two tasks, or where one draw in twenty has no value, there is no interval.
    """
    return columns_over_tasks(
        lambda weights: statistic(weights)[:, None],
        tasks,
        confidence=confidence,
        draws=draws,
        seed=seed,
    )[0]


def columns_over_tasks(
    statistic: Statistic, tasks: int, *, confidence: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> list[Interval]:
    """The same for a statistic of shape (draws, columns), an interval for each column."""
    if tasks < 2 or not draws:
        return [NO_INTERVAL] * statistic(np.ones((1, tasks))).shape[1]
    values = np.concatenate([statistic(weights) for weights in _weights(tasks, draws, seed)])
    return [_percentiles(column, confidence) for column in values.T]


def _percentiles(values: Floats, confidence: float) -> Interval:
    defined = values[np.isfinite(values)]
    if len(defined) < (1 - _MOST_UNDEFINED) * len(values):
        return NO_INTERVAL
    low, high = np.quantile(defined, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(float(low), float(high))


def _weights(tasks: int, draws: int, seed: int) -> Iterator[Floats]:
    """Weights in portions that fit into memory. The same seed draws the same tasks, whatever the
    statistic, so that differences between two of them are paired."""
    rng = np.random.default_rng(seed)
    portion = max(1, min(draws, _CELLS // tasks))
    for start in range(0, draws, portion):
        many = min(portion, draws - start)
        drawn = rng.integers(0, tasks, size=(many, tasks))
        offsets = np.arange(many)[:, None] * tasks
        counted = np.bincount((drawn + offsets).ravel(), minlength=many * tasks)
        yield counted.reshape(many, tasks).astype(float)


def ratio(above: Floats, below: Floats) -> Floats:
    """Elementwise division that gives NaN for nothing out of nothing, without a warning."""
    found: Floats = np.full(np.shape(above), np.nan)
    np.divide(above, below, out=found, where=below > 0)
    return found
