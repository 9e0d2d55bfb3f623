"""Areas under the ROC and the precision-recall curve, against sklearn."""

from __future__ import annotations

import numpy as np
import pytest

from labeling.statistics.ranking import areas, pr_area, roc_area


@pytest.mark.parametrize("seed", range(4))
def test_the_areas_are_those_of_sklearn_ties_included(seed: int) -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(seed)
    score = rng.integers(0, 8, 120) / 8
    positive = rng.random(120) < 0.2 + 0.6 * score
    assert roc_area(score, positive) == pytest.approx(roc_auc_score(positive, score), abs=1e-9)
    expected = average_precision_score(positive, score)
    assert pr_area(score, positive) == pytest.approx(expected, abs=1e-9)


def test_the_mean_is_over_labels_that_have_tasks_of_both_kinds() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.ones(4), 90)
    true = rng.integers(0, 3, 90)
    true[:5] = -1
    found = areas(shares, true)
    expected = np.mean([roc_auc_score(true == label, shares[:, label]) for label in range(3)])
    assert found.labels == 3
    assert found.roc == pytest.approx(expected)


def test_one_kind_of_task_has_no_area() -> None:
    assert areas(np.ones((3, 1)), np.zeros(3, dtype=np.int64)).roc is None
    assert areas(np.ones((3, 2)), np.full(3, -1)).labels == 0
    with pytest.raises(ValueError, match="positives"):
        roc_area(np.ones(3), np.ones(3, dtype=bool))
    with pytest.raises(ValueError, match="positives"):
        pr_area(np.ones(3), np.zeros(3, dtype=bool))
