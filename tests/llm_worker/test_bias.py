"""The likes of a model for digits and places: averaged away, divided out, and what they cost.

The model here is arithmetic: a worth of each candidate plus a liking for each digit, in nats. For
such a model both remedies are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from llm_worker.clients.bias import (
    MIN_ROWS,
    Bias,
    combined,
    cyclic_orders,
    fit_prior,
    orders_of,
)
from llm_worker.errors import InvalidRequestError, ValidatorUnavailableError
from llm_worker.options import distribution
from llm_worker.types import (
    Call,
    Candidate,
    Question,
    ValidationFailure,
    ValidationRequest,
    ValidationResult,
)
from llm_worker.validators import Answers, validate_all

LIKING = np.array([1.2, 0.1, -0.3, 0.0, -0.5])
CYCLIC = Bias("shifts", orders=5)
REVERSED = Bias("shifts", orders=2)


def request(
    count: int = 5, question: Question = "multiclass", task_id: int = 1
) -> ValidationRequest:
    candidates = tuple(Candidate(10 + place, f"label {place}") for place in range(count))
    asked = 10 if question == "binary" else None
    return ValidationRequest(task_id, f"text {task_id}", question, candidates, asked)


class LikesDigits:
    """Its log-weights are those of the candidates plus its liking for digits; unk has 0."""

    def __init__(self, liking: npt.ArrayLike, *, fails: Sequence[int] = ()) -> None:
        self.liking = np.asarray(liking, dtype=np.float64)
        self.fails = set(fails)
        self.mass = 0.8

    def worth(self, one: ValidationRequest) -> npt.NDArray[np.float64]:
        seed = int(one.text.removeprefix("text "))
        worths = dict(enumerate(np.random.default_rng(seed).normal(size=20), start=10))
        return np.array([worths[candidate.label_id] for candidate in one.candidates])

    def ask(self, one: ValidationRequest) -> ValidationResult:
        logs = np.append(self.worth(one) + self.liking[: len(one.candidates)], 0.0)
        weights = np.exp(logs) / np.exp(logs).sum() * self.mass
        bounds = tuple(float(weight) for weight in weights)
        return ValidationResult(
            task_id=one.task_id,
            question=one.question,
            probabilities=distribution(one.options, weights),
            latency_ms=0.0,
            tokens=100,
            prompt_hash=one.prompt_hash("arithmetic"),
            route="arithmetic",
            calls=(Call(bounds, bounds),),
            cached_tokens=90,
        )

    def validate(self, requests: Sequence[ValidationRequest]) -> Answers:
        good = [self.ask(one) for one in requests if one.task_id not in self.fails]
        bad = [
            ValidationFailure(one.task_id, "odd", "It broke.")
            for one in requests
            if one.task_id in self.fails
        ]
        return good, bad


def answered(model: LikesDigits, one: ValidationRequest, bias: Bias) -> ValidationResult:
    return combined(one, bias, [model.ask(order) for order in orders_of(one, bias)])


FAIR = LikesDigits(np.zeros(5))
UNFAIR = LikesDigits(LIKING)


def fair(one: ValidationRequest) -> list[float]:
    """What a model says that likes all digits as much as the unfair one does on average."""
    even = LikesDigits(np.full(5, LIKING[: len(one.candidates)].mean()))
    return list(even.ask(one).probabilities.probabilities)


def test_a_liking_for_digits_cancels_where_each_candidate_had_each_digit() -> None:
    one = request()
    assert UNFAIR.ask(one).probabilities.probabilities != pytest.approx(fair(one), abs=0.02)
    result = answered(UNFAIR, one, CYCLIC)
    assert result.probabilities.probabilities == pytest.approx(fair(one))
    assert result.probabilities.options == one.options


def test_two_orders_take_some_of_it_away() -> None:
    def off(result: ValidationResult, one: ValidationRequest) -> float:
        return float(np.abs(np.subtract(result.probabilities.probabilities, fair(one))).sum())

    rows = [request(task_id=seed) for seed in range(30)]
    plain = sum(off(UNFAIR.ask(one), one) for one in rows)
    assert sum(off(answered(UNFAIR, one, REVERSED), one) for one in rows) < plain / 2


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_prior_of_the_digits_is_found_and_divided_out(count: int) -> None:
    rows = [request(count, task_id=seed) for seed in range(25)]
    bias = fit_prior(UNFAIR, rows)
    liking = LIKING[:count]
    assert bias.offsets == pytest.approx(liking - liking.mean())
    assert bias.rows == 25
    one = request(count, task_id=99)
    result = answered(UNFAIR, one, bias)
    assert result.probabilities.probabilities == pytest.approx(fair(one))
    assert len(result.calls) == 1


def test_a_model_without_likes_has_a_flat_prior() -> None:
    bias = fit_prior(FAIR, [request(task_id=seed) for seed in range(MIN_ROWS)])
    assert bias.offsets == pytest.approx(np.zeros(5), abs=1e-12)


def test_the_prior_leaves_out_tasks_that_failed_in_one_order() -> None:
    rows = [request(task_id=seed) for seed in range(MIN_ROWS + 2)]
    assert fit_prior(LikesDigits(LIKING, fails=[3, 7]), rows).rows == MIN_ROWS
    with pytest.raises(ValidatorUnavailableError, match=r"Only 19 of 22 tasks .* It broke\."):
        fit_prior(LikesDigits(LIKING, fails=[3, 7, 21]), rows)


def test_all_calls_are_kept_and_counted() -> None:
    one = request()
    result = answered(UNFAIR, one, CYCLIC)
    assert (result.tokens, result.cached_tokens) == (500, 450)
    assert result.probabilities.mass == pytest.approx(0.8)
    assert [call.order for call in result.calls] == [
        (*(str(10 + (start + place) % 5) for place in range(5)), "unk") for start in range(5)
    ]
    for call, order in zip(result.calls, cyclic_orders(one), strict=True):
        told = UNFAIR.ask(order).calls[0]
        by_option = dict(zip(order.options, told.low, strict=True))
        assert call.low == tuple(by_option[option] for option in one.options)
    hashes = {UNFAIR.ask(order).prompt_hash for order in cyclic_orders(one)}
    assert len(hashes) == 5
    assert result.prompt_hash not in hashes


def test_cached_tokens_are_not_known_unless_every_call_told_them() -> None:
    one = request()
    answers = [UNFAIR.ask(order) for order in orders_of(one, REVERSED)]
    answers[1] = replace(answers[1], cached_tokens=None)
    assert combined(one, REVERSED, answers).cached_tokens is None


def test_written_tokens_are_added_up_where_every_call_told_them() -> None:
    one = request(2)
    asked = orders_of(one, REVERSED)
    answers = [replace(UNFAIR.ask(order), written_tokens=30) for order in asked]
    assert combined(one, REVERSED, answers).written_tokens == 60
    answers[1] = replace(answers[1], written_tokens=None)
    assert combined(one, REVERSED, answers).written_tokens is None


def test_one_order_in_which_an_option_had_no_probability_is_no_nan() -> None:
    one = request(2)
    shares = [(0.0, 1.0, 0.0), (0.5, 0.4, 0.1)]
    answers = [
        replace(
            UNFAIR.ask(order),
            probabilities=distribution(order.options, share),
            calls=(Call(share, share),),
        )
        for order, share in zip(orders_of(one, REVERSED), shares, strict=True)
    ]
    told = combined(one, REVERSED, answers).probabilities
    assert told.of("11") > 0.99


@pytest.mark.parametrize(
    ("bias", "count", "calls"),
    [
        (Bias(), 5, 1),
        (REVERSED, 5, 2),
        (REVERSED, 1, 1),
        (CYCLIC, 5, 5),
        (CYCLIC, 3, 3),
        (Bias("prior", offsets=(0.1, -0.1), rows=30), 2, 1),
    ],
)
def test_what_a_remedy_costs_is_known_before(bias: Bias, count: int, calls: int) -> None:
    assert bias.calls(count) == calls
    assert len(orders_of(request(count), bias)) == calls


@pytest.mark.parametrize("bias", [REVERSED, CYCLIC, Bias("prior", offsets=(0.1, -0.1), rows=30)])
def test_a_binary_question_is_asked_once(bias: Bias) -> None:
    one = request(3, "binary")
    assert orders_of(one, bias) == [one]


def test_a_prior_for_another_number_of_candidates_is_not_used() -> None:
    bias = Bias("prior", offsets=(0.1, -0.1), rows=30)
    with pytest.raises(InvalidRequestError, match="for 2 candidates, and this task has 5"):
        orders_of(request(), bias)


@pytest.mark.parametrize(
    "settings",
    [
        {"remedy": "hope"},
        {"remedy": "shifts"},
        {"orders": 2},
        {"remedy": "prior"},
        {"remedy": "prior", "offsets": (0.1, float("nan")), "rows": 30},
        {"remedy": "prior", "offsets": (0.1, -0.1)},
        {"remedy": "shifts", "orders": 2, "offsets": (0.1, -0.1)},
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InvalidRequestError, match="no way to treat"):
        Bias(**settings)  # type: ignore[arg-type]


def test_the_answers_still_account_for_every_task() -> None:
    results, failures = validate_all(
        LikesDigits(LIKING, fails=[2]), [request(), request(task_id=2)]
    )
    assert ([one.task_id for one in results], [one.task_id for one in failures]) == ([1], [2])
