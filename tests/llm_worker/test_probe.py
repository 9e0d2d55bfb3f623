"""Servers that cannot serve the approach are refused with the reason. The server here is a stand-in
that can be made wrong in one point; what a right one does is tested on the real one."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from llm_worker.clients.json_server import JsonServer
from llm_worker.clients.option_routes import Route
from llm_worker.clients.passport import Passport, ServedModel
from llm_worker.clients.probe import QUESTION, SYMBOLS, THINKS_IN_WORDS, probe
from llm_worker.clients.thinking import SWITCHES
from llm_worker.clients.vllm_server import VllmServerValidator
from llm_worker.errors import ArtifactError, UnsuitableServerError, ValidatorUnavailableError
from llm_worker.prompts.build import PREFILL
from llm_worker.prompts.families import ENGLISH, NEWEST
from llm_worker.prompts.family import PromptFamily
from llm_worker.types import ValidationRequest
from llm_worker.validators import validate_all
from tests.llm_worker.stub_server import ONE_TRY, Reply, stub_server

SPACE = 900
BARE = {symbol: 100 + place for place, symbol in enumerate(SYMBOLS)}
SPACED = {symbol: 200 + place for place, symbol in enumerate(SYMBOLS)}
SHARES = dict(zip(SYMBOLS, (0.4, 0.2, 0.1, 0.05, 0.05, 0.1), strict=True))


@dataclass
class Odd:
    """How the server differs from a good one."""

    models: Any = None
    splits_digits: bool = False
    closes_answers: bool = False
    has_spaced: bool = True
    knows_token_ids: bool = True
    holds_answers: bool = True
    masks: bool = True
    lists: int = 20
    shift: float = 0.0
    spread: float = 1.0
    tokenizes: bool = True

    def __call__(self, path: str, body: dict[str, Any]) -> Reply:
        if path == "/v1/models":
            card = {"id": "good", "root": "/weights", "max_model_len": 4096}
            return Reply({"data": [card]} if self.models is None else self.models)
        if path == "/version":
            return Reply({"version": "0.0"})
        if path == "/tokenize":
            return Reply(self._tokens(body)) if self.tokenizes else Reply({}, 404)
        return self._answer(body)

    def _tokens(self, body: dict[str, Any]) -> dict[str, Any]:
        if "prompt" in body:
            return {"count": 700}
        if body["messages"][-1]["role"] == "user":
            return {"tokens": [1] * 710, "count": 710}
        ids = [1] * 720
        written = body["messages"][-1]["content"].removeprefix(PREFILL)
        if written:
            symbol = written.strip()
            if self.splits_digits:
                ids += [SPACE, SPACE]
            elif written.startswith(" ") and self.has_spaced:
                ids += [SPACED[symbol]]
            else:
                ids += ([SPACE] if written.startswith(" ") else []) + [BARE[symbol]]
        return {"tokens": ids + ([2] if self.closes_answers else []), "count": len(ids)}

    def _answer(self, body: dict[str, Any]) -> Reply:
        found = {BARE[symbol]: share / 2 for symbol, share in SHARES.items()}
        found |= {SPACED[symbol]: share / 2 for symbol, share in SHARES.items()}
        found |= {300 + n: 0.1 / 30 for n in range(30)}
        if "logprob_token_ids" in body and self.knows_token_ids:
            found = {token: found[token] for token in body["logprob_token_ids"]}
        elif "structured_outputs" in body and not self.holds_answers:
            return Reply({"error": {"message": "no grammars here"}}, 400)
        elif "structured_outputs" in body and self.masks:
            choices = set(body["structured_outputs"]["choice"])
            allowed = {BARE[one] for one in choices & set(BARE)}
            allowed |= {SPACED[one.strip()] for one in choices if one.startswith(" ")}
            whole = sum(found[token] for token in allowed)
            found = {token: found[token] / whole for token in allowed}
        else:
            ranked = sorted(found, key=lambda token: -found[token])
            most = min(body.get("top_logprobs", 0), self.lists)
            found = {token: found[token] for token in ranked[:most]}
        listed = [
            {"token": f"token_id:{token}", "logprob": self.spread * math.log(share) + self.shift}
            for token, share in found.items()
        ] or [{"token": "token_id:300", "logprob": -1.0}]
        first = {**listed[0], "top_logprobs": listed}
        return Reply(
            {
                "choices": [{"logprobs": {"content": [first]}}],
                "usage": {"prompt_tokens": 720},
            }
        )


def probed(odd: Callable[[str, dict[str, Any]], Reply], family: PromptFamily = ENGLISH) -> Passport:
    with stub_server(odd) as stub:

        async def ask() -> Passport:
            async with JsonServer(stub.url, patience=ONE_TRY) as server:
                return await probe(server, model="good", family=family)

        return asyncio.run(ask())


def test_a_good_server_gets_a_passport() -> None:
    passport = probed(Odd())
    assert passport.route is Route.TOKEN_IDS
    assert passport.mass == pytest.approx(0.9)
    assert (passport.root, passport.context_tokens, passport.overhead_tokens) == (
        "/weights",
        4096,
        20,
    )
    assert passport.tokens["3"] == {"3": 102, " 3": 202}
    assert passport.warnings == ()


@dataclass
class Thinks(Odd):
    """Its template opens thoughts in a turn of the model's own; `obeys` is the switch it knows."""

    obeys: str = ""
    writes_tag: bool = False
    parts_thoughts: bool = False

    def __call__(self, path: str, body: dict[str, Any]) -> Reply:
        thinks = body.get("messages", [{}])[-1].get("role") == "user" and self.obeys not in body
        if path == "/detokenize":
            thinks = body["tokens"][-1] == THINK
            return Reply({"prompt": "assistant\n<think>\n" if thinks else "assistant\n"})
        if path == "/tokenize" and thinks and not (self.writes_tag or self.parts_thoughts):
            return Reply({"tokens": [1, THINK], "count": 2})
        if path == "/v1/chat/completions" and thinks:
            message = {"content": "<think>" if self.writes_tag else "Hm"}
            if self.parts_thoughts:
                message = {"content": "", "reasoning_content": "Hm"}
            return Reply({"choices": [{"message": message}]})
        return super().__call__(path, body)


THINK = 7
ALL_WAYS = pytest.mark.parametrize(
    "way", [{}, {"writes_tag": True}, {"parts_thoughts": True}], ids=lambda way: "".join(way)
)


@ALL_WAYS
def test_thoughts_that_open_in_a_turn_of_the_models_own_are_switched_off(
    way: dict[str, bool],
) -> None:
    passport = probed(Thinks(obeys="chat_template_kwargs", **way))
    assert passport.switch == SWITCHES[1]
    assert passport.warnings == ()


@ALL_WAYS
def test_where_no_switch_helps_answers_in_words_are_refused_and_others_warned_of(
    way: dict[str, bool],
) -> None:
    odd = Thinks(obeys="nothing", **way)
    passport = probed(odd)
    assert (passport.switch, passport.warnings) == ({}, (THINKS_IN_WORDS,))
    with pytest.raises(UnsuitableServerError, match="thinks before it answers"):
        probed(odd, NEWEST["text"]["en"])


def test_a_tokenizer_that_parts_space_and_digit_leaves_the_bare_digit() -> None:
    assert probed(Odd(has_spaced=False)).tokens["3"] == {"3": 102}


@pytest.mark.parametrize(
    ("odd", "route", "warning"),
    [
        (Odd(knows_token_ids=False), Route.CHOICE, "cannot be known"),
        (Odd(knows_token_ids=False, masks=False), Route.TOP, "by a bound only"),
        (Odd(knows_token_ids=False, holds_answers=False), Route.TOP, "by a bound only"),
        (Odd(knows_token_ids=False, holds_answers=False, lists=5), Route.TOP, "by a bound only"),
    ],
)
def test_a_server_without_the_best_route_is_asked_by_the_next(
    odd: Odd, route: Route, warning: str
) -> None:
    passport = probed(odd)
    assert passport.route is route
    assert any(warning in said for said in passport.warnings)
    assert passport.routes["logprob_token_ids"].refusal.startswith("The reply leaves out tokens")
    assert (passport.mass is None) is not route.knows_mass


def test_numbers_from_before_the_mask_are_not_taken_for_masked_ones() -> None:
    report = probed(Odd(masks=False)).routes["structured_choice_masked"]
    assert "before the mask" in report.refusal or "does not hold the answer" in report.refusal


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (Odd(models={"data": []}), "does not serve the model “good”; it serves none"),
        (Odd(models={"data": [{"id": "bad"}]}), "it serves bad"),
        (Odd(models={"data": [{"id": "good"}]}), "does not say how many tokens"),
        (Odd(models=["good"]), "does not list its models"),
        (
            Odd(models={"data": [{"id": "good", "max_model_len": 800}]}),
            "reads 800 tokens at a time",
        ),
        (Odd(splits_digits=True), "not one token each"),
        (Odd(closes_answers=True), "ends an answer that was only begun"),
        (Odd(shift=12.0), "a logit and no log-probability"),
    ],
)
def test_a_server_that_cannot_serve_is_refused_with_the_reason(odd: Odd, words: str) -> None:
    with pytest.raises(UnsuitableServerError, match=words):
        probed(odd)


def test_a_server_that_does_not_show_its_tokens_is_named_with_what_it_lacks() -> None:
    with pytest.raises(ValidatorUnavailableError, match="has no /tokenize"):
        probed(Odd(tokenizes=False))


def test_a_model_that_says_something_else_is_warned_about() -> None:
    passport = probed(Odd(shift=-2.0))
    assert passport.mass == pytest.approx(0.12)
    assert any("Only 12%" in said for said in passport.warnings)


# --- What happens to single tasks ---------------------------------------------------------------


def served(url: str, passport: Passport) -> ServedModel:
    return ServedModel(url, "good", ENGLISH.key, ENGLISH.digest, "", False, passport)


def about(task_id: int, text: str) -> ValidationRequest:
    return ValidationRequest(task_id, text, "multiclass", QUESTION.candidates)


def faulty(broken: dict[str, Reply]) -> Callable[[str, dict[str, Any]], Reply]:
    """A good server that breaks on texts with certain words."""
    good = Odd()

    def answer(path: str, body: dict[str, Any]) -> Reply:
        if path == "/v1/chat/completions":
            text = body["messages"][0]["content"]
            for word, reply in broken.items():
                if word in text:
                    return reply
        return good(path, body)

    return answer


def test_one_task_that_fails_holds_up_no_other() -> None:
    broken = {
        "crash": Reply({"error": {"message": "internal"}}, 500),
        "toolong": Reply({"error": {"message": "too many tokens"}}, 400),
        "nan": Reply(
            b'{"choices": [{"logprobs": {"content": [{"token": "token_id:1", '
            b'"logprob": NaN, "top_logprobs": []}]}}]}'
        ),
        "empty": Reply({}),
    }
    words = [*broken, "fine", "good"]
    with stub_server(faulty(broken)) as stub:
        client = VllmServerValidator(served(stub.url, probed(Odd())), patience=ONE_TRY)
        results, failures = validate_all(client, [about(n, w) for n, w in enumerate(words)])
    assert [result.task_id for result in results] == [4, 5]
    said = {words[failure.task_id]: failure for failure in failures}
    assert said["crash"].retryable
    assert "internal" in said["crash"].message
    assert not said["toolong"].retryable
    assert "too many tokens" in said["toolong"].message
    assert "NaN is not a number" in said["nan"].message
    assert "no log-probabilities of a first token" in said["empty"].message


def test_once_a_server_is_away_nobody_waits_for_it_again() -> None:
    broken = {"away": Reply({}, promised=500)}  # breaks off at once
    with stub_server(faulty(broken)) as stub:
        model = served(stub.url, probed(Odd()))
        client = VllmServerValidator(model, connections=1, patience=ONE_TRY)
        results, failures = validate_all(client, [about(n, "away") for n in range(20)])
        chats = [path for path, *_rest in stub.asked if path == "/v1/chat/completions"]
    assert (results, len(failures)) == ([], 20)
    assert len(chats) == 1
    assert all(failure.retryable for failure in failures)


def test_the_server_is_asked_for_its_tokens_once() -> None:
    with stub_server(Odd()) as stub:
        client = VllmServerValidator(served(stub.url, probed(Odd())), patience=ONE_TRY)
        for _ in range(3):
            assert validate_all(client, [about(1, "fine")])[1] == []
        paths = [path for path, *_rest in stub.asked]
    assert paths.count("/v1/models") == 3
    assert paths.count("/tokenize") == 1 + 2 * len(SYMBOLS)


# --- Stored settings ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"passport": None},
        {"passport": {}},
        {"family": "prob-xx-1"},
        {"family_digest": "other words"},
        {"url": None, "remove": "url"},
    ],
)
def test_settings_that_cannot_be_used_say_to_register_again(change: dict[str, Any]) -> None:
    content = served("http://127.0.0.1/v1", probed(Odd())).as_json() | change
    content.pop(content.pop("remove", ""), None)
    with pytest.raises(ArtifactError, match="register it again"):
        ServedModel.from_json(content)
