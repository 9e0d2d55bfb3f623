"""What the real server answers means something: a tiny model that was trained for a made task."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any

import pytest

from llm_worker.clients.json_server import JsonServer
from llm_worker.clients.option_routes import SERVER_ROUTES, Route
from llm_worker.clients.passport import ServedModel
from llm_worker.clients.probe import probe
from llm_worker.clients.vllm_server import VllmServerValidator
from llm_worker.prompts.build import build_prompt
from llm_worker.prompts.families import ENGLISH, NEWEST
from llm_worker.types import Question
from llm_worker.validators import validate_all
from tests.made_task import made, text_about
from tests.tiny_llm import chat
from tests.vllm import MODEL, VllmServer

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(900)]

TASKS = 100


@pytest.fixture(scope="module")
def served(vllm_server: VllmServer) -> ServedModel:
    family = NEWEST["prob"]["en"]

    async def probed() -> ServedModel:
        async with JsonServer(vllm_server.url) as server:
            passport = await probe(server, model=MODEL, family=family)
        return ServedModel(
            vllm_server.url,
            MODEL,
            family.key,
            family.digest,
            "",
            reads_documents=False,
            passport=passport,
        )

    return asyncio.run(probed())


@pytest.mark.parametrize("question", ["multiclass", "binary"])
def test_the_trained_model_knows_the_labels_of_texts_it_never_saw(
    served: ServedModel, question: Question
) -> None:
    """Chance is a sixth, or a half."""
    tasks = [made(seed, question) for seed in range(TASKS)]
    results, failures = validate_all(VllmServerValidator(served), [one.request for one in tasks])
    assert failures == []
    right = [
        result.probabilities.best == one.right for one, result in zip(tasks, results, strict=True)
    ]
    assert sum(right) / TASKS > 0.85
    assert min(result.probabilities.mass for result in results) > 0.9


def test_the_trained_model_is_surer_where_it_is_right(served: ServedModel) -> None:
    """What accepting above a threshold rests on."""
    tasks = [made(seed, "multiclass") for seed in range(3 * TASKS)]
    results, _failures = validate_all(VllmServerValidator(served), [one.request for one in tasks])
    sure: dict[bool, list[float]] = {True: [], False: []}
    for one, result in zip(tasks, results, strict=True):
        best = result.probabilities.best
        sure[best == one.right].append(result.probabilities.of(best))
    assert sure[False], "with nothing wrong there is nothing to compare"
    mean = {right: sum(values) / len(values) for right, values in sure.items()}
    assert mean[True] > mean[False]


@pytest.fixture(scope="module")
def weights(vllm_server: VllmServer) -> tuple[Any, Any]:
    """The same model and tokenizer in transformers."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = vllm_server.folder
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    model.eval()
    return model, AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("route", SERVER_ROUTES)
@pytest.mark.parametrize("question", ["multiclass", "binary"])
def test_by_each_route_the_probabilities_are_those_of_the_weights(
    served: ServedModel, weights: tuple[Any, Any], route: Route, question: Question
) -> None:
    import torch

    model, tokenizer = weights
    requests = [made(seed, question).request for seed in range(8)]
    passport = replace(served.passport, route=route)
    validator = VllmServerValidator(replace(served, passport=passport))
    results, failures = validate_all(validator, requests)
    assert failures == []
    for request, result in zip(requests, results, strict=True):
        assert result.route == route.value
        prompt = build_prompt(ENGLISH, request)
        with torch.no_grad():
            read = tokenizer(chat(prompt.text), return_tensors="pt").input_ids
            shares = model(read).logits[0, -1].softmax(dim=-1)
        own = [
            sum(float(shares[tokenizer.convert_tokens_to_ids(one)]) for one in (digit, f"Ġ{digit}"))
            for digit in prompt.symbols
        ]
        expected = [one / sum(own) for one in own]
        assert result.probabilities.probabilities == pytest.approx(expected, abs=2e-3)


def test_no_pair_of_words_of_an_unseen_text_stands_in_a_text_to_train_on() -> None:
    def pairs(unseen: bool) -> set[frozenset[str]]:
        rng = random.Random(0)
        texts = [text_about(rng, "refund", unseen=unseen) for _ in range(2000)]
        known = {"money", "repay", "reimburse", "paid", "owed", "returned", "cash", "back"}
        return {frozenset(known & set(text.split())) for text in texts}

    assert not pairs(True) & pairs(False)
    assert len(pairs(True) | pairs(False)) == 28
