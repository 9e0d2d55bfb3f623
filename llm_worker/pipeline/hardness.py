"""The variance threshold below which a task is hard (LRSL eq. 7), as rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from labeling.actions.events import record
from labeling.models import HardThreshold, ModelVersion
from rerank_engine import hard_samples
from rerank_engine.errors import NothingMisclassifiedError


@transaction.atomic
def store_hard_threshold(
    version: ModelVersion, log_scores: NDArray[Any], codes: NDArray[np.int64], *, k: int
) -> float | None:
    """Fit eq. 7 on rows (n, C) that the model was not trained on, and put the threshold in use.

    None where the model made no mistake on them: then no task of it is hard.
    """
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
