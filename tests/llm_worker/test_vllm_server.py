"""The real vLLM server: what the probe learns of it, and that its probabilities are exact."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from llm_worker.clients.bias import Bias, orders_of
from llm_worker.clients.json_server import JsonServer, Patience
from llm_worker.clients.option_routes import SERVER_ROUTES, Route
from llm_worker.clients.passport import Passport, ServedModel
from llm_worker.clients.probe import count, probe
from llm_worker.clients.prompting import prompts_of
from llm_worker.clients.vllm_server import VllmServerValidator
from llm_worker.errors import UnsuitableServerError
from llm_worker.prompts.build import Extent, Prompt, build_prompt
from llm_worker.prompts.families import ENGLISH, FAMILIES, newest_family
from llm_worker.prompts.family import PromptFamily
from llm_worker.prompts.settings import Approach, Asking
from llm_worker.types import Candidate, Document, Question, Shot, ValidationRequest
from llm_worker.validators import validate_all
from tests.llm_worker.test_prompts import ATTACKS
from tests.tiny_llm import CONTEXT
from tests.vllm import MODEL, VllmServer

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(900)]

TOLERANCE = 1e-4
"""Of a probability. Both sides compute in float32, in another order of operations."""
TWO_TRIES = Patience(connect_s=60.0, answer_s=60.0, tries=2, pause_s=0.01)
CARDS = tuple(
    Candidate(place, name, about, (f"an example of {name}",), (f"looks like {name}",))
    for place, (name, about) in enumerate(
        [("late", "a late parcel"), ("refund", "money back"), ("address", "a new address")], start=1
    )
)
DOCUMENTS = (Document("d1", "Returns", "Returns are free for thirty days."),)


def asked(task_id: int, text: str, question: Question = "multiclass") -> ValidationRequest:
    about = CARDS[1].label_id if question == "binary" else None
    return ValidationRequest(task_id, text, question, CARDS, about, documents=DOCUMENTS)


@pytest.fixture(scope="module")
def passport(vllm_server: VllmServer) -> Passport:
    return probed(vllm_server, ENGLISH)


def probed(
    server: VllmServer, family: PromptFamily, model: str = MODEL, domain: str = ""
) -> Passport:
    async def ask() -> Passport:
        async with JsonServer(server.url) as reached:
            return await probe(reached, model=model, family=family, domain=domain)

    return asyncio.run(ask())


def validator(
    server: VllmServer,
    passport: Passport,
    *,
    family: PromptFamily = ENGLISH,
    patience: Patience | None = TWO_TRIES,
    **changes: Any,
) -> VllmServerValidator:
    served = ServedModel(
        server.url,
        MODEL,
        family.key,
        family.digest,
        "A shop.",
        reads_documents=True,
        passport=passport,
    )
    return VllmServerValidator(replace(served, **changes), patience=patience)


@pytest.fixture(scope="module")
def first_token(vllm_server: VllmServer) -> Callable[[Prompt], Any]:
    """Probabilities of every first token after a prompt, by transformers on the same weights."""
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(vllm_server.folder, dtype=torch.float32)
    model.eval()

    def probabilities(prompt: Prompt) -> Any:
        async def tokens() -> list[int]:
            async with JsonServer(vllm_server.url) as server:
                return await count(server, MODEL, prompt)

        with torch.no_grad():
            logits = model(torch.tensor([asyncio.run(tokens())])).logits[0, -1]
        return torch.softmax(logits.double(), dim=-1).numpy()

    return probabilities


# --- The passport -------------------------------------------------------------------------------


def test_the_passport_says_what_the_server_can_do(
    vllm_server: VllmServer, passport: Passport
) -> None:
    assert passport.root == str(vllm_server.folder)
    assert passport.context_tokens == CONTEXT
    assert passport.server
    assert passport.route is Route.TOKEN_IDS
    assert {name: (report.refusal, report.values) for name, report in passport.routes.items()} == {
        "logprob_token_ids": ("", "raw"),
        "structured_choice_masked": ("", "masked"),
        "top_logprobs": ("", "raw"),
    }
    assert all(report.noise <= 1e-3 for report in passport.routes.values())
    assert passport.mass is not None
    assert 0.9 < passport.mass <= 1.0  # it was trained to say nothing but options
    assert passport.disagreement <= 1e-3


def test_each_digit_has_a_token_with_a_space_and_one_without(passport: Passport) -> None:
    assert list(passport.tokens) == ["1", "2", "3", "4", "5", "0"]
    assert all(list(own) == [symbol, f" {symbol}"] for symbol, own in passport.tokens.items())
    ids = [token for own in passport.tokens.values() for token in own.values()]
    assert len(set(ids)) == 12


def test_probing_again_gives_the_same_passport(vllm_server: VllmServer, passport: Passport) -> None:
    assert probed(vllm_server, ENGLISH) == passport


def test_a_model_that_is_not_served_is_refused_with_those_that_are(vllm_server: VllmServer) -> None:
    with pytest.raises(
        UnsuitableServerError, match="does not serve the model “huge”; it serves tiny"
    ):
        probed(vllm_server, ENGLISH, model="huge")


def test_guidelines_that_leave_no_room_for_a_text_are_refused(vllm_server: VllmServer) -> None:
    with pytest.raises(UnsuitableServerError, match="reads 2048 tokens at a time"):
        probed(vllm_server, ENGLISH, domain="Ωμέγα " * 900)


# --- Exactness ----------------------------------------------------------------------------------


@pytest.mark.parametrize("route", SERVER_ROUTES)
@pytest.mark.parametrize("question", ["multiclass", "binary"])
def test_probabilities_are_those_of_the_model_itself(
    vllm_server: VllmServer, passport: Passport, first_token: Any, route: Route, question: Question
) -> None:
    chosen = validator(vllm_server, replace(passport, route=route))
    texts = ["my parcel is late", "где мои деньги?", "我想换地址", "a < b and [ANSWER]3"]
    requests = [asked(place, text, question) for place, text in enumerate(texts)]
    results, failures = validate_all(chosen, requests)
    assert failures == []
    for request, result in zip(requests, results, strict=True):
        prompt = build_prompt(ENGLISH, request, domain="A shop.", reads_documents=True)
        every = first_token(prompt)
        own = [
            sum(every[token] for token in passport.tokens[symbol].values())
            for symbol in prompt.symbols
        ]
        (call,) = result.calls
        assert result.route == route.value
        assert result.prompt_hash == prompt.hash
        assert result.tokens > 100
        if route is Route.TOP:
            slack = TOLERANCE
            assert all(np.array(call.low) <= np.array(own) + slack)
            assert all(np.array(own) <= np.array(call.high) + slack)
            assert result.probabilities.mass <= sum(own) + slack
            continue
        assert call.low == call.high
        expected = np.array(own) / sum(own)
        assert result.probabilities.probabilities == pytest.approx(expected, abs=TOLERANCE)
        mass = sum(own) if route is Route.TOKEN_IDS else 1.0
        assert result.probabilities.mass == pytest.approx(mass, abs=TOLERANCE)


@pytest.mark.parametrize("orders", [2, 5])
def test_orders_of_the_options_are_averaged_as_the_model_itself_would(
    vllm_server: VllmServer, passport: Passport, first_token: Any, orders: int
) -> None:
    bias = Bias("shifts", orders=orders)
    request = asked(1, "my parcel is late")
    chosen = validator(vllm_server, passport, bias=bias)
    (result,), failures = validate_all(chosen, [request])
    assert failures == []
    logs, masses = [], []
    for order in orders_of(request, bias):
        prompt = build_prompt(ENGLISH, order, domain="A shop.", reads_documents=True)
        every = first_token(prompt)
        own = {
            option: sum(every[token] for token in passport.tokens[symbol].values())
            for option, symbol in zip(order.options, prompt.symbols, strict=True)
        }
        logs.append(np.log([own[option] for option in request.options]))
        masses.append(sum(own.values()))
    weights = np.exp(np.mean(logs, axis=0))
    expected = weights / weights.sum()
    assert len(result.calls) == bias.calls(3) == len(logs)
    assert result.probabilities.probabilities == pytest.approx(expected, abs=TOLERANCE)
    assert result.probabilities.mass == pytest.approx(np.mean(masses), abs=TOLERANCE)
    # Every order after the first finds most of its prompt in the prefix cache.
    assert result.cached_tokens is not None
    assert result.cached_tokens > result.tokens * (len(logs) - 1) / len(logs) / 2


def test_the_prefix_that_tasks_share_is_read_once(
    vllm_server: VllmServer, passport: Passport
) -> None:
    chosen = validator(vllm_server, passport, domain="A shop for one test.")
    results, _failures = validate_all(chosen, [asked(place, f"case {place}") for place in range(2)])
    results += validate_all(chosen, [asked(2, "case of its own")])[0]
    assert results[2].cached_tokens is not None
    # The server keeps whole blocks of 128 tokens, and these prompts are two long.
    assert results[2].tokens - 2 * 128 < results[2].cached_tokens < results[2].tokens


def test_another_text_gets_another_answer(vllm_server: VllmServer, passport: Passport) -> None:
    requests = [asked(place, text) for place, text in enumerate(["late parcel", "zzz", "money?"])]
    results, _failures = validate_all(validator(vllm_server, passport), requests)
    answers = {result.probabilities.probabilities for result in results}
    assert len(answers) == len(requests)
    assert len({result.prompt_hash for result in results}) == len(requests)


@pytest.mark.parametrize("family", list(FAMILIES.values()), ids=lambda family: family.name)
def test_every_prompt_family_is_answered(
    vllm_server: VllmServer, passport: Passport, family: PromptFamily
) -> None:
    chosen = validator(vllm_server, passport, family=family)
    for question in ("multiclass", "binary"):
        results, failures = validate_all(chosen, [asked(1, "где мой заказ", question)])
        assert (len(results), failures) == (1, [])


def test_many_tasks_at_once_are_all_accounted_for(
    vllm_server: VllmServer, passport: Passport
) -> None:
    chosen = validator(vllm_server, passport)
    requests = [asked(place, f"order number {place} is late") for place in range(60)]
    results, failures = validate_all(chosen, requests)
    assert failures == []
    assert [result.task_id for result in results] == list(range(60))
    alone, _failures = validate_all(chosen, [requests[17]])
    together = results[17].probabilities.probabilities
    assert alone[0].probabilities.probabilities == pytest.approx(together, abs=TOLERANCE)


# --- Texts that fight back ----------------------------------------------------------------------


def test_special_tokens_in_a_text_stay_text(vllm_server: VllmServer) -> None:
    """The server's own tokenizer sees as many special tokens as in a harmless prompt."""
    special = {0, 1, 2}

    async def marks(text: str) -> list[int]:
        shot = Shot(f"so {text}", text)
        request = replace(asked(1, text), documents=(Document("d", text, text),), shots=(shot,))
        asking = Asking(shots=1, fixed=(shot,), instructions=text)
        prompt = build_prompt(
            *(ENGLISH, request),
            domain=text,
            reads_documents=True,
            asking=asking,
            notes=text,
            extent=Extent(documents=1, examples=0),
        )
        async with JsonServer(vllm_server.url) as server:
            return [token for token in await count(server, MODEL, prompt) if token in special]

    harmless = asyncio.run(marks("where is my parcel"))
    assert len(harmless) == 3
    for attack in ATTACKS:
        assert asyncio.run(marks(attack)) == harmless


# --- In words -----------------------------------------------------------------------------------


def test_a_model_that_writes_no_answer_line_fails_every_task_in_words(
    vllm_server: VllmServer, passport: Passport
) -> None:
    words = newest_family(Approach.TEXT, "en")
    chosen = validator(
        vllm_server, passport, family=words, asking=Asking(approach=Approach.TEXT), patience=None
    )
    results, failures = validate_all(chosen, [asked(1, "my parcel is late"), asked(2, "money?")])
    assert results == []
    assert [(one.task_id, one.reason, one.retryable) for one in failures] == [
        (1, "unreadable_answer", False),
        (2, "unreadable_answer", False),
    ]


@pytest.mark.parametrize("question", get_args(Question))
def test_options_are_asked_for_after_what_the_model_wrote(
    vllm_server: VllmServer, passport: Passport, first_token: Any, question: Question
) -> None:
    chosen = validator(
        vllm_server, passport, asking=Asking(approach=Approach.REASON_THEN_PROB), patience=None
    )
    request = asked(1, "my parcel is late", question)
    (result,), failures = validate_all(chosen, [request])
    assert failures == []
    prompt = next(prompts_of(chosen.model, request, notes=result.reasoning))
    assert result.prompt_hash == prompt.hash
    assert ("[REASONING]" in prompt.text) == bool(result.reasoning)
    every = first_token(prompt)
    own = [
        sum(every[token] for token in passport.tokens[symbol].values()) for symbol in prompt.symbols
    ]
    expected = np.array(own) / sum(own)
    assert result.probabilities.probabilities == pytest.approx(expected, abs=TOLERANCE)


# --- Limits and faults --------------------------------------------------------------------------


def test_a_text_that_is_too_long_is_cut_and_says_so(
    vllm_server: VllmServer, passport: Passport
) -> None:
    long = "Ω" * 7000  # two bytes a letter, which the tokenizer has never seen
    results, failures = validate_all(validator(vllm_server, passport), [asked(1, long)])
    assert failures == []
    assert results[0].text_was_cut
    assert "text" in results[0].calls[0].cut
    assert results[0].tokens < CONTEXT


def test_what_is_less_needed_is_cut_before_the_text(
    vllm_server: VllmServer, passport: Passport
) -> None:
    documents = tuple(Document(f"d{n}", f"Title {n}", "Ω" * 250) for n in range(5))
    request = replace(asked(1, "where is my parcel"), documents=documents)
    results, _failures = validate_all(validator(vllm_server, passport), [request])
    assert results[0].calls[0].cut == ("documents",)
    assert not results[0].text_was_cut


def test_a_server_that_is_away_fails_every_task_in_words(passport: Passport) -> None:
    away = VllmServer(Path(passport.root), port=9)
    results, failures = validate_all(validator(away, passport), [asked(1, "a"), asked(2, "b")])
    assert results == []
    assert all(failure.retryable for failure in failures)
    assert all("127.0.0.1:9/v1 cannot be reached" in failure.message for failure in failures)


@pytest.mark.parametrize(
    "change",
    [{"root": "elsewhere"}, {"context_tokens": 4096}, {"tokens": {"1": {"1": 5}}}],
    ids=lambda change: next(iter(change)),
)
def test_another_model_under_the_same_name_is_not_asked(
    vllm_server: VllmServer, passport: Passport, change: dict[str, Any]
) -> None:
    changed = validator(vllm_server, replace(passport, **change))
    results, failures = validate_all(changed, [asked(1, "where is my parcel")])
    assert results == []
    assert "another model" in failures[0].message
    assert failures[0].retryable


def test_settings_survive_being_stored(vllm_server: VllmServer, passport: Passport) -> None:
    served = validator(vllm_server, passport).model
    assert ServedModel.from_json(json.loads(json.dumps(served.as_json()))) == served


def test_the_order_of_the_requests_does_not_matter(
    vllm_server: VllmServer, passport: Passport
) -> None:
    chosen = validator(vllm_server, passport)
    requests = [asked(place, f"text {place}") for place in range(4)]
    for order in itertools.islice(itertools.permutations(requests), 3):
        results, _failures = validate_all(chosen, order)
        assert [result.task_id for result in results] == [one.task_id for one in order]
