"""The heat map of label similarities before and after fine-tuning (LRSL, figure 9)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labeling.reranker_report import Heat

LEVELS = 10
"""Shades; the style sheet has a class for each."""


@dataclass(frozen=True)
class Pair:
    """Two labels by their place in the map, and how close they were and are."""

    one: int
    other: int
    before: float
    after: float


@dataclass(frozen=True)
class HeatMaps:
    """Two maps on one scale: for each shade a path over cells of size 1.

    `mean_*` is the mean similarity of two different labels, `closest_*` the pairs most alike.
    """

    size: int
    low: float
    high: float
    before: Sequence[str]
    after: Sequence[str]
    mean_before: float
    mean_after: float
    closest_before: Sequence[Pair]
    closest_after: Sequence[Pair]


def heat_maps(heat: Heat, *, pairs: int) -> HeatMaps | None:
    """Both maps and their `pairs` closest pairs; None where there are no two labels to compare."""
    before, after = np.array(heat.before), np.array(heat.after)
    size = len(before)
    if size < 2:
        return None
    low = math.floor(10 * min(before.min(), after.min())) / 10
    high = max(math.ceil(10 * max(before.max(), after.max())) / 10, low + 0.1)
    upper = np.triu_indices(size, 1)
    return HeatMaps(
        size=size,
        low=low,
        high=high,
        before=_shades(before, low, high),
        after=_shades(after, low, high),
        mean_before=float(before[upper].mean()),
        mean_after=float(after[upper].mean()),
        closest_before=_closest(before, before, after, pairs),
        closest_after=_closest(after, before, after, pairs),
    )


def _closest(
    by: NDArray[np.float64], before: NDArray[np.float64], after: NDArray[np.float64], count: int
) -> list[Pair]:
    """The pairs with the largest values in `by`, each pair once, the closest first."""
    rows, columns = np.triu_indices(len(by), 1)
    order = np.argsort(-by[rows, columns], kind="stable")[:count]
    return [
        Pair(int(i), int(j), float(before[i, j]), float(after[i, j]))
        for i, j in zip(rows[order], columns[order], strict=True)
    ]


def _shades(values: NDArray[np.float64], low: float, high: float) -> list[str]:
    """An SVG path for each shade, neighbours in a row drawn together."""
    levels = np.clip(((values - low) / (high - low) * LEVELS).astype(int), 0, LEVELS - 1)
    paths: list[list[str]] = [[] for _ in range(LEVELS)]
    for y, row in enumerate(levels):
        starts = [0, *(np.flatnonzero(np.diff(row)) + 1).tolist(), len(row)]
        for x, end in itertools.pairwise(starts):
            paths[row[x]].append(f"M{x} {y}h{end - x}v1h{x - end}z")
    return ["".join(path) for path in paths]
