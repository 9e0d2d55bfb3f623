from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_worker.errors import InvalidRequestError, ValidatorError, ValidatorUnavailableError
from llm_worker.options import distribution
from llm_worker.types import ValidationFailure, ValidationRequest, ValidationResult
from llm_worker.validators import Answers, validate_all
from tests.llm_worker.made_texts import asked


def answered(request: ValidationRequest, *, task_id: int | None = None) -> ValidationResult:
    even = distribution(request.options, [1.0] * len(request.options))
    named = request.task_id if task_id is None else task_id
    return ValidationResult(named, request.question, even, 1.0, 0, "hash", "made up")


class Scripted:
    """A validator that answers the tasks named, in that order, asked or not."""

    def __init__(self, results: Sequence[int], failures: Sequence[int] = ()) -> None:
        self.results = results
        self.failures = failures

    def validate(self, requests: Sequence[ValidationRequest]) -> Answers:
        return [answered(requests[0], task_id=task_id) for task_id in self.results], [
            ValidationFailure(task_id, "scripted", "It was told to fail.")
            for task_id in self.failures
        ]


class Raising:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def validate(self, requests: Sequence[ValidationRequest]) -> Answers:
        raise self.error


def requests(*ids: int) -> list[ValidationRequest]:
    return [asked(task_id) for task_id in ids]


def test_results_and_failures_come_back_in_the_order_of_the_requests() -> None:
    results, failures = validate_all(Scripted([3, 1], [4, 2]), requests(1, 2, 3, 4))
    assert [result.task_id for result in results] == [1, 3]
    assert [(f.task_id, f.reason) for f in failures] == [(2, "scripted"), (4, "scripted")]


def test_a_task_left_out_becomes_a_failure_that_may_be_tried_again() -> None:
    results, failures = validate_all(Scripted([1]), requests(1, 2))
    assert [result.task_id for result in results] == [1]
    assert [(f.task_id, f.reason, f.retryable) for f in failures] == [(2, "not_answered", True)]


@pytest.mark.parametrize(
    ("validator", "sentence"),
    [
        (Scripted([1, 2, 77]), "not asked about: 77."),
        (Scripted([1, 2], [78]), "not asked about: 78."),
        (Scripted([1, 1, 2]), "twice for the same task: 1."),
        (Scripted([1, 2], [2]), "twice for the same task: 2."),
        (Scripted(range(10, 20)), "11, 12, 13, 14 and 5 more."),
    ],
)
def test_an_answer_with_unknown_or_repeated_tasks_is_refused_whole(
    validator: Scripted, sentence: str
) -> None:
    results, failures = validate_all(validator, requests(1, 2))
    assert results == []
    assert [failure.task_id for failure in failures] == [1, 2]
    assert all(failure.message.endswith(sentence) for failure in failures)
    assert {failure.reason for failure in failures} == {"untrustworthy_answer"}


def test_an_answer_to_other_options_is_a_failure_of_that_task_only() -> None:
    mixed = [asked(1), asked(2, labels=(20, 10)), asked(3, question="binary", about=10)]
    results, failures = validate_all(Scripted([1, 2, 3]), mixed)
    assert [result.task_id for result in results] == [1]
    assert [(f.task_id, f.reason) for f in failures] == [(2, "wrong_options"), (3, "wrong_options")]


def test_a_named_error_becomes_a_failure_of_every_task() -> None:
    error = ValidatorUnavailableError("The server is away.")
    results, failures = validate_all(Raising(error), requests(1, 2))
    assert results == []
    assert failures == [
        ValidationFailure(1, "validator_unavailable", "The server is away.", True),
        ValidationFailure(2, "validator_unavailable", "The server is away.", True),
    ]


def test_a_named_error_without_words_still_gives_a_sentence() -> None:
    _, failures = validate_all(Raising(ValidatorError()), requests(1))
    assert failures[0].message == "The validator stopped with ValidatorError."


def test_an_unnamed_error_passes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        validate_all(Raising(ZeroDivisionError()), requests(1))


def test_two_requests_about_one_task_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="Asked twice in one batch: task 1"):
        validate_all(Scripted([1]), requests(1, 1))


def test_nothing_is_asked_of_nobody() -> None:
    assert validate_all(Raising(ZeroDivisionError()), []) == ([], [])


@given(
    st.lists(st.integers(1, 8), unique=True, min_size=1),
    st.lists(st.integers(1, 10)),
    st.lists(st.integers(1, 10)),
)
def test_every_task_comes_back_exactly_once_whatever_the_validator_does(
    ids: list[int], results: list[int], failures: list[int]
) -> None:
    good, bad = validate_all(Scripted(results, failures), requests(*ids))
    assert sorted([r.task_id for r in good] + [f.task_id for f in bad]) == sorted(ids)
