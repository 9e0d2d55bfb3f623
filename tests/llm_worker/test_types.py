from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_worker.errors import InvalidRequestError
from llm_worker.types import (
    Candidate,
    Document,
    OptionProbabilities,
    ValidationFailure,
    ValidationResult,
)
from tests.llm_worker.made_texts import LABELS, asked

HALVES = OptionProbabilities(("10", "unk"), (0.5, 0.5))


RESULT = ValidationResult(1, "multiclass", HALVES, 1.0, 0, "hash", "route")


def test_multiclass_options_are_the_label_ids_in_order_and_unk() -> None:
    assert asked(labels=(30, 10)).options == ("30", "10", "unk")


def test_binary_options_are_yes_and_no() -> None:
    request = asked(question="binary", about=20)
    assert request.options == ("yes", "no")
    assert request.asked is LABELS[20]


def test_only_a_binary_question_has_an_asked_label() -> None:
    with pytest.raises(InvalidRequestError, match="asks no label"):
        _ = asked().asked


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"text": " \n"}, "the text is empty"),
        ({"candidates": ()}, "there are no candidates"),
        ({"candidates": (LABELS[10], LABELS[10])}, "a candidate stands twice"),
        ({"question": "which"}, "no question 'which'"),
        ({"question": "binary"}, "the asked label None is not among"),
        ({"question": "binary", "asked_label_id": 99}, "the asked label 99 is not among"),
        ({"asked_label_id": 10}, "only binary questions ask a label"),
        ({"text_vector": np.zeros((2, 2), np.float32)}, "must have shape"),
        ({"text_vector": np.array([1.0, np.nan], np.float32)}, "not finite"),
    ],
)
def test_a_request_that_cannot_be_asked_is_refused(
    changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InvalidRequestError, match=sentence):
        replace(asked(), **changes)  # type: ignore[arg-type]


def test_the_prompt_hash_follows_everything_shown_and_who_asks() -> None:
    base = asked()
    others = [
        replace(base, text="another"),
        replace(base, candidates=base.candidates[::-1]),
        replace(base, candidates=(Candidate(10, "lost parcel", "described anew"),)),
        replace(base, documents=(Document("d1", "title", "text"),)),
        asked(question="binary", about=10),
        asked(question="binary", about=20),
    ]
    hashes = {request.prompt_hash("a") for request in [base, *others]} | {base.prompt_hash("b")}
    assert len(hashes) == len(others) + 2
    assert replace(base, task_id=2).prompt_hash("a") == base.prompt_hash("a")


@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=9))
def test_shares_that_sum_to_one_are_kept_and_others_refused(weights: list[float]) -> None:
    shares = tuple(weight / sum(weights) for weight in weights)
    options = tuple(str(index) for index in range(len(shares)))
    kept = OptionProbabilities(options, shares)
    assert kept.of(kept.best) == max(shares)
    assert list(kept.as_dict().values()) == list(shares)
    with pytest.raises(InvalidRequestError, match="sum to"):
        OptionProbabilities(options, tuple(share / 2 for share in shares))


@pytest.mark.parametrize(
    ("options", "shares", "mass", "sentence"),
    [
        (("a",), (1.0,), 1.0, "at least two options"),
        (("a", "a"), (0.5, 0.5), 1.0, "stands twice"),
        (("a", "b"), (1.0,), 1.0, "one probability per option"),
        (("a", "b"), (1.5, -0.5), 1.0, "1.5 is not a probability"),
        (("a", "b"), (float("nan"), 0.5), 1.0, "nan is not a probability"),
        (("a", "b"), (0.5, 0.5), 1.1, "1.1 is not a probability"),
    ],
)
def test_what_is_no_distribution_is_refused(
    options: tuple[str, ...], shares: tuple[float, ...], mass: float, sentence: str
) -> None:
    with pytest.raises(InvalidRequestError, match=sentence):
        OptionProbabilities(options, shares, mass)


def test_asking_for_an_option_that_was_not_offered_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="'20' was not among"):
        HALVES.of("20")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"latency_ms": -1.0}, "is not a time"),
        ({"latency_ms": float("inf")}, "is not a time"),
        ({"tokens": -1}, "below 0"),
        ({"cached_tokens": -1}, "-1 of "),
        ({"cached_tokens": 10_000}, "10000 of "),
        ({"written_tokens": -1}, "written tokens is below 0"),
        ({"route": ""}, "names no route"),
        ({"question": "binary"}, "has the options yes and no"),
        ({"probabilities": OptionProbabilities(("unk", "10"), (0.5, 0.5))}, "last option"),
    ],
)
def test_a_result_that_contradicts_itself_is_refused(
    changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InvalidRequestError, match=sentence):
        replace(RESULT, **changes)  # type: ignore[arg-type]


def test_a_failure_says_why() -> None:
    with pytest.raises(InvalidRequestError, match="needs a sentence"):
        ValidationFailure(1, "reason", "  ")
    with pytest.raises(InvalidRequestError, match="needs a reason"):
        ValidationFailure(1, "", "A sentence.")
