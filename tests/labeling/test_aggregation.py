"""Majority, Dawid-Skene, reliability and confusion, against crowd-kit, cleanlab and plain code."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from labeling.statistics.aggregation import (
    NoRatings,
    confusion_pairs,
    consistency,
    dawid_skene,
    majority,
    majority_share,
)
from labeling.statistics.ratings import Ratings, Row

# crowd-kit speaks to an older pandas.
old_pandas = pytest.mark.filterwarnings(
    "ignore:The (inplace|copy) keyword", "ignore:.*copy keyword is deprecated"
)

SKILLS = (0.9, 0.8, 0.7, 0.5)


def crowd(seed: int, *, tasks: int = 60, labels: int = 3) -> tuple[list[Row], list[int]]:
    """Workers of known skill, each on most tasks; returns what they said and the truth."""
    rng = np.random.default_rng(seed)
    truth = [int(label) for label in rng.integers(0, labels, tasks)]
    rows: list[Row] = []
    for task, true in enumerate(truth):
        for worker, skill in enumerate(SKILLS):
            if rng.random() < 0.8 or worker == 0:
                wrong = int((true + rng.integers(1, labels)) % labels)
                rows.append((task, worker, true if rng.random() < skill else wrong))
    return rows, truth


def ordered(ratings: Ratings, posterior: NDArray[np.float64]) -> NDArray[np.float64]:
    """The posterior with tasks and labels in sorted order."""
    tasks = np.argsort([int(str(task)) for task in ratings.tasks])
    labels = np.argsort([int(str(label)) for label in ratings.labels])
    return posterior[tasks][:, labels]


def truth_by_rank(ratings: Ratings, truth: list[int]) -> list[int]:
    return [ratings.labels.index(truth[int(str(task))]) for task in ratings.tasks]


def accuracy(ratings: Ratings, best: NDArray[np.int64], truth: list[int]) -> float:
    return float(np.mean(best == np.array(truth_by_rank(ratings, truth))))


@old_pandas
@pytest.mark.parametrize("one_coin", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_dawid_skene_goes_the_way_of_crowd_kit_round_by_round(seed: int, one_coin: bool) -> None:
    import pandas as pd
    from crowdkit.aggregation import DawidSkene, OneCoinDawidSkene

    rows, _truth = crowd(seed)
    frame = pd.DataFrame(rows, columns=["task", "worker", "label"])
    ratings = Ratings.of(rows)
    for rounds in (1, 7):
        theirs = (OneCoinDawidSkene if one_coin else DawidSkene)(n_iter=rounds, tol=-1.0)
        expected = theirs.fit_predict_proba(frame).sort_index()[[0, 1, 2]].to_numpy()
        found = dawid_skene(ratings, one_coin=one_coin, most_rounds=rounds, tolerance=0.0)
        assert ordered(ratings, found.posterior) == pytest.approx(expected, abs=1e-9)


@old_pandas
def test_the_majority_and_its_ties_are_those_of_cleanlab_and_crowd_kit() -> None:
    import pandas as pd
    from cleanlab.multiannotator import get_majority_vote_label
    from crowdkit.aggregation import MajorityVote

    rows, _truth = crowd(4)
    ratings = Ratings.of(rows)
    votes = majority(ratings.counts())
    frame = pd.DataFrame(rows, columns=["task", "worker", "label"])
    shares = MajorityVote().fit_predict_proba(frame).sort_index()[[0, 1, 2]].to_numpy()
    mine = ratings.counts() / ratings.counts().sum(axis=1, keepdims=True)
    assert ordered(ratings, mine) == pytest.approx(shares, abs=1e-12)
    table = frame.pivot_table(index="task", columns="worker", values="label")
    theirs = dict(zip(table.index, get_majority_vote_label(table), strict=True))
    for task, tied in zip(ratings.tasks, votes, strict=True):
        assert theirs[task] in {ratings.labels[label] for label in tied}
    assert any(len(tied) > 1 for tied in votes)


def test_a_tie_counts_as_one_over_the_labels_that_tie() -> None:
    counts = np.array([[2.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    votes = majority(counts)
    assert votes == [(0,), (0, 1), (0, 1, 2), ()]
    assert majority_share(votes, [0, 1, 2, 0]) == [1.0, 0.5, pytest.approx(1 / 3), 0.0]
    assert majority_share(votes[:2], [1, 2]) == [0.0, 0.0]


def test_the_posterior_is_bayes_rule_with_the_confusion_and_the_shares_it_ends_with() -> None:
    """One round more, written out as plain products, changes nothing any more."""
    rows, _truth = crowd(2)
    ratings = Ratings.of(rows)
    found = dawid_skene(ratings, most_rounds=3000, tolerance=1e-12)
    assert found.converged
    share = found.posterior.mean(axis=0)
    for task in range(len(ratings.tasks)):
        weights = share.copy()
        for at in np.flatnonzero(ratings.task == task):
            weights *= found.confusion[ratings.worker[at], :, ratings.label[at]]
        assert found.posterior[task] == pytest.approx(weights / weights.sum(), abs=1e-7)


def test_workers_come_out_as_reliable_as_they_were_made() -> None:
    rows, truth = crowd(3, tasks=1500)
    ratings = Ratings.of(rows)
    for one_coin in (False, True):
        found = dawid_skene(ratings, one_coin=one_coin)
        for place, worker in enumerate(ratings.workers):
            assert found.reliability[place] == pytest.approx(SKILLS[int(str(worker))], abs=0.05)
        votes = majority_share(majority(ratings.counts()), truth_by_rank(ratings, truth))
        assert accuracy(ratings, found.best(), truth) > np.mean(votes)


def test_one_coin_bears_many_labels_and_few_answers_better_than_whole_matrices() -> None:
    rows, truth = crowd(0, tasks=150, labels=30)
    ratings = Ratings.of(rows)
    full, coin = dawid_skene(ratings), dawid_skene(ratings, one_coin=True)
    assert accuracy(ratings, coin.best(), truth) > accuracy(ratings, full.best(), truth)


def test_a_prior_from_the_classifier_helps_as_far_as_the_classifier_knows() -> None:
    rng = np.random.default_rng(8)
    rows, truth = crowd(6, tasks=400)
    ratings = Ratings.of(rows)
    prior = np.full((len(ratings.tasks), 3), 0.1)
    for at, true in enumerate(truth_by_rank(ratings, truth)):
        prior[at, true if rng.random() < 0.8 else (true + 1) % 3] = 0.8
    alone = dawid_skene(ratings, one_coin=True)
    helped = dawid_skene(ratings, one_coin=True, prior=prior)
    assert accuracy(ratings, helped.best(), truth) > accuracy(ratings, alone.best(), truth) + 0.01


def test_with_nobody_to_trust_the_prior_decides() -> None:
    ratings = Ratings.of([(1, "x", "a"), (1, "y", "b"), (2, "x", "b"), (2, "y", "a")])
    prior = np.array([[0.9, 0.1], [0.2, 0.8]])
    found = dawid_skene(ratings, one_coin=True, prior=prior)
    assert found.best().tolist() == [0, 1]


def test_a_prior_that_is_none_is_refused() -> None:
    ratings = Ratings.of([(1, "x", "a"), (1, "y", "b")])
    for wrong in (np.ones((1, 2)), np.full((1, 2), np.nan), np.array([[1.5, -0.5]])):
        with pytest.raises(ValueError, match="distribution"):
            dawid_skene(ratings, prior=wrong)
    with pytest.raises(ValueError, match="shape"):
        dawid_skene(ratings, prior=np.ones((2, 2)) / 2)


def test_no_ratings_have_a_name() -> None:
    with pytest.raises(NoRatings):
        dawid_skene(Ratings.of([]))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 3), st.sampled_from(["a", "b", "unk"])),
        min_size=1,
        max_size=20,
    ),
    st.booleans(),
)
def test_odd_data_still_give_distributions(rows: list[Row], one_coin: bool) -> None:
    """One worker, one label, a single task, the same row twice: numbers all the same."""
    found = dawid_skene(Ratings.of(rows), one_coin=one_coin, most_rounds=30)
    assert np.isfinite(found.posterior).all()
    assert found.posterior.sum(axis=1) == pytest.approx(1.0)
    assert ((found.reliability >= 0) & (found.reliability <= 1)).all()


def test_mistakes_are_ranked_by_how_often_they_happen() -> None:
    pairs = [("a", "a")] * 6 + [("a", "b")] * 3 + [("b", "a")] * 2 + [("b", "unk")] * 2
    found = confusion_pairs(pairs, most=2)
    assert [(one.true, one.said, one.times) for one in found] == [("a", "b", 3), ("b", "a", 2)]
    assert (found[0].share.successes, found[0].share.n) == (3, 9)
    assert confusion_pairs([], most=5) == []


def test_confusion_counts_are_those_of_sklearn() -> None:
    from sklearn.metrics import confusion_matrix

    rng = np.random.default_rng(1)
    true, said = rng.integers(0, 4, 200).tolist(), rng.integers(0, 4, 200).tolist()
    table = confusion_matrix(true, said)
    pairs = confusion_pairs(zip(true, said, strict=True), most=99)
    found = {(one.true, one.said): one.times for one in pairs}
    assert found == {(i, j): table[i, j] for i, j in itertools.permutations(range(4), 2)}


def test_consistency_compares_each_answer_with_the_one_before() -> None:
    found = consistency({"t1": ["a", "a", "b"], "t2": ["unk", "unk"], "t3": ["a"]})
    assert (found.successes, found.n) == (2, 3)
    assert consistency({}).value is None
    assert math.isclose(found.value or 0.0, 2 / 3)
