"""Which texts are so near to one another that one look may do for all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def nearest_group(
    vectors: NDArray[np.float32], *, least: float, most: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The rows around the row that has most neighbours, nearest first, and how near they are.

    `vectors` (n, d) of unit length; neighbours have a cosine of at least `least`. The row itself
    comes first; at most `most` rows are returned. Of equals the first row is taken.
    """
    if not len(vectors):
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.float32)
    cosines = vectors @ vectors.T
    centre = int((cosines >= least).sum(axis=1).argmax())
    near = np.flatnonzero(cosines[centre] >= least)
    near = near[near != centre]
    order = near[np.argsort(-cosines[centre, near], kind="stable")]
    group = np.concatenate([[centre], order]).astype(np.intp)[:most]
    return group, cosines[centre, group].astype(np.float32)
