"""Two ways to make one ranking of BM25 and cosines.

An index uses the sum of scores. On the data at hand it wins over the sum of reciprocal ranks, which
throws away by how much one passage is nearer than the next (docs/benchmarks/retrieval.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

RRF_K = 60
LEXICAL_WEIGHT = 0.1


def convex_combination(
    cosines: NDArray[np.floating], lexical: NDArray[np.floating], weight: float = LEXICAL_WEIGHT
) -> NDArray[np.float64]:
    """(1 - weight) * cosine + weight * BM25 / its greatest value, for the passages of one query.

    Bruch, Gai & Ingber 2023, eq. 5, with BM25 scaled from its least possible value, 0, to the
    greatest here; cosines have a scale of their own already. `cosines` and `lexical` are (n,).
    """
    greatest = lexical.max(initial=0.0)
    scaled = lexical / greatest if greatest > 0 else np.zeros_like(lexical)
    return (1.0 - weight) * np.asarray(cosines, dtype=np.float64) + weight * scaled


def reciprocal_rank_fusion(
    rankings: Sequence[Iterable[int]], *, k: int = RRF_K
) -> list[tuple[int, float]]:
    """Pairs (item, score), best first, with score = sum over rankings of 1 / (k + rank).

    Cormack, Clarke & Büttcher 2009. Ranks start at 1; an item missing from a ranking gets nothing
    from it. Equal scores keep the order in which the items were first seen.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, start=1):
            scores[item] = scores.get(item, 0.0) + 1.0 / (k + rank)
    return sorted(scores.items(), key=lambda pair: -pair[1])
