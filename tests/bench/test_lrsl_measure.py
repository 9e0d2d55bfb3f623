"""The figures of `bench.lrsl`, against numbers worked out by hand and by scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.lrsl_measure import compare, curve, summary

TRUTH = np.array([0, 0, 0, 1, 1, 1])
ORIGIN = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8], [0.6, 0.4], [0.1, 0.9]])
# Two rows put right, one put wrong.
OTHER = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
HARD = np.array([False, True, True, False, True, True])


def test_ways_are_compared_row_by_row_with_the_classifier() -> None:
    found = compare({"origin": ORIGIN, "ours": OTHER}, TRUTH, HARD)
    assert found["origin"]["accuracy"] == pytest.approx(3 / 6)
    assert found["ours"]["accuracy"] == pytest.approx(4 / 6)
    assert (found["origin"]["hard_accuracy"], found["ours"]["hard_accuracy"]) == (0.25, 0.5)
    assert found["ours"]["easy_accuracy"] == 1.0
    expected = stats.binomtest(2, 3).pvalue
    assert found["ours"]["mcnemar"] == {"gained": 2, "lost": 1, "p": pytest.approx(expected)}
    nll = -np.log(OTHER[np.arange(6), TRUTH]).mean()
    assert found["ours"]["nll"] == pytest.approx(nll)


def test_the_curve_ends_with_every_row_reranked() -> None:
    points = curve(np.arange(6.0), ORIGIN, {"ours": OTHER}, TRUTH)["ours"]
    assert (points[0]["hard_share"], points[0]["accuracy"]) == (0.0, 0.5)
    assert points[-1]["hard_share"] == 1.0
    assert points[-1]["accuracy"] == pytest.approx(4 / 6)


def test_several_seeds_give_means_with_their_interval() -> None:
    cells = [
        {"cell": {"seed": seed}, "ours": {"accuracy": value, "top_k_accuracy": {"1": value}}}
        for seed, value in enumerate((0.90, 0.92, 0.94))
    ]
    found = summary(cells)
    low, high = stats.t.interval(0.95, 2, loc=0.92, scale=0.02 / np.sqrt(3))
    assert found["ours"]["accuracy"] == {
        "mean": pytest.approx(0.92),
        "low": pytest.approx(low),
        "high": pytest.approx(high),
    }
    assert found["seeds"] == 3
    assert summary(cells[:1]) is cells[0]
