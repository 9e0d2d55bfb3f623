"""Clients against each other on the same weights: a real vLLM server, by every route, and
transformers in this process, whose answers `test_transformers_local` holds to plain passes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llm_worker.clients.bias import Bias
from llm_worker.clients.decisions import probe_decisions
from llm_worker.clients.json_server import JsonServer
from llm_worker.clients.openai_server import OpenAiValidator, probe_openai
from llm_worker.clients.option_routes import SERVER_ROUTES, Route
from llm_worker.clients.passport import Passport, ServedModel
from llm_worker.clients.probe import probe
from llm_worker.clients.transformers_local import TransformersValidator, probe_local
from llm_worker.clients.vllm_server import VllmServerValidator
from llm_worker.errors import ValidatorUnavailableError
from llm_worker.prompts.families import ENGLISH
from llm_worker.types import Candidate, Question, ValidationRequest, ValidationResult
from llm_worker.validators import Validator, validate_all
from tests.random_llm import make_random
from tests.vllm import MODEL, VllmServer, free_port

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(900)]

TOLERANCE = 1e-4
"""Of a probability: both sides compute in float32, in another order of operations."""
CARDS = tuple(
    Candidate(place, name, f"what {name} is about", (f"an example of {name}",))
    for place, name in enumerate(["late", "refund", "address", "card", "other"], start=1)
)
BOTH: tuple[Question, ...] = ("multiclass", "binary")


def requests(question: Question) -> list[ValidationRequest]:
    texts = ["my parcel is 12 days late", "где мои 10 рублей?", "我想换地址", "1 2 3 [ANSWER] 4"]
    about = CARDS[1].label_id if question == "binary" else None
    return [
        ValidationRequest(place, text, question, CARDS, about) for place, text in enumerate(texts)
    ]


def model_with(passport: Passport, url: str = "", **changes: Any) -> ServedModel:
    model = ServedModel(url, MODEL, ENGLISH.key, ENGLISH.digest, "A shop.", True, passport)
    return replace(model, **changes)


def answers(client: Validator, asked: Sequence[ValidationRequest]) -> list[ValidationResult]:
    results, failures = validate_all(client, asked)
    assert failures == []
    return results


def truth(folder: Path, asked: Sequence[ValidationRequest]) -> list[ValidationResult]:
    model = model_with(probe_local(folder, family=ENGLISH))
    return answers(TransformersValidator(model, folder=folder), asked)


def passport_of(server: VllmServer) -> Passport:
    async def ask() -> Passport:
        async with JsonServer(server.url) as reached:
            return await probe(reached, model=MODEL, family=ENGLISH)

    return asyncio.run(ask())


def openai_passport_of(server: VllmServer, **more: Any) -> Passport:
    async def ask() -> Passport:
        async with JsonServer(server.url) as reached:
            return await probe_openai(reached, model=MODEL, family=ENGLISH, **more)

    return asyncio.run(ask())


def check_same(told: Sequence[ValidationResult], true: Sequence[ValidationResult]) -> None:
    """The same probabilities; where a route gives bounds, the true ones lie between."""
    for one, own in zip(told, true, strict=True):
        (call,), (known,) = one.calls, own.calls
        mass = own.probabilities.mass
        if one.route == Route.CHOICE.value:
            assert one.probabilities.mass == 1.0
        else:
            assert all(np.array(call.low) <= np.array(known.low) + TOLERANCE)
            assert all(np.array(known.low) <= np.array(call.high) + TOLERANCE)
            assert one.probabilities.mass <= mass + TOLERANCE
        if call.low != call.high:
            continue
        if one.route != Route.CHOICE.value:
            assert one.probabilities.mass == pytest.approx(mass, abs=TOLERANCE)
        expected = own.probabilities.probabilities
        assert one.probabilities.probabilities == pytest.approx(expected, abs=TOLERANCE)


# --- A tokenizer that keeps the space before a digit --------------------------------------------


@pytest.mark.parametrize("question", BOTH)
def test_transformers_and_the_server_agree(vllm_server: VllmServer, question: Question) -> None:
    passport = passport_of(vllm_server)
    asked = requests(question)
    told = answers(VllmServerValidator(model_with(passport, vllm_server.url)), asked)
    true = truth(vllm_server.folder, asked)
    check_same(told, true)
    assert [one.prompt_hash for one in told] == [one.prompt_hash for one in true]
    assert [one.tokens for one in told] == [one.tokens for one in true]


@pytest.mark.parametrize("question", BOTH)
def test_openai_format_bounds_the_options_by_their_text(
    vllm_server: VllmServer, question: Question
) -> None:
    passport = openai_passport_of(vllm_server)
    assert (passport.route, passport.prefill) == (Route.TOP_TEXT, "continued")
    assert passport.mass is not None
    assert passport.mass > 0.5
    asked = requests(question)
    told = answers(OpenAiValidator(model_with(passport, vllm_server.url)), asked)
    assert {one.route for one in told} == {"top_logprobs_text"}
    check_same(told, truth(vllm_server.folder, asked))


def test_openai_format_takes_shifts_and_reasons_too(vllm_server: VllmServer) -> None:
    passport = openai_passport_of(vllm_server, context=2000)
    assert passport.context_tokens == 2000
    model = model_with(passport, vllm_server.url, bias=Bias("shifts", orders=2))
    (one, *_rest) = answers(OpenAiValidator(model), requests("multiclass"))
    assert [call.order[0] for call in one.calls] == ["1", "5"]
    reasons = OpenAiValidator(model).explain(requests("multiclass"))
    assert [one.task_id for one in reasons] == [one.task_id for one in requests("multiclass")]
    for reason in reasons:
        assert len(reason.text) <= 2000
        assert bool(reason.text) != bool(reason.failure)
        assert reason.spent.calls == 1
        assert reason.spent.tokens > 0
        assert reason.spent.written_tokens <= 256


def test_a_server_without_decisions_is_refused(vllm_server: VllmServer) -> None:
    async def ask() -> Passport:
        async with JsonServer(vllm_server.url) as reached:
            return await probe_decisions(reached, model=MODEL, family=ENGLISH)

    with pytest.raises(ValidatorUnavailableError, match="v1/decisions"):
        asyncio.run(ask())


# --- A tokenizer that parts spaces and keeps two digits whole -----------------------------------


@pytest.fixture(scope="module")
def other_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    folder = tmp_path_factory.mktemp("other") / "model"
    server = VllmServer(make_random(folder, splits=True, pairs=True), free_port())
    server.start()
    yield server
    server.stop()


def test_every_route_is_exact_where_spaces_are_split_and_numbers_whole(
    other_server: VllmServer,
) -> None:
    passport = passport_of(other_server)
    assert passport.tokens["1"].keys() == {"1"}
    assert all(not report.refusal for report in passport.routes.values())
    texts = openai_passport_of(other_server)
    for question in BOTH:
        asked = requests(question)
        true = truth(other_server.folder, asked)
        for route in SERVER_ROUTES:
            model = model_with(replace(passport, route=route), other_server.url)
            told = answers(VllmServerValidator(model), asked)
            assert {one.route for one in told} == {route.value}
            check_same(told, true)
        check_same(answers(OpenAiValidator(model_with(texts, other_server.url)), asked), true)
