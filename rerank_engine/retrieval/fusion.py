"""Reciprocal rank fusion (Cormack, Clarke & Büttcher 2009)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

RRF_K = 60


def reciprocal_rank_fusion(
    rankings: Sequence[Iterable[int]], *, k: int = RRF_K
) -> list[tuple[int, float]]:
    """Pairs (item, score), best first, with score = sum over rankings of 1 / (k + rank).

    Ranks start at 1; an item missing from a ranking gets nothing from it. Equal scores keep the
    order in which the items were first seen.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, start=1):
            scores[item] = scores.get(item, 0.0) + 1.0 / (k + rank)
    return sorted(scores.items(), key=lambda pair: -pair[1])
