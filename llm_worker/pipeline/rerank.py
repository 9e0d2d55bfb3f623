"""Stage rerank: softmax, hard or easy, LRSL for the hard ones, candidates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from labeling import scores
from labeling.models import Artifact, PlanRow, Prediction, Ranking, Run, TaxonomyVersion
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
    flagged = cores.encoder().unsupported_script(texts)
    after, cosines = before, np.full(before.shape, np.nan)
    if hard is not None and content["reranker"] is not None:
        # What the encoder cannot read has no meaning to compare with that of the labels.
        after, cosines = _reranked(run, log_scores, hard & ~flagged, texts)
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
                    [
                        label_ids[j],
                        round(float(after[i, j]), 6),
                        round(float(before[i, j]), 6),
                        None if np.isnan(cosines[i, j]) else round(float(cosines[i, j]), 4),
                    ]
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
    run: Run, log_scores: NDArray[np.float64], hard: NDArray[np.bool_], texts: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities (n, C) after reranking, and the cosines (n, C) of hard texts and labels, NaN of
    the others: only hard rows are embedded."""
    content = run.configuration.content
    artifact = run.project.artifacts.filter(
        kind=Artifact.Kind.RERANKER, digest=content["reranker"]
    ).latest("version")
    reranker = cores.reranker(artifact)
    chosen = [text for text, one in zip(texts, hard, strict=True) if one]
    vectors = embeddings.vectors(chosen, encoder=reranker.map.encoder)
    fit = reranker.fits[content["model_version"]]
    cosines = np.full(log_scores.shape, np.nan)
    cosines[hard] = lrsl.cosines(vectors, reranker.map.label_vectors)
    return reranker.rerank(log_scores, vectors, hard, fit=fit), cosines


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
