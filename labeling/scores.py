"""Score vectors: packed little-endian float32 in taxonomy order, NaN where unknown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def pack(scores: NDArray[np.floating]) -> bytes:
    """Scores of any float type, shape (C,), as 4·C bytes."""
    return np.ascontiguousarray(scores, dtype="<f4").tobytes()


def unpack(packed: bytes | memoryview) -> FloatArray:
    """The scores behind `packed`, shape (C,)."""
    return np.frombuffer(bytes(packed), dtype="<f4").astype(np.float32)


def probabilities(scores: NDArray[np.floating], kind: str) -> NDArray[np.float64]:
    """Probabilities of a (n, C) or (C,) array of "logits" or "probabilities"; unknown become 0."""
    values = np.asarray(scores, dtype=np.float64)
    if kind == "logits":
        shifted = values - np.nanmax(values, axis=-1, keepdims=True)
        values = np.exp(shifted)
    known = np.nan_to_num(values, nan=0.0)
    if kind == "logits":
        known = known / known.sum(axis=-1, keepdims=True)
    return known
