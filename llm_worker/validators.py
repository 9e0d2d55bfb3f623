"""What every validator is, and the wrapper that holds it to account for every task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from llm_worker.errors import InvalidRequestError, ValidatorError
from llm_worker.types import ValidationFailure, ValidationRequest, ValidationResult

Answers = tuple[list[ValidationResult], list[ValidationFailure]]

NOT_ANSWERED = "not_answered"
UNTRUSTWORTHY = "untrustworthy_answer"
WRONG_OPTIONS = "wrong_options"


class Validator(Protocol):
    """Gives a probability to each option of a request."""

    def validate(self, requests: Sequence[ValidationRequest]) -> Answers:
        """Answer every request: results and failures together name each task id once.

        May raise a `ValidatorError` where nothing at all could be answered.
        """
        ...


def validate_all(validator: Validator, requests: Sequence[ValidationRequest]) -> Answers:
    """Ask `validator` and account for every task: each id comes back exactly once.

    A `ValidatorError` becomes a failure of every task. A task that was not answered becomes a
    failure that may be tried again; one answered with other options than asked, a failure. If
    the answer names a task that was not asked or one twice, nothing in it can be matched to its
    task with certainty: the whole answer is refused, every task a failure. Other exceptions are
    bugs and pass through.

    Raises `InvalidRequestError` if two requests are about the same task.
    """
    twice = _repeated([request.task_id for request in requests])
    if twice:
        raise InvalidRequestError(f"Asked twice in one batch: task {_listed(twice)}.")
    if not requests:
        return [], []
    try:
        results, failures = validator.validate(requests)
    except ValidatorError as error:
        sentence = str(error).strip() or f"The validator stopped with {type(error).__name__}."
        return [], [
            ValidationFailure(request.task_id, error.reason, sentence, error.retryable)
            for request in requests
        ]
    named = [result.task_id for result in results] + [failure.task_id for failure in failures]
    complaint = _complaint(asked={request.task_id for request in requests}, named=named)
    if complaint:
        return [], [
            ValidationFailure(request.task_id, UNTRUSTWORTHY, complaint) for request in requests
        ]
    return _matched(requests, results, failures)


def _matched(
    requests: Sequence[ValidationRequest],
    results: list[ValidationResult],
    failures: list[ValidationFailure],
) -> Answers:
    """Results with the right options, and a failure for every other task, in request order."""
    by_task = {result.task_id: result for result in results}
    failed = {failure.task_id: failure for failure in failures}
    good: list[ValidationResult] = []
    bad: list[ValidationFailure] = []
    for request in requests:
        result = by_task.get(request.task_id)
        if result is None:
            bad.append(failed.get(request.task_id) or _not_answered(request.task_id))
        elif (result.question, result.probabilities.options) == (request.question, request.options):
            good.append(result)
        else:
            sentence = "The validator answered another question or other options than asked."
            bad.append(ValidationFailure(request.task_id, WRONG_OPTIONS, sentence))
    return good, bad


def _not_answered(task_id: int) -> ValidationFailure:
    sentence = "The validator gave neither a result nor a failure for this task."
    return ValidationFailure(task_id, NOT_ANSWERED, sentence, retryable=True)


def _complaint(*, asked: set[int], named: Sequence[int]) -> str:
    """What is wrong with the task ids of an answer, as a sentence; empty if nothing."""
    unknown = sorted(set(named) - asked)
    if unknown:
        return f"The validator answered for a task it was not asked about: {_listed(unknown)}."
    twice = _repeated(named)
    if twice:
        return f"The validator answered twice for the same task: {_listed(twice)}."
    return ""


def _repeated(ids: Sequence[int]) -> list[int]:
    return sorted(task_id for task_id, times in Counter(ids).items() if times > 1)


def _listed(ids: Sequence[int]) -> str:
    """The first few ids, for a sentence that stays short."""
    shown = ", ".join(str(task_id) for task_id in ids[:5])
    return shown if len(ids) <= 5 else f"{shown} and {len(ids) - 5} more"
