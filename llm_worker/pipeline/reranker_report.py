"""What the training of a reranker measured, as the page about it reads it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labeling.reranker_report import MAX_HEAT_LABELS, ORIGIN
from llm_worker.pipeline import cores, embeddings
from llm_worker.pipeline.training import TrainingRows
from rerank_engine.calibration import negative_log_likelihood
from rerank_engine.hard_samples import MarginalPoint, marginal_effect, top_k_variance
from rerank_engine.lrsl import cosines, rerank, softmax
from rerank_engine.semantic_map import SemanticMap

if TYPE_CHECKING:
    from llm_worker.pipeline.reranker import Fitted

OURS = "ours"
PAPER = "paper"
DIGITS = 4
FloatArray = NDArray[np.floating[Any]]


def content(
    rows: TrainingRows,
    fitted: Sequence[Fitted],
    semantic_map: SemanticMap,
    label_texts: Mapping[int, str],
) -> dict[str, Any]:
    """The content of a `RerankerReport`.

    Figures are those of the classifier with the most validation rows; every classifier has a curve.
    Ours is judged by probabilities that were fitted without the row.
    """
    main = max(fitted, key=lambda one: len(one.validation.texts))
    return {
        "mode": OURS,
        "training_rows": len(rows.texts),
        "validation_rows": len(main.validation.texts),
        "settings": {
            "temperature": _rounded(1.0 / main.fit.easy.weights["classifier"])
            if main.fit.easy.weights["classifier"] > 0
            else None,
            "weights": {name: _rounded(value) for name, value in main.fit.hard.weights.items()},
            "rerank_easy": False,
        },
        "validation": _validation(main, semantic_map),
        "curves": [_curve(one) for one in fitted],
        "heat": _heat(rows.label_ids, semantic_map, label_texts),
    }


def _validation(one: Fitted, semantic_map: SemanticMap) -> dict[str, dict[str, Any]]:
    known = _judged(one)
    log_scores, codes = one.validation.log_scores[known], one.validation.codes[known]
    hard = _hard(one)[known]
    origin = softmax(log_scores)
    ours = np.where(hard[:, None], one.held_out[known], one.fit.easy.combine(_alone(log_scores)))
    texts = [one.validation.texts[row] for row in np.flatnonzero(known)]
    vectors = embeddings.vectors(texts, encoder=semantic_map.encoder)
    paper = rerank(log_scores, vectors, semantic_map.label_vectors, hard=hard)
    return {
        name: _measured(values, codes, hard)
        for name, values in ((ORIGIN, origin), (PAPER, paper), (OURS, ours))
    }


def _alone(log_scores: FloatArray) -> dict[str, NDArray[np.float64]]:
    from rerank_engine.views import classifier_view

    return {"classifier": classifier_view(log_scores)}


def _judged(one: Fitted) -> NDArray[np.bool_]:
    """Rows that the pool could be judged on: the classifier knows a score of their true label."""
    return np.asarray(np.isfinite(one.held_out).any(axis=1))


def _hard(one: Fitted) -> NDArray[np.bool_]:
    if one.threshold is None:
        return np.zeros(len(one.validation.texts), dtype=bool)
    hard: NDArray[np.bool_] = top_k_variance(one.validation.log_scores, one.k) < one.threshold
    return hard


def _measured(
    values: NDArray[np.float64], codes: NDArray[np.int64], hard: NDArray[np.bool_]
) -> dict[str, Any]:
    right = values.argmax(axis=1) == codes
    losses = negative_log_likelihood(values, codes)
    error = 1.96 * float(losses.std(ddof=1)) / math.sqrt(len(losses))
    mean = float(losses.mean())
    return {
        "accuracy": _rounded(float(right.mean())),
        "nll": _rounded(mean),
        "nll_interval": [_rounded(mean - error), _rounded(mean + error)],
        "hard_accuracy": _rounded(float(right[hard].mean())) if hard.any() else None,
    }


def _curve(one: Fitted) -> dict[str, Any]:
    known = _judged(one)
    log_scores, codes = one.validation.log_scores[known], one.validation.codes[known]
    points = marginal_effect(
        top_k_variance(log_scores, one.k),
        softmax(log_scores).argmax(axis=1) == codes,
        one.held_out[known].argmax(axis=1) == codes,
    )
    return {
        "model_version": one.validation.version.name,
        "k": one.k,
        "threshold": one.threshold,
        "rows": int(known.sum()),
        "points": [_point(point, one.seconds_per_row * int(known.sum())) for point in points],
    }


def _point(point: MarginalPoint, seconds: float) -> dict[str, float]:
    return {
        "variance": _rounded(point.variance),
        "hard_share": _rounded(point.hard_share),
        "accuracy": _rounded(point.accuracy),
        "seconds": _rounded(seconds * point.hard_share),
    }


def _heat(
    label_ids: Sequence[int], semantic_map: SemanticMap, label_texts: Mapping[int, str]
) -> dict[str, Any]:
    """Cosines between labels before and after (figure 9), like ones side by side; of more labels
    than a page can show, those with the nearest neighbours before."""
    plain = cores.encoder().encode([label_texts[pk] for pk in label_ids])
    before = cosines(plain, plain)
    after = cosines(semantic_map.label_vectors, semantic_map.label_vectors)
    chosen = np.arange(len(label_ids))
    if len(chosen) > MAX_HEAT_LABELS:
        nearest = (before - 2.0 * np.eye(len(before))).max(axis=1)
        chosen = np.sort(np.argsort(-nearest, kind="stable")[:MAX_HEAT_LABELS])
    order = chosen[_side_by_side(before[np.ix_(chosen, chosen)])]
    return {
        "label_ids": [int(label_ids[row]) for row in order],
        "before": np.round(before[np.ix_(order, order)], 3).tolist(),
        "after": np.round(after[np.ix_(order, order)], 3).tolist(),
    }


def _side_by_side(similarity: NDArray[np.float64]) -> NDArray[np.int64]:
    """An order (n,) in which similar labels are neighbours."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(similarity) < 3:
        return np.arange(len(similarity))
    distance = np.clip(1.0 - (similarity + similarity.T) / 2.0, 0.0, None)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), method="average", optimal_ordering=True)
    return np.asarray(leaves_list(tree), dtype=np.int64)


def _rounded(value: float) -> float:
    return round(value, DIGITS)
