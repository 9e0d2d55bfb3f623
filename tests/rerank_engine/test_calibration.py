from __future__ import annotations

import math

import numpy as np
import pytest

from rerank_engine.calibration import (
    calibration_error,
    negative_log_likelihood,
    top_k_accuracy,
)
from rerank_engine.errors import ScoresError

SHARES = np.array([[0.7, 0.2, 0.1], [0.5, 0.5, 0.0], [0.1, 0.3, 0.6]])


def test_the_loss_of_a_row_is_minus_the_logarithm_of_its_true_label() -> None:
    found = negative_log_likelihood(SHARES, np.array([0, 2, 2]))
    assert found[0] == pytest.approx(-math.log(0.7))
    assert found[1] == pytest.approx(-math.log(1e-12))  # bounded where a true label has 0


def test_a_tie_with_the_true_label_counts_against_it() -> None:
    truth = np.array([0, 0, 1])
    assert top_k_accuracy(SHARES, truth, 1).tolist() == [True, False, False]
    assert top_k_accuracy(SHARES, truth, 2).tolist() == [True, True, True]


def test_calibration_compares_confidence_and_accuracy_bin_by_bin() -> None:
    sure = np.tile([[0.9, 0.1]], (30, 1))
    half_right = np.array([0, 1] * 15)
    assert calibration_error(sure, half_right) == pytest.approx(0.4, abs=1e-9)
    assert calibration_error(np.zeros((0, 2)), np.zeros(0, dtype=int)) == 0.0
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1.0, 20_000)
    honest = np.stack([confidence, 1 - confidence], axis=1)
    truth = (rng.random(20_000) > confidence).astype(int)
    assert calibration_error(honest, truth) < 0.02


def test_labels_and_probabilities_must_fit() -> None:
    with pytest.raises(ScoresError, match="do not fit"):
        calibration_error(SHARES, np.array([0]))
