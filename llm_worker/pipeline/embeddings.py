"""Vectors of texts, computed at most once for an encoder and kept as rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from labeling import scores
from labeling.models import Embedding
from labeling.rules import exact_hash
from llm_worker.pipeline import cores
from rerank_engine.encoder import Encoder

LOOKUP = 500
Progress = Callable[[int, int], None]


def key(text: str) -> str:
    """What a vector is kept under; erasing a text finds it by this, too."""
    return exact_hash(text)


def vectors(
    texts: Iterable[str], *, encoder: Encoder | None = None, progress: Progress | None = None
) -> NDArray[np.float32]:
    """Unit vectors (n, d) in the order of `texts`; missing ones are encoded and stored.

    By the project-wide encoder, or another such as the semantic map's.
    """
    used = encoder or cores.encoder()
    wanted = [(key(text), text) for text in texts]
    known = _stored({digest for digest, _text in wanted}, used)
    missing = {digest: text for digest, text in wanted if digest not in known}
    if missing:
        known |= _encode(missing, used, progress)
    if not wanted:
        return np.zeros((0, used.dimension), dtype=np.float32)
    return np.stack([known[digest] for digest, _text in wanted])


def _stored(digests: set[str], encoder: Encoder) -> dict[str, NDArray[np.float32]]:
    found: dict[str, NDArray[np.float32]] = {}
    ordered = sorted(digests)
    for start in range(0, len(ordered), LOOKUP):
        rows = Embedding.objects.filter(
            encoder=encoder.fingerprint, text_hash__in=ordered[start : start + LOOKUP]
        )
        found |= {
            digest: scores.unpack(packed)
            for digest, packed in rows.values_list("text_hash", "vector")
        }
    return found


def _encode(
    missing: dict[str, str], encoder: Encoder, progress: Progress | None
) -> dict[str, NDArray[np.float32]]:
    made = encoder.encode(list(missing.values()), progress=progress)
    Embedding.objects.bulk_create(
        (
            Embedding(text_hash=digest, encoder=encoder.fingerprint, vector=scores.pack(vector))
            for digest, vector in zip(missing, made, strict=True)
        ),
        batch_size=LOOKUP,
        ignore_conflicts=True,
    )
    return dict(zip(missing, made, strict=True))
