"""Exact search by inner product over passage vectors (faiss IndexFlatIP)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerank_engine.errors import RetrievalError


class DenseIndex:
    """Vectors (n, d) of length 1, searched by cosine."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        import faiss

        self.vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        if self.vectors.ndim != 2 or not len(self.vectors):
            raise RetrievalError("A dense index needs at least one vector.")
        self._index = faiss.IndexFlatIP(self.vectors.shape[1])
        self._index.add(self.vectors)

    def search(self, queries: NDArray[np.floating[Any]], k: int) -> NDArray[np.int64]:
        """Best min(k, n) rows for each of q queries (q, d), best first, shape (q, min(k, n))."""
        width = self.vectors.shape[1]
        if queries.ndim != 2 or queries.shape[1] != width:
            raise RetrievalError(
                f"Query vectors of shape {queries.shape} do not fit an index of {width} dimensions."
            )
        if not len(queries):
            return np.zeros((0, min(k, len(self.vectors))), dtype=np.int64)
        wanted = np.ascontiguousarray(queries, dtype=np.float32)
        if not np.isfinite(wanted).all():
            raise RetrievalError("A query vector holds a number that is not finite.")
        _, rows = self._index.search(wanted, min(k, len(self.vectors)))
        return np.asarray(rows, dtype=np.int64)
