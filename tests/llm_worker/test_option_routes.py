"""Replies of a server: what is read from them, and which are refused in words."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from llm_worker.clients.option_routes import (
    SERVER_ROUTES,
    Reading,
    Route,
    call_of,
    probabilities,
    read_reply,
    request_body,
)
from llm_worker.errors import BadReplyError
from llm_worker.types import Call

TOKENS = {"1": {"1": 11, " 1": 21}, "2": {"2": 12, " 2": 22}, "0": {"0": 10}}
SYMBOLS = ("1", "2", "0")
OPTIONS = ("7", "8", "unk")


def reading(**shares: float) -> Reading:
    """A reading that lists tokens (t11=0.5) with their probabilities."""
    return Reading({int(name[1:]): math.log(share) for name, share in shares.items()}, 100)


def reply(*entries: tuple[Any, Any], prompt_tokens: Any = 100) -> dict[str, Any]:
    listed = [{"token": token, "logprob": value} for token, value in entries]
    first = {**listed[0], "top_logprobs": listed}
    return {
        "choices": [{"logprobs": {"content": [first]}}],
        "usage": {"prompt_tokens": prompt_tokens},
    }


# --- Asking -------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", SERVER_ROUTES)
def test_one_token_is_asked_for_without_any_default_of_the_server(route: Route) -> None:
    body = request_body(route, model="m", messages=[], tokens=TOKENS)
    assert (body["max_tokens"], body["temperature"], body["repetition_penalty"]) == (1, 0.0, 1.0)
    assert body["continue_final_message"] is True
    assert body["add_generation_prompt"] is False
    assert json.loads(json.dumps(body)) == body


def test_each_route_asks_for_what_it_needs() -> None:
    bodies = {
        route: request_body(route, model="m", messages=[], tokens=TOKENS) for route in SERVER_ROUTES
    }
    assert bodies[Route.TOKEN_IDS]["logprob_token_ids"] == [11, 21, 12, 22, 10]
    held = bodies[Route.CHOICE]
    assert held["structured_outputs"] == {"choice": ["1", " 1", "2", " 2", "0"]}
    assert held["top_logprobs"] >= 5
    assert bodies[Route.TOP]["top_logprobs"] == 20


# --- Reading ------------------------------------------------------------------------------------


def test_a_reply_is_read_by_token_id() -> None:
    found = read_reply(reply(("token_id:11", -0.5), ("token_id:12", -9999.0)))
    assert found == Reading({11: -0.5, 12: -9999.0}, 100)


@pytest.mark.parametrize(
    ("details", "cached"),
    [
        ({"cached_tokens": 96}, 96),
        ({"cached_tokens": 0}, 0),
        ({"cached_tokens": None}, None),
        ({"cached_tokens": 101}, None),
        ({"cached_tokens": -1}, None),
        ({"cached_tokens": True}, None),
        ("many", None),
        (None, None),
    ],
)
def test_cached_tokens_are_counted_where_the_server_tells_them(details: Any, cached: Any) -> None:
    told = reply(("token_id:11", -0.5))
    told["usage"]["prompt_tokens_details"] = details
    assert read_reply(told).cached_tokens == cached


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([], "no log-probabilities"),
        (None, "no log-probabilities"),
        ({"choices": []}, "no log-probabilities"),
        ({"choices": [{"logprobs": None}]}, "no log-probabilities"),
        ({"choices": [{"logprobs": {"content": []}}]}, "no log-probabilities"),
        (reply(("1", -0.5)), "'1' is no token id"),
        (reply(("token_id:x", -0.5)), "invalid literal"),
        (reply((11, -0.5)), "'11' is no token id"),
        (reply(("token_id:11", None)), "None is no log-probability"),
        (reply(("token_id:11", "-0.5")), "is no log-probability"),
        (reply(("token_id:11", True)), "True is no log-probability"),
        (reply(("token_id:11", float("nan"))), "nan is no log-probability"),
        (reply(("token_id:11", float("-inf"))), "-inf is no log-probability"),
        (reply(("token_id:11", 3.5)), "a logit and no log-probability"),
        (reply(("token_id:11", -0.5), prompt_tokens=-1), "counts -1 tokens"),
        (reply(("token_id:11", -0.5), prompt_tokens="5"), "counts '5' tokens"),
    ],
)
def test_a_reply_of_another_shape_is_refused_in_words(wrong: Any, words: str) -> None:
    with pytest.raises(BadReplyError, match=words):
        read_reply(wrong)


# --- Probabilities ------------------------------------------------------------------------------


def test_both_ways_to_write_a_digit_count() -> None:
    call = call_of(
        Route.TOKEN_IDS, reading(t11=0.2, t21=0.3, t12=0.1, t22=0.1, t10=0.05), TOKENS, SYMBOLS
    )
    assert call.low == call.high == pytest.approx((0.5, 0.2, 0.05))
    answer = probabilities(Route.TOKEN_IDS, OPTIONS, call)
    assert answer.as_dict() == pytest.approx({"7": 0.5 / 0.75, "8": 0.2 / 0.75, "unk": 0.05 / 0.75})
    assert answer.mass == pytest.approx(0.75)


def test_exactly_the_tokens_asked_for_must_be_told() -> None:
    with pytest.raises(BadReplyError, match=r"leaves out tokens that were asked for: \[22, 10\]"):
        call_of(Route.TOKEN_IDS, reading(t11=0.2, t21=0.3, t12=0.1), TOKENS, SYMBOLS)


def test_a_masked_answer_knows_the_proportion_and_not_the_mass() -> None:
    found = reading(t11=0.2, t21=0.2, t12=0.2, t22=0.1, t10=0.1, t99=0.2)  # 99: a space alone
    answer = probabilities(Route.CHOICE, OPTIONS, call_of(Route.CHOICE, found, TOKENS, SYMBOLS))
    assert answer.probabilities == pytest.approx((0.5, 0.375, 0.125))
    assert answer.mass == 1.0


def test_an_answer_that_is_not_held_to_the_options_is_refused() -> None:
    with pytest.raises(BadReplyError, match=r"sum to 0\.300: the server does not hold"):
        call_of(Route.CHOICE, reading(t11=0.2, t12=0.1), TOKENS, SYMBOLS)


def test_an_option_that_is_not_listed_is_bounded_by_the_last_that_is() -> None:
    found = reading(t11=0.6, t21=0.2, t12=0.1, t50=0.02)
    call = call_of(Route.TOP, found, TOKENS, SYMBOLS)
    assert call.low == pytest.approx((0.8, 0.1, 0.0))
    assert call.high == pytest.approx((0.8, 0.12, 0.02))
    answer = probabilities(Route.TOP, OPTIONS, call)
    # The missing option counts with the most it can have: nothing looks surer than it is.
    assert answer.of("7") == pytest.approx(0.8 / 0.92)
    assert answer.of("unk") == pytest.approx(0.02 / 0.92)
    assert answer.mass == pytest.approx(0.9)


def test_probabilities_of_more_than_everything_are_refused() -> None:
    found = Reading({11: 0.0, 21: 0.0, 12: -5.0, 22: -5.0, 10: -5.0}, 1)
    with pytest.raises(BadReplyError, match="sum to 2"):
        call_of(Route.TOKEN_IDS, found, TOKENS, SYMBOLS)


def test_options_without_any_probability_are_refused() -> None:
    with pytest.raises(BadReplyError, match="No option has any weight"):
        probabilities(Route.TOKEN_IDS, OPTIONS, Call((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)))


def test_only_routes_that_see_nothing_but_options_do_not_know_the_mass() -> None:
    assert [route for route in Route if not route.knows_mass] == [Route.CHOICE, Route.DECISIONS]
