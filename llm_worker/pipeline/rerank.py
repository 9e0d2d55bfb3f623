"""Stage rerank: softmax, hard or easy, LRSL for the hard ones, candidates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from labeling import scores
from labeling.models import Label, PlanRow, Prediction, Ranking, TaxonomyVersion
from llm_worker.pipeline import cores, embeddings
from rerank_engine import hard_samples, lrsl

CANDIDATES = 5


def rerank(rows: Sequence[PlanRow]) -> None:
    """Store the ranking of each task; one that is stored already is left as it is."""
    run = rows[0].run
    content = run.configuration.content
    raw = np.stack([_aligned(row.prediction, run.taxonomy) for row in rows])
    log_scores = hard_samples.as_log_scores(raw, content["score_kind"])
    before = lrsl.softmax(log_scores)
    variance, hard = _hardness(log_scores, content["hard_threshold"])
    texts = [row.task.text for row in rows]
    after = _reranked(log_scores, before, hard, texts, run.taxonomy)
    flagged = cores.encoder().unsupported_script(texts)
    order = lrsl.top_candidates(after, min(CANDIDATES, after.shape[1]))
    label_ids = run.taxonomy.label_ids
    Ranking.objects.bulk_create(
        (
            Ranking(
                run=run,
                task_id=row.task_id,
                revision=row.revision,
                hard=None if hard is None else bool(hard[i]),
                variance=None if np.isnan(variance[i]) else float(variance[i]),
                flagged_script=bool(flagged[i]),
                candidates=[
                    [label_ids[j], round(float(after[i, j]), 6), round(float(before[i, j]), 6)]
                    for j in order[i]
                    if not np.isnan(raw[i, j])  # of a top-k prediction: what it did not name
                ],
            )
            for i, row in enumerate(rows)
        ),
        ignore_conflicts=True,
    )


def _hardness(
    log_scores: NDArray[np.float64], fitted: dict[str, float] | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """Top-k variance (n,) and who is hard; without a fitted threshold nobody knows (None)."""
    if fitted is None:
        return np.full(len(log_scores), np.nan), None
    k = int(fitted["k"])
    variance = hard_samples.top_k_variance(log_scores, k)
    return variance, variance < fitted["threshold"]


def _reranked(
    log_scores: NDArray[np.float64],
    before: NDArray[np.float64],
    hard: NDArray[np.bool_] | None,
    texts: Sequence[str],
    taxonomy: TaxonomyVersion,
) -> NDArray[np.float64]:
    """Only hard rows are embedded and reranked; the others keep their softmax."""
    if hard is None or not hard.any():
        return before
    after = before.copy()
    text_vectors = embeddings.vectors([text for text, one in zip(texts, hard, strict=True) if one])
    after[hard] = lrsl.rerank(log_scores[hard], text_vectors, label_vectors(taxonomy))
    return after


def label_vectors(taxonomy: TaxonomyVersion) -> NDArray[np.float32]:
    """Vectors (C, d) of the labels' names, in taxonomy order (plain label embeddings)."""
    names = dict(Label.objects.filter(pk__in=taxonomy.label_ids).values_list("pk", "name"))
    return embeddings.vectors(readable(names[pk]) for pk in taxonomy.label_ids)


def readable(name: str) -> str:
    """A label's name as words: `card_arrival` reads "card arrival"."""
    return " ".join(name.replace("_", " ").split()) or name


def _aligned(prediction: Prediction, taxonomy: TaxonomyVersion) -> NDArray[np.float32]:
    """The prediction's scores in the order of `taxonomy`; labels it did not know are NaN."""
    values = scores.unpack(prediction.scores)
    if prediction.taxonomy_id == taxonomy.pk:
        return values
    known = dict(zip(prediction.taxonomy.label_ids, values, strict=True))
    return np.array([known.get(pk, np.nan) for pk in taxonomy.label_ids], dtype=np.float32)
