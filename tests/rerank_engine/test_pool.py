from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rerank_engine.errors import ScoresError, TrainingDataError
from rerank_engine.lrsl import rerank, softmax
from rerank_engine.pool import CLASSIFIER, LogLinearPool, fit_pool
from rerank_engine.views import classifier_view, neighbours_view, similarity_view

Array = NDArray[np.float64]


def _views(
    seed: int, rows: int = 200, labels: int = 5
) -> tuple[dict[str, Array], NDArray[np.int64]]:
    """A classifier and a second view that know different things of the true label."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, labels, rows)
    signal = np.eye(labels)[truth]
    first = classifier_view(2.0 * signal + rng.normal(0, 1.2, (rows, labels)))
    second = classifier_view(2.0 * signal + rng.normal(0, 1.2, (rows, labels)))
    return {CLASSIFIER: first, "other": second}, truth


def _nll(pool: LogLinearPool, views: dict[str, Array], truth: NDArray[np.int64]) -> float:
    shares = pool.combine(views)[np.arange(len(truth)), truth]
    return float(-np.log(shares).mean())


@given(
    st.integers(0, 2**32 - 1),
    st.floats(0, 50, allow_nan=False),
    st.floats(0, 50, allow_nan=False),
)
def test_a_pool_is_always_a_distribution_and_leaves_unknown_labels_at_0(
    seed: int, first: float, second: float
) -> None:
    views, _ = _views(seed, rows=20)
    views[CLASSIFIER][:, 2] = np.nan
    found = LogLinearPool({CLASSIFIER: first, "other": second}).combine(views)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-9)
    assert (found >= 0).all()
    assert (found[:, 2] == 0).all()


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 20))
def test_without_other_views_the_order_of_the_labels_stays(seed: int, temperature: float) -> None:
    views, _ = _views(seed, rows=20)
    pool = LogLinearPool({CLASSIFIER: 1 / temperature, "other": 0.0})
    assert not pool.reranks
    best = pool.combine(views).argmax(axis=1)
    np.testing.assert_array_equal(best, views[CLASSIFIER].argmax(axis=1))


def test_the_pool_of_logarithms_of_cosines_is_equation_10() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(30, 4))
    texts, labels = rng.random((30, 6)), rng.random((4, 6))  # positive: so are all cosines
    unit = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    names = labels / np.linalg.norm(labels, axis=1, keepdims=True)
    views = {CLASSIFIER: classifier_view(scores), "cosine": np.log(unit @ names.T)}
    pool = LogLinearPool({CLASSIFIER: 1.0, "cosine": 1.0})
    np.testing.assert_allclose(pool.combine(views), rerank(scores, texts, labels), atol=1e-9)


def test_the_fit_finds_the_exponents_of_least_loss() -> None:
    views, truth = _views(1)
    fit = fit_pool(views, truth, sets=[(CLASSIFIER, "other")])
    best = _nll(fit.pool, views, truth)
    for a in np.linspace(0.0, 3.0, 13):
        for b in np.linspace(0.0, 3.0, 13):
            tried = LogLinearPool({CLASSIFIER: float(a), "other": float(b)})
            assert best <= _nll(tried, views, truth) + 1e-3


def test_a_view_that_knows_nothing_is_left_out() -> None:
    views, truth = _views(2)
    views["other"] = classifier_view(np.random.default_rng(5).normal(0, 2, views["other"].shape))
    fit = fit_pool(views, truth, sets=[(CLASSIFIER,), (CLASSIFIER, "other")])
    assert not fit.pool.reranks
    assert fit.cross_validated[CLASSIFIER] <= fit.cross_validated["classifier+other"]


def test_a_view_that_knows_something_of_its_own_is_used() -> None:
    views, truth = _views(3)
    held, held_truth = _views(4)
    fit = fit_pool(views, truth, sets=[(CLASSIFIER,), (CLASSIFIER, "other")])
    alone = fit_pool(views, truth, sets=[(CLASSIFIER,)]).pool
    assert fit.pool.reranks
    assert _nll(fit.pool, held, held_truth) < _nll(alone, held, held_truth) - 0.1


def test_rows_whose_true_label_is_unknown_do_not_spoil_the_fit() -> None:
    views, truth = _views(6)
    views[CLASSIFIER][np.arange(50), truth[:50]] = np.nan
    fit = fit_pool(views, truth, sets=[(CLASSIFIER, "other")])
    rest = {name: view[50:] for name, view in views.items()}
    same = fit_pool(rest, truth[50:], sets=[(CLASSIFIER, "other")])
    assert fit.pool.weights == pytest.approx(same.pool.weights, rel=1e-3)


def test_bad_views_are_refused_in_words() -> None:
    views, truth = _views(0)
    pool = LogLinearPool({CLASSIFIER: 1.0, "other": 1.0})
    with pytest.raises(ScoresError, match="other is missing"):
        pool.combine({CLASSIFIER: views[CLASSIFIER]})
    with pytest.raises(ScoresError, match=r"has the shape \(200, 4\)"):
        pool.combine({**views, "other": views["other"][:, :4]})
    with pytest.raises(ScoresError, match="not finite"):
        pool.combine({**views, "other": np.full_like(views["other"], np.nan)})
    with pytest.raises(TrainingDataError, match="do not fit"):
        fit_pool(views, truth + 9, sets=[(CLASSIFIER,)])
    few = {name: view[:5] for name, view in views.items()}
    with pytest.raises(TrainingDataError, match="5 rows are too few"):
        fit_pool(few, truth[:5], sets=[(CLASSIFIER,)])


def _slow_neighbours(text: Array, examples: Array, codes: list[int], labels: int, k: int) -> Array:
    near = sorted(
        ((float(text @ e), c) for e, c in zip(examples, codes, strict=True)), reverse=True
    )
    votes = [0.1 / labels] * labels
    for cosine, code in near[:k]:
        votes[code] += math.exp(20 * (cosine - 1))
    return np.log(np.array(votes) / sum(votes))


def test_the_votes_of_neighbours_are_those_counted_one_by_one() -> None:
    rng = np.random.default_rng(0)
    examples = rng.normal(size=(50, 6))
    examples /= np.linalg.norm(examples, axis=1, keepdims=True)
    texts = rng.normal(size=(9, 6))
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    codes = rng.integers(0, 4, 50)
    found = neighbours_view(texts, examples, codes, 4, k=7)
    expected = [_slow_neighbours(text, examples, codes.tolist(), 4, 7) for text in texts]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_neighbours_need_labeled_texts_of_the_same_number() -> None:
    with pytest.raises(ScoresError, match="3 examples came with 2 labels"):
        neighbours_view(np.eye(3), np.eye(3), np.array([0, 1]), 2)


def test_the_view_of_similarity_orders_labels_by_cosine() -> None:
    rng = np.random.default_rng(1)
    texts, labels = rng.normal(size=(8, 5)), rng.normal(size=(3, 5))
    found = similarity_view(texts, labels)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1.0)
    unit = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    cosine = unit @ (labels / np.linalg.norm(labels, axis=1, keepdims=True)).T
    np.testing.assert_allclose(found, np.log(softmax(20 * cosine)), atol=1e-9)
