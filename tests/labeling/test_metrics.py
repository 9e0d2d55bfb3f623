"""The metrics of answers, against the definitions written out, sklearn, and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.statistics.metrics import (
    CONF,
    DEFERRED,
    LABEL,
    UNK,
    Pair,
    Said,
    answer_metrics,
    by_label,
    same_data,
    yes_or_no,
)

A, B = Said(LABEL, "a"), Said(LABEL, "b")
AB, BC = Said(CONF, conf=frozenset("ab")), Said(CONF, conf=frozenset("bc"))
NOBODY, LEFT = Said(UNK), Said(DEFERRED)

# For every expert and answer: in the coverage, in that with conf, right. The table of the page.
CELLS: dict[tuple[Said, Said], tuple[int, int, int]] = {
    (A, A): (1, 1, 1),
    (A, B): (1, 1, 0),
    (A, NOBODY): (0, 0, 0),
    (A, AB): (0, 1, 0),
    (A, LEFT): (0, 0, 0),
    (NOBODY, A): (1, 1, 0),
    (NOBODY, NOBODY): (0, 0, 0),
    (NOBODY, AB): (0, 1, 0),
    (NOBODY, LEFT): (0, 0, 0),
    (AB, A): (1, 1, 1),
    (BC, A): (1, 1, 0),
    (AB, NOBODY): (0, 0, 0),
    (AB, AB): (0, 1, 0),
    (AB, LEFT): (0, 0, 0),
}


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell[0].outcome}-{cell[1].outcome}")
def test_each_pair_of_expert_and_answer_counts_where_the_page_says(cell: tuple[Said, Said]) -> None:
    covered, with_conf, right = CELLS[cell]
    found = answer_metrics([Pair(1, *cell)])
    assert (found.coverage.successes, found.coverage.n) == (covered, 1)
    assert (found.coverage_with_conf.successes, found.coverage_with_conf.n) == (with_conf, 1)
    assert (found.accuracy.successes, found.accuracy.n) == (right, covered)
    assert (found.accuracy_conf_wrong.successes, found.accuracy_conf_wrong.n) == (right, with_conf)
    assert (found.total_accuracy.successes, found.total_accuracy.n) == (right, 1)


said = st.sampled_from([A, B, AB, BC, NOBODY])
answers = st.sampled_from([A, B, Said(LABEL, "c"), AB, NOBODY, LEFT])
pairs_of = st.lists(st.builds(Pair, st.integers(0, 8), said, answers), max_size=30)


@settings(max_examples=60, deadline=None)
@given(pairs_of)
def test_total_accuracy_is_accuracy_times_coverage_either_way(pairs: list[Pair]) -> None:
    found = answer_metrics(pairs)
    if not pairs:
        assert found.total_accuracy.value is None
        return
    for accuracy, coverage in (
        (found.accuracy, found.coverage),
        (found.accuracy_conf_wrong, found.coverage_with_conf),
    ):
        product = (accuracy.value or 0.0) * (coverage.value or 0.0)
        assert found.total_accuracy.value == pytest.approx(product)


@settings(max_examples=60, deadline=None)
@given(pairs_of)
def test_no_answers_give_a_number_that_is_none(pairs: list[Pair]) -> None:
    found = answer_metrics(pairs)
    table = by_label(pairs)
    shares = [found.coverage, found.accuracy, found.total_accuracy]
    shares += [share for row in table.labels for share in (row.precision, row.recall)]
    for share in shares:
        for value in (share.value, share.low, share.high):
            assert value is None or math.isfinite(value)
        if share.low is not None and share.value is not None and share.high is not None:
            assert share.low - 1e-9 <= share.value <= share.high + 1e-9
    assert all(math.isfinite(row.f1) for row in table.labels)
    assert table.macro_f1.value is None or 0 <= table.macro_f1.value <= 1
    compared = same_data(pairs, [pair for pair in pairs if pair.task % 2])  # type: ignore[operator]
    assert compared.gain.value is None or math.isfinite(compared.gain.value)


def test_an_outcome_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="has no meaning"):
        answer_metrics([Pair(1, LEFT, A)])
    with pytest.raises(ValueError, match="has no meaning"):
        answer_metrics([Pair(1, A, Said("skip"))])


def test_by_label_is_what_sklearn_says_of_the_answered() -> None:
    from sklearn.metrics import precision_recall_fscore_support

    rng = np.random.default_rng(0)
    true, answered = rng.choice(list("abcd"), 300), rng.choice(list("abcde"), 300)
    pairs = [
        Pair(at, Said(LABEL, str(one)), Said(LABEL, str(two)))
        for at, (one, two) in enumerate(zip(true, answered, strict=True))
    ]
    pairs += [Pair(at, A, NOBODY) for at in range(300, 340)]
    found = by_label(pairs)
    names = [row.label for row in found.labels]
    precision, recall, f1, _n = precision_recall_fscore_support(
        true, answered, labels=names, zero_division=0.0
    )
    assert [row.precision.value for row in found.labels] == pytest.approx(precision)
    assert [row.recall.value or 0.0 for row in found.labels] == pytest.approx(recall)
    assert [row.f1 for row in found.labels] == pytest.approx(f1)
    assert found.macro_f1.value == pytest.approx(np.mean(f1))
    assert found.macro_f1.n == 300
    assert found.macro_f1.low is not None
    assert found.macro_f1.high is not None
    assert found.macro_f1.low < np.mean(f1) < found.macro_f1.high + 0.02


def test_unk_and_conf_of_the_expert_make_wrong_answers_without_missing_a_label() -> None:
    found = by_label([Pair(1, NOBODY, A), Pair(2, BC, A), Pair(3, AB, A), Pair(4, A, A)])
    (row,) = found.labels
    assert (row.precision.successes, row.precision.n) == (2, 4)
    assert (row.recall.successes, row.recall.n) == (2, 2)


def test_yes_and_no_have_precision_and_recall_of_their_own() -> None:
    pairs = [
        yes_or_no(1, A, "a", "yes"),
        yes_or_no(2, A, "a", "no"),
        yes_or_no(3, B, "a", "no"),
        yes_or_no(4, NOBODY, "a", "yes"),
        yes_or_no(5, AB, "a", "yes"),
        yes_or_no(6, B, "a", "unk"),
        yes_or_no(7, A, "a", "deferred"),
    ]
    no, yes = by_label(pairs).labels
    assert (yes.precision.successes, yes.precision.n) == (2, 3)
    assert (yes.recall.successes, yes.recall.n) == (2, 3)
    assert (no.precision.successes, no.precision.n) == (1, 2)
    assert (no.recall.successes, no.recall.n) == (1, 2)
    assert answer_metrics(pairs).coverage.n == 7


def test_people_are_compared_on_just_what_the_machine_answered() -> None:
    machine = [Pair(1, A, A), Pair(2, A, A), Pair(3, A, B), Pair(4, A, LEFT)]
    people = [Pair(1, A, A), Pair(1, A, B), Pair(2, A, B), Pair(4, A, A), Pair(5, A, A)]
    found = same_data(people, machine)
    assert (found.people.accuracy.successes, found.people.accuracy.n) == (1, 3)
    # Task 3 has no answer of people, so the machine's mistake there does not count either.
    assert (found.machine.accuracy.successes, found.machine.accuracy.n) == (2, 2)
    assert found.gain.value == pytest.approx(1 - 1 / 3)
    assert found.gain.n == 2


def test_answers_to_one_task_widen_the_interval_as_they_should() -> None:
    """Five people who all say the same know no more than one of them."""
    once = [Pair(task, A, A if task % 4 else B) for task in range(80)]
    five = [pair for pair in once for _person in range(5)]
    alone, crowd = answer_metrics(once).accuracy, answer_metrics(five).accuracy
    assert crowd.n == 5 * alone.n
    assert alone.low is not None
    assert crowd.low == pytest.approx(alone.low, abs=0.02)
    sure = answer_metrics([Pair(task, A, A) for task in range(10) for _person in range(5)]).accuracy
    assert sure.low == answer_metrics([Pair(task, A, A) for task in range(10)]).accuracy.low


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """Three people a task whose mistakes hang together, 150 times."""
    rng = np.random.default_rng(2)
    missed = 0
    for _repeat in range(150):
        ease = rng.beta(4, 1, size=60)
        pairs = [
            Pair(task, A, A if rng.random() < ease[task] else B)
            for task in range(60)
            for _person in range(3)
        ]
        share = answer_metrics(pairs).accuracy
        assert share.low is not None
        assert share.high is not None
        missed += not share.low <= 0.8 <= share.high
    assert missed <= 18
