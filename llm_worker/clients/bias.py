"""The bias of a model towards a digit or a place in the list, and what is done about it.

A model likes some digits better than others, and the first option better than the third, whatever
stands there (Zheng et al., ICLR 2024, arXiv 2309.03882). Three settings:

- `none`: one call for each task.
- `shifts`: a task is asked several times with the candidates in other orders, and the logarithms
  of the probabilities of each *candidate* are averaged. Two orders (as they are, and reversed) or
  as many as there are candidates, so that each stands under each digit once.
- `prior`: how much the model likes each digit is estimated once, from all cyclic orders of some
  tasks, and divided out: one call for each task.

`unk` keeps its digit 0 and its place at the end in every order, so it takes part in the average and
nothing is divided out of it. A binary question is asked once: the instructions say what 1 and 0
mean, and a list of two fixed answers has no other order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from llm_worker.errors import InvalidRequestError, ValidatorUnavailableError
from llm_worker.options import Floats, distribution, softmax
from llm_worker.types import Call, OptionProbabilities, ValidationRequest, ValidationResult
from llm_worker.validators import Validator, validate_all

Remedy = Literal["none", "prior", "shifts"]
TWO_ORDERS = 2
MIN_ROWS = 20
LEAST = 1e-30
"""What counts in place of a probability of 0, whose logarithm would settle every average."""


@dataclass(frozen=True, slots=True)
class Bias:
    """What is done about the bias.

    `orders` of `shifts`: 2, or more for a cyclic order per candidate. `offsets` of `prior`, in
    nats with mean 0: how much likelier than average the model finds the digits 1, 2, ... whatever
    they stand for; `rows` is the number of tasks it was estimated from.

    Raises `InvalidRequestError` for settings that do not go together.
    """

    remedy: Remedy = "none"
    orders: int = 1
    offsets: tuple[float, ...] = ()
    rows: int = 0

    def __post_init__(self) -> None:
        fits = {
            "none": self.orders == 1 and not self.offsets,
            "shifts": self.orders >= TWO_ORDERS and not self.offsets,
            "prior": self.orders == 1 and len(self.offsets) > 1 and self.rows > 0,
        }
        finite = bool(np.isfinite(self.offsets).all())
        if self.remedy not in get_args(Remedy) or not fits[self.remedy] or not finite:
            raise InvalidRequestError(f"{self} is no way to treat the bias of options.")

    def calls(self, candidates: int) -> int:
        """What a multiclass question costs: calls for a task with so many candidates."""
        return len(_places(self, candidates))


NO_REMEDY = Bias()


def orders_of(request: ValidationRequest, bias: Bias) -> list[ValidationRequest]:
    """The requests that are asked in place of `request`, itself first.

    Raises `InvalidRequestError` where a fitted prior is for another number of candidates.
    """
    if request.question == "binary":
        return [request]
    if bias.offsets and len(bias.offsets) != len(request.candidates):
        raise InvalidRequestError(
            f"The prior of the digits was estimated for {len(bias.offsets)} candidates, and this "
            f"task has {len(request.candidates)}: register the validator again."
        )
    places = _places(bias, len(request.candidates))
    return [_ordered(request, order) for order in places]


def cyclic_orders(request: ValidationRequest) -> list[ValidationRequest]:
    """`request` with each candidate under each digit once."""
    count = len(request.candidates)
    return [_ordered(request, order) for order in _cyclic(count)]


def combined(
    request: ValidationRequest, bias: Bias, answers: Sequence[ValidationResult]
) -> ValidationResult:
    """One result from the answers to `orders_of(request, bias)`, in that order.

    The logarithms of the options' probabilities are averaged, the offsets of a prior taken off,
    and the softmax taken; the mass is the mean. Tokens are those of all calls.
    """
    first = answers[0]
    if request.question == "binary" or (len(answers) == 1 and not bias.offsets):
        return first
    logs = np.mean([_logs(request.options, answer.probabilities) for answer in answers], axis=0)
    logs[: len(bias.offsets)] -= bias.offsets
    cached = [answer.cached_tokens for answer in answers if answer.cached_tokens is not None]
    wrote = [answer.written_tokens for answer in answers if answer.written_tokens is not None]
    mass = float(np.mean([answer.probabilities.mass for answer in answers]))
    return replace(
        first,
        probabilities=replace(distribution(request.options, softmax(logs)), mass=mass),
        tokens=sum(answer.tokens for answer in answers),
        cached_tokens=sum(cached) if len(cached) == len(answers) else None,
        written_tokens=sum(wrote) if len(wrote) == len(answers) else None,
        prompt_hash=_hash_of(answers),
        text_was_cut=any(answer.text_was_cut for answer in answers),
        calls=tuple(_turned(request, answer) for answer in answers),
    )


def fit_prior(validator: Validator, requests: Sequence[ValidationRequest]) -> Bias:
    """Ask `validator`, which treats no bias itself, all cyclic orders of `requests`.

    Raises `ValidatorUnavailableError` where fewer than `MIN_ROWS` requests were answered whole.
    """
    orders = [cyclic_orders(request) for request in requests]
    asked = [one for own in orders for one in own]
    numbered = [replace(one, task_id=number) for number, one in enumerate(asked)]
    results, failures = validate_all(validator, numbered)
    by_number = {result.task_id: result for result in results}
    rows, start = [], 0
    for own in orders:
        row = [by_number[place] for place in range(start, start + len(own)) if place in by_number]
        rows += [row] if len(row) == len(own) else []
        start += len(own)
    if len(rows) < MIN_ROWS:
        why = f" {failures[0].message}" if failures else ""
        raise ValidatorUnavailableError(
            f"Only {len(rows)} of {len(requests)} tasks were answered in every order; the prior of "
            f"the digits needs {MIN_ROWS}.{why}"
        )
    return prior_of(rows)


def prior_of(rows: Sequence[Sequence[ValidationResult]]) -> Bias:
    """The prior from the answers to `cyclic_orders` of several requests, equally many candidates.

    Each row has each candidate under each digit once, so what the candidates are worth cancels
    when the logarithms of a digit's probability are averaged over the orders, and what is left
    is how much the model likes the digit, and the place in the list that goes with it.
    """
    told = [answer.probabilities.probabilities[:-1] for row in rows for answer in row]
    mean = np.log(np.maximum(told, LEAST)).mean(axis=0)
    offsets = tuple(float(value) for value in mean - mean.mean())
    return Bias("prior", offsets=offsets, rows=len(rows))


def _places(bias: Bias, count: int) -> list[list[int]]:
    """The orders of so many candidates, each once: with one candidate there is only one."""
    whole = list(range(count))
    if bias.remedy != "shifts" or count == 1:
        return [whole]
    return [whole, whole[::-1]] if bias.orders == TWO_ORDERS else _cyclic(count)


def _cyclic(count: int) -> list[list[int]]:
    whole = list(range(count))
    return [whole[start:] + whole[:start] for start in whole]


def _ordered(request: ValidationRequest, order: Sequence[int]) -> ValidationRequest:
    candidates = tuple(request.candidates[place] for place in order)
    return replace(request, candidates=candidates)


def _logs(options: tuple[str, ...], answer: OptionProbabilities) -> Floats:
    """Log-probabilities in the order of `options`; what the options share cancels later."""
    return np.log(np.maximum([answer.of(option) for option in options], LEAST))


def _turned(request: ValidationRequest, answer: ValidationResult) -> Call:
    """The call behind an answer, with its bounds in the order of the request's options."""
    (call,) = answer.calls
    shown = answer.probabilities.options
    places = [shown.index(option) for option in request.options]
    return replace(
        call,
        low=tuple(call.low[place] for place in places),
        high=tuple(call.high[place] for place in places),
        order=shown,
    )


def _hash_of(answers: Sequence[ValidationResult]) -> str:
    """SHA-256 of the hashes of all prompts; of a single prompt its own."""
    if len(answers) == 1:
        return answers[0].prompt_hash
    return hashlib.sha256("\n".join(answer.prompt_hash for answer in answers).encode()).hexdigest()
