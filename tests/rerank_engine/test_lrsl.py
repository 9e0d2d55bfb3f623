from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rerank_engine.errors import NothingMisclassifiedError, ScoresError, TrainingDataError
from rerank_engine.hard_samples import (
    HardThreshold,
    as_log_scores,
    choose_k,
    fit_hard_threshold,
    is_hard,
    marginal_effect,
    top_k_variance,
)
from rerank_engine.lrsl import MODES, Mode, rerank, softmax, top_candidates

Array = NDArray[np.float64]


def _random(seed: int, rows: int = 40, labels: int = 7, width: int = 5) -> tuple[Array, ...]:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 3, (rows, labels))
    scores[rng.random((rows, labels)) < 0.2] = np.nan
    scores[:, 0] = rng.normal(size=rows)  # one score is always known
    return scores, rng.normal(size=(rows, width)), rng.normal(size=(labels, width))


def _slow_rerank(scores: Array, text: Array, labels: Array, mode: str = "paper") -> list[float]:
    known = [j for j in range(len(scores)) if not math.isnan(scores[j])]
    total = sum(math.exp(scores[j]) for j in known)
    plain = [math.exp(scores[j]) / total if j in known else 0.0 for j in range(len(scores))]
    cosine = [
        float(text @ label) / math.sqrt(float(text @ text) * float(label @ label))
        for label in labels
    ]
    if mode == "similarity":
        products = [math.exp(20 * c) if p > 0 else 0.0 for c, p in zip(cosine, plain, strict=True)]
    else:
        closest = max(cosine)
        if mode == "released_snap" and closest > 0:
            cosine = [1.0 if c == closest else c for c in cosine]
        power = {"paper": 1, "released": 2, "released_snap": 3}[mode]
        products = [max(c, 0.0) ** power * p for c, p in zip(cosine, plain, strict=True)]
    return [p / sum(products) for p in products] if sum(products) > 0 else plain


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(5))
def test_every_mode_equals_its_definition_worked_out_by_hand(seed: int, mode: Mode) -> None:
    scores, texts, labels = _random(seed)
    expected = [_slow_rerank(s, t, labels, mode) for s, t in zip(scores, texts, strict=True)]
    np.testing.assert_allclose(rerank(scores, texts, labels, mode=mode), expected, atol=1e-9)


@pytest.mark.parametrize("mode", MODES)
def test_a_negative_cosine_is_no_reward_in_any_mode(mode: Mode) -> None:
    found = rerank(
        np.zeros((1, 2)), np.array([[1.0, 0.0]]), np.array([[0.3, 1], [-0.9, 0.1]]), mode=mode
    )
    assert found[0, 0] > found[0, 1]


def test_a_hundred_thousand_rows_take_one_call() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(100_000, 20)).astype(np.float32)
    texts, labels = rng.normal(size=(100_000, 8)), rng.normal(size=(20, 8))
    found = rerank(scores, texts, labels)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    some = rng.integers(0, 100_000, 5)
    expected = [_slow_rerank(scores[row].astype(float), texts[row], labels) for row in some]
    np.testing.assert_allclose(found[some], expected, atol=1e-6)


def test_the_case_of_the_paper_changes_the_first_label() -> None:
    scores = np.array([[2.0, 1.9, -3.0]])
    label_vectors = np.eye(3)
    text = np.array([[0.2, 0.9, 0.1]])
    assert softmax(scores).argmax() == 0
    assert rerank(scores, text, label_vectors).argmax() == 1


def test_rows_that_are_not_hard_keep_their_softmax() -> None:
    scores, texts, labels = _random(3)
    hard = np.arange(len(scores)) % 3 == 0
    result = rerank(scores, texts, labels, hard=hard)
    np.testing.assert_array_equal(result[~hard], softmax(scores)[~hard])
    np.testing.assert_array_equal(result[hard], rerank(scores, texts, labels)[hard])


def test_a_row_without_a_positive_cosine_keeps_its_softmax() -> None:
    scores = np.array([[1.0, 0.0], [1.0, 0.0]])
    texts = np.array([[-1.0, -1.0], [0.0, 0.0]])
    np.testing.assert_allclose(rerank(scores, texts, np.eye(2)), softmax(scores))


_numbers = st.floats(-1e6, 1e6, allow_nan=False)


@st.composite
def _cases(draw: st.DrawFn) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
    rows, labels, width = (draw(st.integers(1, 5)) for _ in range(3))

    def matrix(height: int, breadth: int, numbers: st.SearchStrategy[float]) -> Array:
        size = height * breadth
        flat = draw(st.lists(numbers, min_size=size, max_size=size))
        return np.array(flat).reshape(height, breadth)

    scores = matrix(rows, labels, st.one_of(_numbers, st.just(math.nan)))
    scores[:, draw(st.integers(0, labels - 1))] = draw(_numbers)
    hard = np.array(draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    return scores, matrix(rows, width, _numbers), matrix(labels, width, _numbers), hard


@given(_cases())
def test_every_reranked_row_is_a_distribution_and_unknown_labels_stay_out(
    case: tuple[Array, Array, Array, NDArray[np.bool_]],
) -> None:
    scores, texts, labels, hard = case
    result = rerank(scores, texts, labels, hard=hard)
    assert np.isfinite(result).all()
    assert (result >= 0).all()
    np.testing.assert_allclose(result.sum(axis=1), 1.0, atol=1e-9)
    assert (result[np.isnan(scores)] == 0).all()


def test_what_does_not_fit_is_refused_in_words() -> None:
    scores, texts, labels = _random(0)
    with pytest.raises(ScoresError, match="do not fit"):
        rerank(scores, texts[:, :2], labels)
    with pytest.raises(ScoresError, match="do not fit"):
        rerank(scores, texts[1:], labels)
    with pytest.raises(ScoresError, match="one flag a row"):
        rerank(scores, texts, labels, hard=np.array([True]))
    with pytest.raises(ScoresError, match="no reranking mode"):
        rerank(scores, texts, labels, mode="best")  # type: ignore[arg-type]
    with pytest.raises(ScoresError, match="Row 1 has no finite score"):
        softmax(np.array([[0.0, 1.0], [np.nan, np.nan]]))


def test_candidates_are_ordered_and_ties_keep_the_order_of_the_labels() -> None:
    probabilities = np.array([[0.1, 0.4, 0.1, 0.4], [0.7, 0.1, 0.1, 0.1]])
    assert top_candidates(probabilities, 3).tolist() == [[1, 3, 0], [0, 1, 2]]
    assert top_candidates(probabilities, 9).shape == (2, 4)


@pytest.mark.parametrize("k", [2, 3, 5, 20])
def test_the_top_k_variance_equals_the_one_worked_out_by_hand(k: int) -> None:
    scores = _random(1)[0]
    for row, variance in zip(scores, top_k_variance(scores, k), strict=True):
        top = sorted((v for v in row if not math.isnan(v)), reverse=True)[:k]
        if len(top) < 2:
            assert math.isnan(variance)
        else:
            mean = sum(top) / len(top)
            assert variance == pytest.approx(sum((v - mean) ** 2 for v in top) / len(top))


def test_the_threshold_is_the_mean_variance_of_the_misclassified_rows() -> None:
    scores = np.array([[4.0, 0.0], [1.0, 0.0], [0.0, 3.0], [np.nan, 2.0], [0.5, 0.1]])
    labels = np.array([0, 1, 0, 0, 0])
    fit = fit_hard_threshold(scores, labels, k=2)
    # Rows 1 and 2 are wrong, with variances 0.25 and 2.25; row 3 has one known score.
    assert fit == HardThreshold(k=2, threshold=1.25, n_rows=4, n_misclassified=2)
    assert is_hard(scores, fit).tolist() == [False, True, False, False, True]


def test_where_nothing_is_misclassified_there_is_no_threshold() -> None:
    with pytest.raises(NothingMisclassifiedError, match="None of 2 rows"):
        fit_hard_threshold(np.eye(2), np.array([0, 1]), k=2)


def test_log_probabilities_find_the_same_hard_rows_as_logits() -> None:
    scores = _random(2)[0]
    probabilities = np.where(np.isnan(scores), np.nan, softmax(scores))
    logs = as_log_scores(probabilities, "probabilities")
    np.testing.assert_allclose(top_k_variance(logs, 3), top_k_variance(scores, 3), rtol=1e-9)
    assert np.isfinite(as_log_scores(np.array([[0.0, 1.0]]), "probabilities")).all()
    assert as_log_scores(scores, "logits") is scores


def test_scores_that_have_no_variance_are_refused_in_words() -> None:
    with pytest.raises(ScoresError, match="infinite"):
        top_k_variance(np.array([[np.inf, 0.0]]), 2)
    with pytest.raises(ScoresError, match="top 2"):
        top_k_variance(np.eye(2), 1)
    with pytest.raises(ScoresError, match="negative"):
        as_log_scores(np.array([[-0.1, 1.1]]), "probabilities")
    with pytest.raises(TrainingDataError, match="outside of 0 to 1"):
        fit_hard_threshold(np.eye(2), np.array([0, 2]), k=2)


def test_k_is_the_one_whose_variance_tells_wrong_rows_from_right_ones() -> None:
    rng = np.random.default_rng(0)
    rows, labels = 400, 8
    scores = rng.normal(0, 0.05, (rows, labels))
    truth = rng.integers(0, 2, rows)
    wrong = rng.random(rows) < 0.3
    said = np.where(wrong, 1 - truth, truth)
    # Wrong rows have two high scores close together, right ones two far apart: the top 2 say it
    # all, and a third score as noisy as it is high hides it.
    scores[np.arange(rows), said] = 4.0
    scores[np.arange(rows), 1 - said] = np.where(wrong, 3.8, 3.0)
    scores[:, 2] = rng.normal(-8.0, 6.0, rows).clip(None, 2.9)
    assert choose_k(scores, truth, choices=(2, 3)) == 2
    assert choose_k(scores, said, choices=(2, 3)) == 2  # nothing is wrong: the smallest


def test_the_curve_of_marginal_effect_counts_rows_below_each_threshold() -> None:
    variance = np.array([1.0, 2.0, 3.0, np.nan])
    before = np.array([False, True, True, False])
    after = np.array([True, True, False, True])
    curve = marginal_effect(variance, before, after, points=4)
    assert [(p.variance, p.hard_share, p.accuracy) for p in curve[:3]] == [
        (1.0, 0.0, 0.5),
        (2.0, 0.25, 0.75),
        (3.0, 0.5, 0.75),
    ]
    assert (curve[3].hard_share, curve[3].accuracy) == (0.75, 0.5)
    assert curve[3].variance > 3.0


def test_a_curve_needs_rows_with_a_variance() -> None:
    with pytest.raises(ScoresError, match="No row has a variance"):
        marginal_effect(np.array([np.nan]), np.array([True]), np.array([True]))
    with pytest.raises(ScoresError, match="one value a row"):
        marginal_effect(np.zeros(2), np.array([True]), np.array([True, False]))
