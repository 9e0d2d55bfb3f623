"""A model behind any server with OpenAI's chat format and log-probabilities.

Written for llama.cpp, SGLang, Ollama and OpenAI from their documentation; of these servers none ran
here. What was run is the same format as vLLM's server speaks it. Such a server has no way to
count tokens that all share, so prompts are measured in bytes: a token has at least one.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from llm_worker.clients.json_server import JsonServer
from llm_worker.clients.option_routes import Reading, Route, probabilities
from llm_worker.clients.passport import Passport, Prefill, RouteReport
from llm_worker.clients.probe import (
    LOW_MASS,
    QUESTION,
    SYMBOLS,
    at_most,
    check_room,
    listed_card,
    probe_prompt,
    version_of,
    warnings_of,
)
from llm_worker.clients.text_route import (
    TextReading,
    call_of_text,
    read_text_reply,
    request_body_of_text,
)
from llm_worker.clients.thinking import CONTINUED, Switch, Turn, thinking_switch
from llm_worker.clients.vllm_server import VllmServerValidator
from llm_worker.errors import (
    BadReplyError,
    RequestRefusedError,
    ServerAwayError,
    UnsuitableServerError,
    ValidatorError,
    ValidatorUnavailableError,
)
from llm_worker.prompts.build import Prompt
from llm_worker.prompts.family import PromptFamily
from llm_worker.types import Call, ValidationRequest, ValidationResult

OVERHEAD = 64
"""Tokens that a chat template may add, and the begun answer."""
USELESS_MASS = 0.05
PREFILLS: tuple[Prefill, ...] = ("continued", "message", "none")


class OpenAiValidator(VllmServerValidator):
    """As with a vLLM server, but with nothing that only vLLM has."""

    async def _check(self, server: JsonServer) -> None:
        try:
            card = await listed_card(server, self.model.model)
        except (UnsuitableServerError, RequestRefusedError, BadReplyError) as error:
            raise ValidatorUnavailableError(str(error)) from error
        if str(card.get("root", "")) != self.model.passport.root:
            raise ValidatorUnavailableError(
                f"{self.model.url} serves another model as “{self.model.model}” than when the "
                "validator was registered: register it again."
            )

    async def _counted(self, server: JsonServer, prompt: Prompt) -> int:
        return len(prompt.text.encode()) + self.model.passport.overhead_tokens

    async def _sent(self, server: JsonServer, prompt: Prompt) -> int:
        return await self._counted(server, prompt)

    async def _ask_options(
        self, server: JsonServer, prompt: Prompt, request: ValidationRequest
    ) -> ValidationResult:
        result = await super()._ask_options(server, prompt, request)
        # What was sent is not what `Prompt.hash` speaks of where the answer is not begun.
        messages = _messages(prompt, self.model.passport.prefill)
        packed = json.dumps([prompt.family, messages], ensure_ascii=False)
        return replace(result, prompt_hash=hashlib.sha256(packed.encode()).hexdigest())

    async def _call(self, server: JsonServer, prompt: Prompt) -> tuple[Call, Reading]:
        body = _body(self.model.model, prompt, self.model.passport.prefill, self._switch)
        reading = read_text_reply(await server.ask("/v1/chat/completions", body))
        counted = Reading({}, reading.prompt_tokens, reading.cached_tokens)
        return call_of_text(reading, prompt.symbols), counted


@dataclass(frozen=True, slots=True)
class _Heard:
    """What one way to begin the answer gave, twice."""

    prefill: Prefill
    switch: Switch
    first: TextReading
    again: TextReading

    @property
    def mass(self) -> float:
        return math.fsum(call_of_text(self.first, SYMBOLS).low)

    @property
    def noise(self) -> float:
        """The largest difference of a probability between the two equal calls."""
        one, other = self.first.found, self.again.found
        return max((abs(one[text] - other[text]) for text in set(one) & set(other)), default=0.0)


async def probe_openai(
    server: JsonServer,
    *,
    model: str,
    family: PromptFamily,
    domain: str = "",
    context: int | None = None,
) -> Passport:
    """The passport of `model` behind `server`. `context` is how many tokens it reads, where the
    server does not tell.

    Each way to begin the answer is tried, for a server that does not know one may take it for a
    finished turn. The first after which the model says a digit is used.

    Raises `UnsuitableServerError` with the reason where the server cannot serve the approach,
    and `ValidatorUnavailableError` where it cannot be asked now.
    """
    prompt = probe_prompt(family, domain)
    try:
        card = await listed_card(server, model)
    except (RequestRefusedError, BadReplyError) as error:
        raise UnsuitableServerError(str(error)) from error
    reads = context_of_card(server, model, card, context)
    check_room(reads, len(prompt.text.encode()) + OVERHEAD)
    heard, refusals = await _heard_all(server, model, prompt)
    if not heard:
        raise UnsuitableServerError(f"No way to get the options' probabilities works. {refusals}")
    fair = [one for one in heard if one.mass >= LOW_MASS]
    best = fair[0] if fair else max(heard, key=lambda one: one.mass)
    if best.mass < USELESS_MASS:
        raise UnsuitableServerError(
            f"Only {best.mass:.1%} of the probability lay on the options of a plain question: the "
            f"model begins its answer with “{best.first.first.strip()[:40]}”."
        )
    warnings = warnings_of(Route.TOP_TEXT, best.mass, 0.0)
    return Passport(
        server=await version_of(server),
        root=str(card.get("root", "")),
        context_tokens=reads,
        overhead_tokens=OVERHEAD,
        tokens={},
        routes={Route.TOP_TEXT.value: RouteReport("", "raw", at_most(best.noise))},
        route=Route.TOP_TEXT,
        mass=round(best.mass, 2),
        disagreement=0.0,
        warnings=tuple(warnings),
        prefill=best.prefill,
        switch=best.switch,
    )


def context_of_card(
    server: JsonServer, model: str, card: Mapping[str, Any], stated: int | None
) -> int:
    """Tokens that a model reads: what the server lists (vLLM, SGLang), and no more than stated.

    Raises `UnsuitableServerError` where neither says it.
    """
    there = card.get("max_model_len")
    known = [one for one in (there, stated) if type(one) is int and one > 0]
    if not known:
        raise UnsuitableServerError(
            f"{server.url} does not say how many tokens “{model}” can read: state it with "
            "--context. A server that is sent more may cut the prompt without a word."
        )
    return min(known)


async def _heard_all(server: JsonServer, model: str, prompt: Prompt) -> tuple[list[_Heard], str]:
    """What each way to begin the answer gave, and why those that failed did."""
    heard: list[_Heard] = []
    refusals = []
    for prefill in PREFILLS:
        is_continued = prefill == "continued"
        try:
            switch = await thinking_switch(
                server,
                model=model,
                turns=[Turn(_messages(prompt, prefill), CONTINUED if is_continued else {})],
            )
            body = _body(model, prompt, prefill, switch)
            first, again = [
                read_text_reply(await server.ask("/v1/chat/completions", body)) for _ in range(2)
            ]
            probabilities(Route.TOP_TEXT, QUESTION.options, call_of_text(first, prompt.symbols))
        except ServerAwayError:  # says nothing about the way
            raise
        except ValidatorError as error:
            refusals.append(f"{prefill}: {error}")
            continue
        heard.append(_Heard(prefill, switch, first, again))
    return heard, " ".join(refusals)


def _messages(prompt: Prompt, prefill: Prefill) -> list[dict[str, str]]:
    return prompt.messages()[:1] if prefill == "none" else prompt.messages()


def _body(model: str, prompt: Prompt, prefill: Prefill, switch: Switch) -> dict[str, Any]:
    body = request_body_of_text(model=model, messages=_messages(prompt, prefill))
    if prefill == "continued":
        body |= {"add_generation_prompt": False, "continue_final_message": True}
    return body | dict(switch)
