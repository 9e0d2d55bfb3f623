"""Calibration and the correctness scorer, against sklearn, brute force and by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from labeling.statistics.calibration import (
    StepMap,
    calibration_error,
    calibration_report,
    fit_isotonic,
    fit_temperature,
    fit_venn_abers,
    reliability,
)
from labeling.statistics.scorer import (
    Scorer,
    Signs,
    area_under_risk,
    features,
    fit_scorer,
    ranks_better,
)

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def overconfident(n: int, seed: int = 0) -> tuple[Floats, Flags]:
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.3, 1.0, n)
    return confidence, rng.random(n) < confidence**2


# --- Calibration --------------------------------------------------------------------------------


def test_a_temperature_takes_back_the_one_that_was_put_in() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (4000, 6))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(6, p=row) for row in p])
    assert fit_temperature(logits * 3.0, truth) == pytest.approx(3.0, rel=0.06)
    assert fit_temperature(logits, truth) == pytest.approx(1.0, rel=0.06)
    with pytest.raises(ValueError, match="no rows"):
        fit_temperature(np.zeros((0, 3)), np.zeros(0, int))


def test_isotonic_is_that_of_sklearn() -> None:
    from sklearn.isotonic import IsotonicRegression

    confidence, right = overconfident(300)
    ours = fit_isotonic(confidence, right)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(confidence, right)
    asked = np.linspace(0.2, 1.1, 50)
    assert [ours.probability(x) for x in asked] == pytest.approx(theirs.predict(asked).tolist())


def test_venn_abers_is_two_fits_with_the_new_row() -> None:
    from sklearn.isotonic import IsotonicRegression

    confidence, right = overconfident(120)
    ours = fit_venn_abers(confidence, right)
    for x in confidence[:20]:
        ends = [
            IsotonicRegression()
            .fit(np.append(confidence, x), np.append(right, outcome))
            .predict([x])[0]
            for outcome in (0, 1)
        ]
        assert ours.interval(float(x)) == pytest.approx(tuple(ends))
        low, high = ours.interval(float(x))
        assert low < ours.probability(float(x)) < high


@pytest.mark.parametrize("fit", [fit_isotonic, fit_venn_abers])
def test_a_fitted_map_makes_new_confidences_honest_and_survives_json(fit: object) -> None:
    assert callable(fit)
    found = fit(*overconfident(3000))
    found = StepMap.from_json(json.loads(json.dumps(found.as_json())))
    confidence, right = overconfident(3000, seed=1)
    mapped = np.array([found.probability(x) for x in confidence])
    assert calibration_error(confidence, right) > 0.15
    assert calibration_error(mapped, right) < 0.04
    assert len(found.at) <= 400
    assert np.all(np.diff(found.low) >= 0)


def test_an_interval_is_wide_where_little_is_known() -> None:
    few, many = fit_venn_abers(*overconfident(40)), fit_venn_abers(*overconfident(4000))
    assert np.diff(few.interval(0.7))[0] > 3 * np.diff(many.interval(0.7))[0]


@pytest.mark.parametrize("fit", [fit_isotonic, fit_venn_abers])
def test_what_cannot_be_calibrated_is_refused(fit: object) -> None:
    assert callable(fit)
    with pytest.raises(ValueError, match="needs 20 rows"):
        fit(*overconfident(19))
    with pytest.raises(ValueError, match="is a number"):
        fit(np.full(30, np.nan), np.ones(30, bool))


def test_all_right_and_one_confidence_have_defined_values() -> None:
    confidence, right = np.full(50, 0.8), np.ones(50, bool)
    assert fit_isotonic(confidence, right).probability(0.5) == 1.0
    assert 0.9 < fit_venn_abers(confidence, right).probability(0.8) < 1.0
    report = calibration_report(confidence, right)
    assert report.error == pytest.approx(0.2)
    assert len(report.bins) == 1
    nothing = calibration_report(np.zeros(0), np.zeros(0, bool))
    assert (nothing.n, nothing.error, nothing.brier, nothing.bins) == (0, None, None, [])


def test_the_report_by_hand() -> None:
    confidence = np.array([0.2, 0.4, 0.6, 1.0])
    right = np.array([False, True, False, True])
    report = calibration_report(confidence, right, bins=2)
    assert [(b.n, b.right) for b in report.bins] == [(2, 0.5), (2, 0.5)]
    assert [b.confidence for b in report.bins] == pytest.approx([0.3, 0.8])
    assert report.error == pytest.approx((2 * 0.2 + 2 * 0.3) / 4)
    assert report.brier == pytest.approx((0.04 + 0.36 + 0.36) / 4)
    assert report.log_loss == pytest.approx(-(2 * math.log(0.4) + math.log(0.8)) / 4, abs=1e-9)
    assert report.error_low is not None
    assert report.error_high is not None
    assert report.error_low <= report.error_high


@given(
    st.lists(st.sampled_from([0.1, 0.5, 0.50001, 0.9, 1.0]), min_size=1, max_size=60),
    st.integers(1, 20),
)
def test_bins_hold_every_row_once_and_never_part_equal_rows(values: list[float], bins: int) -> None:
    confidence = np.array(values)
    found = reliability(confidence, np.ones(len(values), bool), bins=bins)
    assert sum(b.n for b in found) == len(values)
    assert len(found) <= bins
    means = [b.confidence for b in found]
    assert means == sorted(set(means))


# --- The scorer ---------------------------------------------------------------------------------


def test_signs_become_named_numbers() -> None:
    found = features(
        Signs(
            label="7",
            pooled={"7": 0.6, "8": 0.3, "unk": 0.1},
            verdicts=[{"7": 0.9, "8": 0.1}, {"7": 0.3, "8": 0.5}],
            masses=[1.0, 0.5],
            spreads=[0.0, 0.2],
            candidates=[("7", 0.8, 0.4, 0.9), ("8", 0.2, 0.6, 0.7)],
            documents=[0.1, 0.4],
        )
    )
    assert found["pooled_support"] == pytest.approx(math.log(0.6 / 0.4))
    assert found["pooled_margin"] == pytest.approx(math.log(2))
    assert found["validator1_margin"] == pytest.approx(math.log(0.3 / 0.5))
    assert found["disagreement"] == pytest.approx(0.6)
    assert found["mass"] == pytest.approx(0.0)
    assert (found["spread"], found["document"]) == (0.2, 0.4)
    assert found["reranking_changed"] == pytest.approx(math.log(2))
    assert found["classifier_margin"] == pytest.approx(math.log(0.4 / 0.6))
    assert found["similarity_margin"] == pytest.approx(0.2)


def test_missing_signs_are_left_out_and_nothing_is_infinite() -> None:
    found = features(Signs(label="7", pooled={"8": 1.0}))
    assert set(found) == {"pooled_support", "pooled_margin", "pooled_entropy"}
    assert all(math.isfinite(value) for value in found.values())


def rows_of(n: int, seed: int) -> tuple[list[dict[str, float]], Flags]:
    """Rightness hangs on two signs; the third is noise, and the second is often missing."""
    rng = np.random.default_rng(seed)
    a, b, noise = rng.normal(size=(3, n))
    right = rng.random(n) < 1 / (1 + np.exp(-(1.5 + a + 1.5 * b)))
    rows = [{"a": a[i], "noise": noise[i], **({"b": b[i]} if i % 5 else {})} for i in range(n)]
    return rows, right


def test_a_scorer_learns_what_a_single_sign_does_not_know() -> None:
    scorer = fit_scorer(*rows_of(1500, 1))
    assert scorer is not None
    weights = dict(zip(scorer.names, scorer.weights, strict=True))
    assert weights["b"] > weights["a"] > 0.5
    assert abs(weights["noise"]) < 0.2
    rows, right = rows_of(800, 2)
    ours = np.array([scorer.probability(row) for row in rows])
    alone = np.array([row["a"] for row in rows])
    found = ranks_better(ours, alone, right)
    assert found.first < found.second
    assert found.first_wins
    assert not ranks_better(alone, ours, right).first_wins
    assert calibration_error(ours, right) < 0.06
    again = Scorer.from_json(json.loads(json.dumps(scorer.as_json())))
    assert again.probability(rows[0]) == scorer.probability(rows[0])


def test_the_regression_is_that_of_sklearn() -> None:
    from sklearn.linear_model import LogisticRegression

    from labeling.statistics.scorer import _logistic

    rng = np.random.default_rng(3)
    table = rng.normal(size=(400, 3))
    right = rng.random(400) < 1 / (1 + np.exp(-table[:, 0]))
    weights, intercept = _logistic(table, right, 2.0)
    theirs = LogisticRegression(C=0.5, tol=1e-8).fit(table, right)
    assert weights == pytest.approx(theirs.coef_[0], abs=1e-3)
    assert intercept == pytest.approx(theirs.intercept_[0], abs=1e-3)


@pytest.mark.parametrize("wrong", [0, 3])
def test_where_there_is_nothing_to_learn_there_is_no_scorer(wrong: int) -> None:
    rows, _ = rows_of(200, 4)
    right = np.arange(200) >= wrong
    assert fit_scorer(rows, right) is None
    assert fit_scorer(rows[:20], right[:20]) is None


def test_equal_scores_win_nothing() -> None:
    score = np.linspace(0, 1, 100)
    right = np.random.default_rng(0).random(100) < score
    assert ranks_better(score, score, right).p_value == 1.0
    assert ranks_better(score, -score, np.ones(100, bool)).p_value == 1.0


def test_the_area_by_hand() -> None:
    """Errors 0/1, 1/2, 1/3 at the three coverages; and in a tie both rows count as half wrong."""
    right = np.array([True, False, True])
    assert area_under_risk(np.array([0.9, 0.8, 0.1]), right) == pytest.approx(
        (0 + 1 / 2 + 1 / 3) / 3
    )
    assert area_under_risk(np.array([0.9, 0.9, 0.1]), right) == pytest.approx(
        (2 * 1 / 2 + 1 / 3) / 3
    )
    assert area_under_risk(np.zeros(0), np.zeros(0, bool)) == 0.0
