"""BM25 over passages: weights by rank-bm25, summed over postings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rerank_engine.errors import RetrievalError
from rerank_engine.retrieval.tokenize import tokenize


class Bm25Index:
    """Okapi BM25 (k1 = 1.5, b = 0.75) as rank-bm25's BM25Okapi computes it.

    The library walks all passages for each term of each query. Here the weight of a term in a
    passage is computed once and a query only adds up the passages that hold its terms; the sums
    are the library's.
    """

    def __init__(self, passages: Sequence[str]) -> None:
        from rank_bm25 import BM25Okapi

        terms = [tokenize(passage) for passage in passages]
        if not any(terms):
            raise RetrievalError("There is no passage with a word in it to search.")
        model = BM25Okapi(terms)
        self._size = len(terms)
        held: dict[str, list[tuple[int, float]]] = {}
        for row, counts in enumerate(model.doc_freqs):
            length = model.k1 * (1 - model.b + model.b * model.doc_len[row] / model.avgdl)
            for term, count in counts.items():
                weight = model.idf[term] * count * (model.k1 + 1) / (count + length)
                held.setdefault(term, []).append((row, weight))
        self._postings = {
            term: (np.array([row for row, _ in pairs]), np.array([w for _, w in pairs]))
            for term, pairs in held.items()
        }

    def scores(self, query: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Score of every passage, and whether it shares a term with the query; both (n,)."""
        total = np.zeros(self._size)
        shares = np.zeros(self._size, dtype=bool)
        for term in tokenize(query):
            if term in self._postings:
                rows, weights = self._postings[term]
                total[rows] += weights
                shares[rows] = True
        return total, shares

    def search(self, query: str, k: int) -> NDArray[np.int64]:
        """The best k passages that share a term with the query, best first; ties in order."""
        total, shares = self.scores(query)
        rows = np.flatnonzero(shares)
        return rows[np.argsort(-total[rows], kind="stable")][:k]
