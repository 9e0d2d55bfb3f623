"""BM25 over passages: the weights of rank-bm25, from counts of terms kept as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rank_bm25 import BM25Okapi

from rerank_engine.errors import RetrievalError
from rerank_engine.retrieval.tokenize import tokenize


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


class _CountedBm25(BM25Okapi):  # type: ignore[misc]  # the library carries no types
    """The library's BM25 of a corpus that is counted already, for the weights of its terms.

    Its own constructor counts words one by one, and its search walks all passages for each term.
    """

    def _initialize(self, corpus: TermCounts) -> dict[str, int]:
        self.corpus_size = len(corpus.offsets) - 1
        self.doc_len = corpus.lengths()
        self.avgdl = float(self.doc_len.mean())
        held_by = np.bincount(corpus.terms, minlength=len(corpus.vocabulary))
        pairs = zip(corpus.vocabulary, held_by.tolist(), strict=True)
        return {term: count for term, count in pairs if count}


class Bm25Index:
    """Okapi BM25 (k1 = 1.5, b = 0.75) as rank-bm25's BM25Okapi computes it.

    The weight of a term in a passage is computed once and a query only adds up the passages that
    hold its terms; the sums are the library's.
    """

    def __init__(self, counts: TermCounts) -> None:
        if not len(counts.terms):
            raise RetrievalError("There is no passage with a word in it to search.")
        model = _CountedBm25(counts)
        self._size = model.corpus_size
        rows = np.repeat(np.arange(self._size), np.diff(counts.offsets))
        held_by = np.bincount(counts.terms, minlength=len(counts.vocabulary))
        norms = model.k1 * (1 - model.b + model.b * model.doc_len / model.avgdl)
        weights = counts.counts * (model.k1 + 1) / (counts.counts + norms[rows])
        weights *= np.array([model.idf.get(term, 0.0) for term in counts.vocabulary])[counts.terms]
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
