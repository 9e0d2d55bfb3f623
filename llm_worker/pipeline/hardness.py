"""The variance threshold below which a task is hard (LRSL eq. 7), as rows."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from labeling import scores
from labeling.actions.events import record
from labeling.actions.taxonomy import current_taxonomy
from labeling.models import HardThreshold, ModelVersion, Part, Prediction, Project
from rerank_engine import hard_samples
from rerank_engine.errors import NothingMisclassifiedError

VARIANCE_OF_TOP = 5


@transaction.atomic
def store_hard_threshold(
    version: ModelVersion, log_scores: NDArray[Any], codes: NDArray[np.int64]
) -> float | None:
    """Fit eq. 7 on rows (n, C) that the model was not trained on, and put the threshold in use.

    None where the model made no mistake on them: then no task of it is hard.
    """
    k = min(VARIANCE_OF_TOP, log_scores.shape[1])
    try:
        fit = hard_samples.fit_hard_threshold(log_scores, codes, k=k)
    except NothingMisclassifiedError:
        return None
    standing = version.hard_thresholds.filter(current=True).first()
    if standing is not None and (standing.k, standing.threshold) == (fit.k, fit.threshold):
        return fit.threshold
    version.hard_thresholds.filter(current=True).update(current=False)
    threshold = HardThreshold.objects.create(
        model_version=version,
        k=fit.k,
        threshold=fit.threshold,
        rows=fit.n_rows,
        misclassified=fit.n_misclassified,
    )
    record(
        version.project,
        "training",
        "hard_threshold_fitted",
        threshold,
        old={"threshold": standing.threshold} if standing else None,
        new={"threshold": fit.threshold, "k": fit.k, "misclassified": fit.n_misclassified},
    )
    return fit.threshold


def fit_hardness_from_benchmark(project: Project) -> dict[str, float | None]:
    """Fit the threshold of every model version that has predictions for labeled benchmark tasks of
    *fit* and *tune*; returns model version name -> threshold."""
    place = {pk: code for code, pk in enumerate(current_taxonomy(project).label_ids)}
    fitted: dict[str, float | None] = {}
    for version in project.model_versions.all():
        predictions = [
            prediction
            for prediction in Prediction.objects.filter(
                model_version=version,
                task__benchmark_item__part__in=[Part.FIT, Part.TUNE],
                task__benchmark_item__reference_label__in=list(place),
            ).select_related("task__benchmark_item", "taxonomy")
            if prediction.taxonomy.label_ids == list(place)
            and prediction.revision == prediction.task.revision
        ]
        if not predictions:
            continue
        raw = np.stack([scores.unpack(prediction.scores) for prediction in predictions])
        codes = [place[item.task.benchmark_item.reference_label_id] for item in predictions]
        log_scores = hard_samples.as_log_scores(raw, _kind(version))
        fitted[version.name] = store_hard_threshold(version, log_scores, np.array(codes))
    return fitted


def _kind(version: ModelVersion) -> Literal["logits", "probabilities"]:
    return "logits" if version.score_kind == "logits" else "probabilities"
