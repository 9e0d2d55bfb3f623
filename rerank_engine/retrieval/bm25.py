"""BM25 over passages: the sums of rank-bm25, from counts of terms kept as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rerank_engine.errors import RetrievalError
from rerank_engine.retrieval.tokenize import tokenize

K1 = 1.5
B = 0.75
EPSILON = 0.25


@dataclass(frozen=True)
class TermCounts:
    """How often each term stands in each of n passages.

    Passage i has the terms `vocabulary[terms[j]]`, `counts[j]` times, for j from `offsets[i]` to
    `offsets[i + 1]`; `offsets` is (n + 1,). A term may stand in no passage.
    """

    vocabulary: list[str]
    terms: NDArray[np.int32]
    counts: NDArray[np.int32]
    offsets: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        passages: Sequence[str],
        known: TermCounts | None = None,
        rows: Mapping[int, int] | None = None,
    ) -> TermCounts:
        """Count the terms of `passages`; those at the keys of `rows` are taken from `known`
        instead, at the row that stands there."""
        rows = rows if known is not None and rows else {}
        vocabulary = list(known.vocabulary) if known is not None and rows else []
        place = {term: number for number, term in enumerate(vocabulary)}
        terms: list[NDArray[np.int32]] = []
        counts: list[NDArray[np.int32]] = []
        for number, passage in enumerate(passages):
            if known is not None and number in rows:
                part = slice(*known.offsets[rows[number] : rows[number] + 2])
                terms.append(known.terms[part])
                counts.append(known.counts[part])
                continue
            held: dict[int, int] = {}
            for term in tokenize(passage):
                code = place.setdefault(term, len(place))
                held[code] = held.get(code, 0) + 1
            terms.append(np.fromiter(held.keys(), np.int32, len(held)))
            counts.append(np.fromiter(held.values(), np.int32, len(held)))
        offsets = np.cumsum([0, *map(len, terms)], dtype=np.int64)
        none = np.zeros(0, dtype=np.int32)
        codes = np.concatenate([none, *terms])
        # Words that stood in changed passages only are not kept.
        held_codes = np.bincount(codes, minlength=len(place)) > 0
        codes = (np.cumsum(held_codes, dtype=np.int32) - 1)[codes]
        names = [term for term, is_held in zip(place, held_codes, strict=True) if is_held]
        return cls(names, codes, np.concatenate([none, *counts]), offsets)

    def lengths(self) -> NDArray[np.int64]:
        """Number of words of each passage, repeated ones too, (n,)."""
        return np.diff(np.concatenate([[0], np.cumsum(self.counts)])[self.offsets])


class Bm25Index:
    """Okapi BM25 (k1 = 1.5, b = 0.75) as rank-bm25's BM25Okapi computes it.

    The library walks all passages for each term of each query. Here the weight of a term in a
    passage is computed once and a query only adds up the passages that hold its terms; the sums
    are the library's.
    """

    def __init__(self, counts: TermCounts) -> None:
        if not len(counts.terms):
            raise RetrievalError("There is no passage with a word in it to search.")
        self._size = len(counts.offsets) - 1
        lengths = counts.lengths()
        rows = np.repeat(np.arange(self._size), np.diff(counts.offsets))
        held_by = np.bincount(counts.terms, minlength=len(counts.vocabulary))
        norms = K1 * (1 - B + B * lengths / lengths.mean())
        weights = counts.counts * (K1 + 1) / (counts.counts + norms[rows])
        weights *= _idf(held_by, self._size)[counts.terms]
        order = np.argsort(counts.terms, kind="stable")
        self._rows, self._weights = rows[order], weights[order]
        self._starts = np.concatenate([[0], np.cumsum(held_by)])
        self._place = {term: number for number, term in enumerate(counts.vocabulary)}

    def scores(self, query: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Score of every passage, and whether it shares a term with the query; both (n,)."""
        total = np.zeros(self._size)
        shares = np.zeros(self._size, dtype=bool)
        for term in tokenize(query):
            code = self._place.get(term)
            if code is not None:
                part = slice(self._starts[code], self._starts[code + 1])
                total[self._rows[part]] += self._weights[part]
                shares[self._rows[part]] = True
        return total, shares


def best(scores: NDArray[np.float64], shares: NDArray[np.bool_], k: int) -> NDArray[np.int64]:
    """The best k passages of those that share a term with the query, best first; ties in order."""
    rows = np.flatnonzero(shares)
    if len(rows) > k:
        least = np.partition(scores[rows], len(rows) - k)[len(rows) - k]
        rows = rows[scores[rows] >= least]
    return rows[np.argsort(-scores[rows], kind="stable")][:k]


def _idf(held_by: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """Of each term. One in more than half of the passages gets `EPSILON` of the mean instead of
    a negative weight; the mean is over the terms that stand in some passage."""
    idf = np.log(size - held_by + 0.5) - np.log(held_by + 0.5)
    mean = idf[held_by > 0].mean()
    floored: NDArray[np.float64] = np.where(idf < 0, EPSILON * mean, idf)
    return floored
