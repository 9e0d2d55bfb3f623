"""How much an answer to a text would tell: scores for choosing what to label next.

Settles, "Active Learning Literature Survey" (2009), sections 3.1 and 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def least_confidence(probabilities: Array) -> Array:
    """1 minus the largest probability of each row of (n, C); unknown ones are 0."""
    return np.asarray(1.0 - probabilities.max(axis=1))


def margin(probabilities: Array) -> Array:
    """1 minus the lead of the best label over the second, of each row of (n, C), C at least 2."""
    best = np.sort(probabilities, axis=1)[:, -2:]
    return np.asarray(1.0 - (best[:, 1] - best[:, 0]))


def entropy(probabilities: Array) -> Array:
    """Entropy of each row of (n, C) in nats."""
    logs = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0.0)
    return np.asarray(-(probabilities * logs).sum(axis=1))


def disagreement(opinions: Sequence[Array]) -> float:
    """Jensen-Shannon divergence of the distributions (C,) of several, in nats; 0 of fewer than two.

    At most the logarithm of their number, where each is sure of another label.
    """
    if len(opinions) < 2:
        return 0.0
    rows = np.stack(opinions)
    rows = rows / rows.sum(axis=1, keepdims=True)
    return float(entropy(rows.mean(axis=0, keepdims=True))[0] - entropy(rows).mean())


def apart(vectors: Sequence[Array | None], *, most: int, alike: float) -> list[int]:
    """Places of the first `most` in their order, of which no two unit vectors (d,) have a cosine
    of `alike` or more; who has no vector is like nobody. Greedy, O(n · most · d)."""
    taken: list[int] = []
    kept: list[Array] = []
    for place, vector in enumerate(vectors):
        if len(taken) == most:
            break
        if vector is not None:
            if kept and float(np.max(np.stack(kept) @ vector)) >= alike:
                continue
            kept.append(vector)
        taken.append(place)
    return taken
