"""A server that decides between choices and gives each a probability: `POST /v1/decisions`.

The format is that of OpenAI's client library, version 3.51.0; SGLang and vLLM's main branch are
said to serve it for chat models, too. It is written from those types: no server that speaks it ran
here. The digits of the prompt are the choices, so that a server which wants choices of one token
takes them, and the prompt is the one that every other client sends.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llm_worker.clients.asking import ServerValidator
from llm_worker.clients.json_server import JsonServer
from llm_worker.clients.openai_server import OVERHEAD, context_of_card
from llm_worker.clients.option_routes import Route, probabilities, prompt_tokens
from llm_worker.clients.passport import Passport, RouteReport
from llm_worker.clients.probe import (
    QUESTION,
    at_most,
    check_room,
    listed_card,
    probe_prompt,
    version_of,
    warnings_of,
)
from llm_worker.clients.prompting import prompts_of, too_long
from llm_worker.errors import (
    BadReplyError,
    RequestRefusedError,
    UnsuitableServerError,
    ValidatorUnavailableError,
)
from llm_worker.prompts.build import Prompt
from llm_worker.prompts.families import family_of
from llm_worker.prompts.family import PromptFamily
from llm_worker.types import Call, ValidationRequest, ValidationResult

PATH = "/v1/decisions"
OFF_BY = 0.02
"""What the probabilities of a decision may miss 1 by."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The probability of each choice, and the tokens that were read."""

    found: Mapping[str, float]
    tokens: int
    cached_tokens: int | None


class DecisionsValidator(ServerValidator):
    """A model behind a server of decisions."""

    async def _check(self, server: JsonServer) -> None:
        try:
            await listed_card(server, self.model.model)
        except (UnsuitableServerError, RequestRefusedError, BadReplyError) as error:
            raise ValidatorUnavailableError(str(error)) from error

    async def ask(self, server: JsonServer, request: ValidationRequest) -> ValidationResult:
        room = self.model.passport.context_tokens
        for prompt in prompts_of(self.model, request):
            if len(prompt.text.encode()) + OVERHEAD <= room:
                break
        else:
            raise too_long(room)
        body = request_body_of(
            self.model.model, prompt, family_of(self.model.family).asks[request.question]
        )
        decision = read_decision(await server.ask(PATH, body), prompt)
        weights = tuple(decision.found[symbol] for symbol in prompt.symbols)
        call = Call(weights, weights, prompt.cut)
        return ValidationResult(
            task_id=request.task_id,
            question=request.question,
            probabilities=probabilities(Route.DECISIONS, request.options, call),
            latency_ms=0.0,
            tokens=decision.tokens,
            prompt_hash=prompt.hash,
            route=Route.DECISIONS.value,
            text_was_cut="text" in prompt.cut,
            calls=(call,),
            cached_tokens=decision.cached_tokens,
        )


def request_body_of(model: str, prompt: Prompt, asks: str) -> dict[str, Any]:
    """One question: which of the digits; the prompt says what they stand for."""
    choices = [{"value": symbol} for symbol in prompt.symbols]
    question = {"type": "choice", "instructions": asks, "choices": choices}
    return {"model": model, "input": prompt.text, "questions": [question]}


def read_decision(reply: Any, prompt: Prompt) -> Decision:
    """The probabilities of the digits of `prompt`.

    Raises `RequestRefusedError` where the model declined to answer, `BadReplyError` for any other
    shape, or numbers that are no probabilities of these choices.
    """
    try:
        (answer,) = reply["answers"]
        if answer["type"] == "refusal":
            raise RequestRefusedError("The model declined to answer this question.")
        told = [(entry["value"], entry["probability"]) for entry in answer["probabilities"]]
        usage = reply["usage"]
        counted = usage["input_tokens"]
        cached = (usage.get("input_tokens_details") or {}).get("cached_tokens")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadReplyError(
            f"The reply holds no decision ({type(error).__name__}: {error})."
        ) from error
    found = {str(value): _probability(share) for value, share in told}
    if len(told) != len(found) or set(found) != set(prompt.symbols):
        raise BadReplyError(f"The decision is between {sorted(found)[:10]}, which was not asked.")
    total = math.fsum(found.values())
    if abs(total - 1.0) > OFF_BY:
        raise BadReplyError(f"The probabilities of the decision sum to {total:.3f}.")
    tokens = prompt_tokens(counted)
    plausible = type(cached) is int and 0 <= cached <= tokens
    return Decision(found, tokens, cached if plausible else None)


async def probe_decisions(
    server: JsonServer,
    *,
    model: str,
    family: PromptFamily,
    domain: str = "",
    context: int | None = None,
) -> Passport:
    """The passport of `model` behind `server`, which is asked our own question twice. `context` is
    how many tokens it reads, where the server does not tell.

    Raises `UnsuitableServerError` with the reason where the server cannot serve the approach,
    and `ValidatorUnavailableError` where it cannot be asked now.
    """
    prompt = probe_prompt(family, domain)
    body = request_body_of(model, prompt, family.asks[QUESTION.question])
    try:
        card = await listed_card(server, model)
        reads = context_of_card(server, model, card, context)
        check_room(reads, len(prompt.text.encode()) + OVERHEAD)
        first, again = [read_decision(await server.ask(PATH, body), prompt) for _ in range(2)]
    except (RequestRefusedError, BadReplyError) as error:
        raise UnsuitableServerError(str(error)) from error
    noise = max(abs(first.found[symbol] - again.found[symbol]) for symbol in prompt.symbols)
    return Passport(
        server=await version_of(server),
        root=str(card.get("root", "")),
        context_tokens=reads,
        overhead_tokens=OVERHEAD,
        tokens={},
        routes={Route.DECISIONS.value: RouteReport("", "masked", at_most(noise))},
        route=Route.DECISIONS,
        mass=None,
        disagreement=0.0,
        warnings=tuple(warnings_of(Route.DECISIONS, None, 0.0)),
        prefill="none",
    )


def _probability(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadReplyError(f"{value!r} is no probability.")
    if not math.isfinite(value) or not 0.0 <= value <= 1.0 + 1e-6:
        raise BadReplyError(f"{value!r} is no probability.")
    return min(float(value), 1.0)
