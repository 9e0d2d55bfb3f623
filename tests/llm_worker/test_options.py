from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_worker.errors import InvalidRequestError
from llm_worker.options import (
    binary_distribution,
    distribution,
    sigmoid,
    softmax,
    unk_distribution,
)

logits = st.lists(st.floats(-500.0, 500.0), min_size=1, max_size=8)


@given(logits, st.floats(0.01, 50.0))
def test_softmax_sums_to_one_and_keeps_the_order(scores: list[float], temperature: float) -> None:
    shares = softmax(scores, temperature=temperature)
    assert shares.sum() == pytest.approx(1.0)
    assert (np.diff(shares[np.argsort(scores)]) >= 0.0).all()


@given(logits, st.floats(-500.0, 500.0))
def test_softmax_does_not_move_with_all_scores(scores: list[float], shift: float) -> None:
    moved = softmax([score + shift for score in scores])
    np.testing.assert_allclose(moved, softmax(scores), atol=1e-9)


def test_softmax_gives_nothing_to_minus_infinity() -> None:
    assert softmax([0.0, -math.inf, 0.0]).tolist() == [0.5, 0.0, 0.5]


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_softmax_refuses_a_temperature_not_above_zero(temperature: float) -> None:
    with pytest.raises(InvalidRequestError, match="above 0"):
        softmax([1.0], temperature=temperature)


@given(st.floats(-1e6, 1e6))
def test_sigmoid_of_opposites_sums_to_one(score: float) -> None:
    assert sigmoid(score) + sigmoid(-score) == pytest.approx(1.0)


def test_sigmoid_is_the_softmax_of_two() -> None:
    assert sigmoid(1.3) == pytest.approx(softmax([1.3, 0.0])[0])


@given(st.lists(st.floats(0.0, 0.1), min_size=2, max_size=9).filter(lambda w: sum(w) > 1e-9))
def test_a_distribution_keeps_proportions_and_says_the_mass(weights: list[float]) -> None:
    options = tuple(str(index) for index in range(len(weights)))
    made = distribution(options, weights)
    total = math.fsum(weights)
    assert made.mass == pytest.approx(total)
    assert made.probabilities == pytest.approx([weight / total for weight in weights])


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ([0.0, 0.0], "No option has any weight"),
        ([-0.1, 0.5], "not below 0"),
        ([math.inf, 0.5], "finite"),
    ],
)
def test_weights_that_make_no_distribution_are_refused(weights: list[float], sentence: str) -> None:
    with pytest.raises(InvalidRequestError, match=sentence):
        distribution(("a", "b"), weights)


@given(st.floats(0.0, 1.0))
def test_a_binary_answer_has_yes_and_no(probability: float) -> None:
    answer = binary_distribution(probability)
    assert answer.as_dict() == {"yes": probability, "no": 1.0 - probability}


def test_unk_stands_last_with_its_own_logit() -> None:
    answer = unk_distribution(("7", "unk"), [0.0], unk_logit=math.log(3.0), temperature=1.0)
    assert answer.of("unk") == pytest.approx(0.75)
    flat = unk_distribution(("7", "unk"), [0.0], unk_logit=math.log(3.0), temperature=1e9)
    assert flat.of("unk") == pytest.approx(0.5)
