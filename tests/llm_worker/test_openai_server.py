"""Servers of OpenAI's chat format: what is read from their replies, which are refused, and why.

The server here is a stand-in made wrong in one point; the format as a real server speaks it is
tested on vLLM's (`test_clients_on_vllm`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from llm_worker.clients.json_server import JsonServer
from llm_worker.clients.openai_server import OpenAiValidator, probe_openai
from llm_worker.clients.passport import Passport, ServedModel
from llm_worker.clients.probe import QUESTION
from llm_worker.clients.text_route import call_of_text, read_text_reply, request_body_of_text
from llm_worker.clients.thinking import opens_thoughts
from llm_worker.errors import BadReplyError, UnsuitableServerError
from llm_worker.prompts.families import ENGLISH
from llm_worker.types import ValidationRequest
from llm_worker.validators import validate_all
from tests.llm_worker.stub_server import ONE_TRY, Reply, stub_server


def entry(token: Any, share: float, packed: Any = None) -> dict[str, Any]:
    return {"token": token, "logprob": math.log(share), "bytes": packed}


def reply(*listed: dict[str, Any], drawn: dict[str, Any] | None = None) -> dict[str, Any]:
    first = {**(drawn or listed[0]), "top_logprobs": list(listed)}
    return {
        "choices": [{"logprobs": {"content": [first]}}],
        "usage": {"prompt_tokens": 500, "prompt_tokens_details": {"cached_tokens": 480}},
    }


# --- Reading ------------------------------------------------------------------------------------


def test_an_option_is_its_digit_bare_or_after_one_space() -> None:
    reading = read_text_reply(
        reply(
            entry("1", 0.3, [49]),
            entry(" 1", 0.1, [32, 49]),
            entry("\u01202", 0.1),  # the raw tokens of two kinds of tokenizers
            entry("\u25813", 0.05),
            entry("10", 0.2),
            entry("1.", 0.1),
            entry("\n1", 0.02),
            entry("  1", 0.01),
        )
    )
    call = call_of_text(reading, ("1", "2", "3"))
    assert call.low == pytest.approx((0.4, 0.1, 0.05))
    assert (reading.prompt_tokens, reading.cached_tokens, reading.first) == (500, 480, "1")


def test_the_bytes_of_a_token_count_more_than_its_text() -> None:
    reading = read_text_reply(reply(entry("bytes:\\x31", 0.5, [49]), entry("2", 0.1, [50])))
    assert call_of_text(reading, ("1", "2")).low == pytest.approx((0.5, 0.1))


def test_half_a_character_is_no_option() -> None:
    reading = read_text_reply(reply(entry("\ufffd", 0.5, [0xE4]), entry("1", 0.1)))
    assert call_of_text(reading, ("1",)).low == pytest.approx((0.1,))


def test_what_is_not_listed_is_bounded_by_the_last_and_by_what_is_left() -> None:
    by_last = read_text_reply(reply(entry("1", 0.5), entry("x", 0.1), entry("y", 0.02)))
    assert call_of_text(by_last, ("1", "2")).high == pytest.approx((0.52, 0.04))
    by_rest = read_text_reply(reply(entry("1", 0.7), entry("x", 0.28)))
    assert by_rest.at_most == pytest.approx(0.02, abs=1e-5)


def test_a_drawn_token_that_is_not_likely_bounds_nothing() -> None:
    unlikely = entry("zzz", 0.0001)
    for listed in (
        [entry("1", 0.5), entry("x", 0.1)],
        [entry("1", 0.5), entry("x", 0.1), unlikely],
    ):
        assert read_text_reply(reply(*listed, drawn=unlikely)).at_most == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([], "no log-probabilities"),
        ({"choices": [{"logprobs": None}]}, "no log-probabilities"),
        (reply(entry(5, 0.5)), "'5' is no token"),
        (reply(entry("1", 0.5, [999])), "bytes must be in range"),
        (reply({"token": "1", "logprob": float("nan")}), "nan is no log-probability"),
        (reply({"token": "1", "logprob": 2.0}), "a logit and no log-probability"),
        (reply(entry("1", 0.9), entry("2", 0.9)), "sum to 1.8"),
        (reply(drawn=entry("1", 0.9)), "lists no likely tokens"),
        (reply(entry("1", 0.9)) | {"usage": {"prompt_tokens": -1}}, "counts -1 tokens"),
    ],
)
def test_a_reply_of_another_shape_is_refused_in_words(wrong: Any, words: str) -> None:
    with pytest.raises(BadReplyError, match=words):
        read_text_reply(wrong)


def test_nothing_is_asked_that_is_not_of_the_format() -> None:
    body = request_body_of_text(model="m", messages=[])
    assert (body["max_tokens"], body["logprobs"], body["top_logprobs"]) == (1, True, 20)
    assert not {"continue_final_message", "top_k", "logprob_token_ids"} & set(body)


@pytest.mark.parametrize(
    ("text", "opens"),
    [
        ("<think>\nOkay", True),
        ("\n<|channel|>analysis", True),
        ("<|think", True),
        ("[THINK]Well", True),
        ("1", False),
        ("I think it is 1", False),
        ("<1>", False),
        ("", False),
    ],
)
def test_a_tag_that_opens_thoughts_is_known(text: str, opens: bool) -> None:
    assert opens_thoughts(text) is opens


# --- The probe ----------------------------------------------------------------------------------


@dataclass
class Chatty:
    """A server of OpenAI's format, and how it differs from a good one."""

    knows_continue: bool = False
    needs_begun: bool = False
    thinks: bool = False
    obeys: str = ""
    has_logprobs: bool = True
    says: str = "1"
    context: int | None = 16_000

    def __call__(self, path: str, body: dict[str, Any]) -> Reply:
        if path == "/v1/models":
            card: dict[str, Any] = {"id": "good"}
            return Reply(
                {"data": [card | ({"max_model_len": self.context} if self.context else {})]}
            )
        if path == "/version":
            return Reply({}, 404)
        if "continue_final_message" in body and not self.knows_continue:
            return Reply({"error": {"message": "unknown field continue_final_message"}}, 400)
        begun = body["messages"][-1]["role"] == "assistant"
        thinks = self.thinks and not (self.obeys and self.obeys in body)
        if not body.get("logprobs"):
            said = "<think>\nHm" if thinks else self.says
            return Reply({"choices": [{"message": {"content": said}}]})
        if not self.has_logprobs:
            return Reply({"choices": [{"logprobs": None}], "usage": {"prompt_tokens": 500}})
        likely = [entry(str(digit), 0.15) for digit in range(6)]
        if self.says != "1" or (self.needs_begun and not begun):
            likely = [entry(self.says if self.says != "1" else "The", 0.98), entry("1", 0.001)]
        return Reply(reply(*likely))


def probed(server: Callable[[str, dict[str, Any]], Reply], context: int | None = None) -> Passport:
    with stub_server(server) as stub:

        async def ask() -> Passport:
            async with JsonServer(stub.url, patience=ONE_TRY) as reached:
                return await probe_openai(reached, model="good", family=ENGLISH, context=context)

        return asyncio.run(ask())


@pytest.mark.parametrize(
    ("server", "prefill"),
    [
        (Chatty(knows_continue=True, needs_begun=True), "continued"),
        (Chatty(needs_begun=True), "message"),
        (Chatty(), "message"),
    ],
)
def test_the_way_to_begin_the_answer_is_found_out(server: Chatty, prefill: str) -> None:
    passport = probed(server)
    assert (passport.prefill, passport.route.value) == (prefill, "top_logprobs_text")
    assert passport.mass == pytest.approx(0.9)
    assert passport.context_tokens == 16_000


def test_an_answer_is_not_begun_where_that_ends_the_turn() -> None:
    good = Chatty()

    def server(path: str, body: dict[str, Any]) -> Reply:
        if body.get("messages", [{}])[-1].get("role") == "assistant":
            return Reply({"error": "the last message must be of the user"}, 400)
        return good(path, body)

    assert probed(server).prefill == "none"


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (Chatty(has_logprobs=False), "No way to get the options' probabilities works"),
        (Chatty(says="Sure"), "begins its answer with “Sure”"),
        (Chatty(thinks=True), "thinks before it answers"),
        (Chatty(context=None), "state it with --context"),
        (Chatty(context=900), "reads 900 tokens at a time"),
    ],
)
def test_a_server_that_cannot_serve_is_refused_with_the_reason(server: Chatty, words: str) -> None:
    with pytest.raises(UnsuitableServerError, match=words):
        probed(server)


@pytest.mark.parametrize("obeys", ["chat_template_kwargs", "reasoning_effort"])
def test_thinking_is_switched_off_where_there_is_a_switch(obeys: str) -> None:
    passport = probed(Chatty(thinks=True, obeys=obeys))
    assert list(passport.switch) == [obeys]


def test_the_context_that_is_stated_bounds_that_of_the_server() -> None:
    assert probed(Chatty(context=None), context=9000).context_tokens == 9000
    assert probed(Chatty(), context=9000).context_tokens == 9000


# --- Asking -------------------------------------------------------------------------------------


def test_every_request_is_as_the_probe_found_it_works() -> None:
    server = Chatty(thinks=True, obeys="reasoning_effort")
    passport = probed(server)
    with stub_server(server) as stub:
        model = ServedModel(stub.url, "good", ENGLISH.key, ENGLISH.digest, "", False, passport)
        one = ValidationRequest(7, "where is it", "multiclass", QUESTION.candidates)
        long = ValidationRequest(8, "Ω" * 20_000, "multiclass", QUESTION.candidates)
        (result, cut), failures = validate_all(
            OpenAiValidator(model, patience=ONE_TRY), [one, long]
        )
    assert failures == []
    bodies = [body for path, body, _headers in stub.asked if path.endswith("completions")]
    assert [body["reasoning_effort"] for body in bodies] == ["none", "none"]
    assert result.probabilities.mass == pytest.approx(0.9)
    assert (result.tokens, result.cached_tokens) == (500, 480)
    # Without a way to count tokens, a prompt is held to as many bytes.
    assert cut.text_was_cut
    assert max(len(body["messages"][0]["content"].encode()) for body in bodies) < 16_000


def test_a_model_that_is_not_listed_any_more_is_not_asked() -> None:
    passport = probed(Chatty())
    with stub_server(lambda path, body: Reply({"data": [{"id": "other"}]})) as stub:
        model = ServedModel(stub.url, "good", ENGLISH.key, ENGLISH.digest, "", False, passport)
        one = ValidationRequest(7, "where is it", "multiclass", QUESTION.candidates)
        results, failures = validate_all(OpenAiValidator(model, patience=ONE_TRY), [one])
    assert results == []
    assert "it serves other" in failures[0].message
    assert failures[0].retryable
