"""Confidence counted on a grid of thresholds: exact for every threshold of the grid, however many
tasks were counted."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

Counts = NDArray[np.int64]

STEPS = 1000
GRID = np.arange(STEPS + 1) / STEPS
"""The thresholds that counts are exact for, shape (STEPS + 1,): 0, 0.001, ..., 1."""
ALWAYS = STEPS + 1
"""The step of what is taken at whatever threshold: an earlier stage of a cascade took it, or the
threshold of a group of labels."""


def on_grid(threshold: float) -> int:
    """The place in `GRID` of a threshold in [0, 1], rounded to the nearest."""
    if not 0.0 <= threshold <= 1.0:
        raise ValueError(f"A threshold lies between 0 and 1, not at {threshold}.")
    return round(threshold * STEPS)


def steps_of(confidence: ArrayLike) -> NDArray[np.intp]:
    """For each confidence in [0, 1], the last place of `GRID` that does not exceed it, so that
    "at least GRID[k]" and "step at least k" say the same."""
    values = np.asarray(confidence, dtype=np.float64)
    if not np.isfinite(values).all() or (values < 0.0).any() or (values > 1.0).any():
        raise ValueError("A confidence lies between 0 and 1.")
    return np.searchsorted(GRID, values, side="right") - 1


def count(groups: NDArray[np.intp], steps: NDArray[np.intp], *, n_groups: int) -> Counts:
    """How many of each group lie at each step: shape (n_groups, STEPS + 2), `ALWAYS` last.

    `groups` and `steps` have shape (n,); a group is a number below `n_groups`.
    """
    counts = np.zeros((n_groups, ALWAYS + 1), dtype=np.int64)
    np.add.at(counts, (groups, steps), 1)
    return counts


def nothing() -> Counts:
    """The counts of no group."""
    return np.zeros((0, ALWAYS + 1), dtype=np.int64)


def at_least(counts: Counts) -> Counts:
    """How many have at least the confidence of each step, along the last axis."""
    return np.flip(np.cumsum(np.flip(counts, axis=-1), axis=-1), axis=-1)


def pack(counts: Counts) -> bytes:
    """Counts of shape (n_groups, STEPS + 2) in a few bytes, for `unpack`."""
    return zlib.compress(np.ascontiguousarray(counts, dtype="<u4").tobytes(), level=6)


def unpack(packed: bytes | memoryview) -> Counts:
    """The counts behind `packed`. Raises ValueError for bytes that `pack` did not write."""
    try:
        flat = np.frombuffer(zlib.decompress(bytes(packed)), dtype="<u4")
        return flat.reshape(-1, ALWAYS + 1).astype(np.int64)
    except (zlib.error, ValueError) as error:
        raise ValueError(f"These are no packed counts: {error}") from error
