"""Ask a server what it can do before any text of a project is sent to it.

What a server's documentation says of its log-probabilities is not taken on trust: each route is
tried, twice, on a question of our own.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from llm_worker.clients.json_server import JsonServer
from llm_worker.clients.option_routes import (
    SERVER_ROUTES,
    Reading,
    Route,
    Tokens,
    call_of,
    probabilities,
    read_reply,
    request_body,
)
from llm_worker.clients.passport import Passport, RouteReport
from llm_worker.clients.thinking import CONTINUED, NO_SWITCH, WHOLE, Switch, Turn, thinking_switch
from llm_worker.errors import (
    BadReplyError,
    RequestRefusedError,
    ServerAwayError,
    UnsuitableServerError,
    ValidatorError,
)
from llm_worker.prompts.build import PREFILL, Prompt, build_prompt
from llm_worker.prompts.family import PromptFamily
from llm_worker.types import Candidate, OptionProbabilities, ValidationRequest

SYMBOLS = tuple("123450")
WRITTEN = tuple(tuple(space + symbol for symbol in SYMBOLS) for space in ("", " "))
"""The ways to write the digits: bare, and with a space before each."""
ROOM_FOR_TEXT = 256
LOW_MASS = 0.5
FAR_APART = 0.02
THINKS_IN_WORDS = (
    "Where its answer is not begun for it, the model thinks first, and none of the usual switches "
    "keeps it from that: notes and reasons in words may be thoughts that were cut off."
)

QUESTION = ValidationRequest(
    task_id=0,
    text="I forgot my password and cannot sign in any more.",
    question="multiclass",
    candidates=tuple(
        Candidate(place, name, description)
        for place, (name, description) in enumerate(
            (
                ("lost password", "Somebody cannot sign in because of a forgotten password."),
                ("late parcel", "A parcel that should have arrived has not."),
                ("refund", "When money for a returned order comes back."),
                ("opening hours", "When a shop or an office is open."),
                ("weather", "What the weather is like."),
            ),
            start=1,
        )
    ),
)


@dataclass(frozen=True, slots=True)
class _Tried:
    """What trying one route gave: a report, and the answer where it works."""

    report: RouteReport
    answer: OptionProbabilities | None = None
    is_exact: bool = False


@dataclass(frozen=True, slots=True)
class _Ask:
    """The question of our own, and all it takes to ask it."""

    server: JsonServer
    model: str
    prompt: Prompt
    tokens: Tokens
    switch: Switch

    async def by(self, route: Route, tokens: Tokens) -> Reading:
        body = request_body(route, model=self.model, messages=self.prompt.messages(), tokens=tokens)
        return read_reply(await self.server.ask("/v1/chat/completions", body | dict(self.switch)))


async def probe(
    server: JsonServer, *, model: str, family: PromptFamily, domain: str = ""
) -> Passport:
    """The passport of `model` behind `server`, for prompts of `family` that start with `domain`.

    Raises `UnsuitableServerError` with the reason where the server cannot serve the approach,
    and `ValidatorUnavailableError` where it cannot be asked now.
    """
    prompt = probe_prompt(family, domain)
    try:
        root, context = await served(server, model)
        switch, thinks = await _without_thinking(server, model=model, family=family)
        tokens, prompt_tokens = await option_tokens(
            server, model=model, prompt=prompt, switch=switch
        )
        overhead = await _overhead(server, model=model, prompt=prompt, prompt_tokens=prompt_tokens)
        check_room(context, prompt_tokens)
        ask = _Ask(server, model, prompt, tokens, switch)
        tried = {route: await _try(ask, route) for route in SERVER_ROUTES}
    except (RequestRefusedError, BadReplyError) as error:
        raise UnsuitableServerError(str(error)) from error
    works = [route for route in SERVER_ROUTES if tried[route].answer is not None]
    if not works:
        reasons = " ".join(f"{route}: {tried[route].report.refusal}" for route in SERVER_ROUTES)
        raise UnsuitableServerError(f"No way to get the options' probabilities works. {reasons}")
    best = tried[works[0]].answer
    mass = best.mass if best is not None and works[0].knows_mass else None
    disagreement = _disagreement(list(tried.values()))
    return Passport(
        server=await version_of(server),
        root=root,
        context_tokens=context,
        overhead_tokens=overhead,
        tokens=tokens,
        routes={route.value: tried[route].report for route in SERVER_ROUTES},
        route=works[0],
        mass=None if mass is None else round(mass, 2),
        disagreement=at_most(disagreement),
        warnings=(*thinks, *warnings_of(works[0], mass, disagreement)),
        switch=switch,
    )


async def _without_thinking(
    server: JsonServer, *, model: str, family: PromptFamily
) -> tuple[Switch, tuple[str, ...]]:
    """What keeps the model from thinking first, where its answer is begun and in a turn of its own
    (answers and reasons in words); and what to say where it is kept from it in the first alone.

    Raises `UnsuitableServerError` where it thinks first wherever the family has it answer.
    """
    # Without the domain: whether there is room for it is not known yet.
    prompt = probe_prompt(family)
    begun = Turn(prompt.messages(PREFILL), CONTINUED)
    own = Turn(prompt.messages(""), WHOLE)
    try:
        return await thinking_switch(server, model=model, turns=[begun, own]), ()
    except UnsuitableServerError:
        if family.answers_in_words:
            raise
        return await thinking_switch(server, model=model, turns=[begun]), (THINKS_IN_WORDS,)


def probe_prompt(family: PromptFamily, domain: str = "") -> Prompt:
    """The question of our own, in the words of `family`."""
    return build_prompt(family, QUESTION, domain=domain)


async def listed_card(server: JsonServer, model: str) -> Mapping[str, Any]:
    """What the server lists of `model`.

    Raises `UnsuitableServerError` if it does not list the model, naming those it does.
    """
    listed = await server.ask("/v1/models")
    try:
        cards = {card["id"]: card for card in listed["data"]}
    except (KeyError, TypeError) as error:
        raise BadReplyError(f"{server.url} does not list its models.") from error
    if model not in cards:
        there = ", ".join(str(name)[:80] for name in list(cards)[:10]) or "none"
        raise UnsuitableServerError(
            f"{server.url} does not serve the model “{model}”; it serves {there}."
        )
    card: Mapping[str, Any] = cards[model]
    return card


async def served(server: JsonServer, model: str) -> tuple[str, int]:
    """Where the weights of `model` come from, as the server says, and how many tokens it can read.

    Raises `UnsuitableServerError` as `listed_card`.
    """
    card = await listed_card(server, model)
    context = card.get("max_model_len")
    if not isinstance(context, int) or context <= 0:
        raise UnsuitableServerError(
            f"{server.url} does not say how many tokens “{model}” can read (max_model_len)."
        )
    return str(card.get("root", "")), context


async def option_tokens(
    server: JsonServer, *, model: str, prompt: Prompt, switch: Switch = NO_SWITCH
) -> tuple[Tokens, int]:
    """The tokens of each digit after the begun answer, and how many tokens the prompt has.

    A digit counts where, in its place, it is exactly one more token than the answer begun. The way
    of writing it (bare, or with a space before it) is used if it holds for every digit.

    Raises `UnsuitableServerError` if it holds for neither, or the template ends the begun answer.
    """
    ids = await count(server, model, prompt, switch=switch)
    longer: dict[str, list[int]] = {}
    for written in WRITTEN:
        counted = await asyncio.gather(
            *(count(server, model, prompt, PREFILL + digit, switch=switch) for digit in written)
        )
        longer |= zip(written, counted, strict=True)
    return tokens_from(ids, longer), len(ids)


def tokens_from(begun: list[int], longer: Mapping[str, list[int]]) -> Tokens:
    """The tokens of each digit, from the tokens of a prompt with the answer begun and with it going
    on by each of `WRITTEN`. Raises as `option_tokens`."""
    tokens: dict[str, dict[str, int]] = {symbol: {} for symbol in SYMBOLS}
    for written in WRITTEN:
        own = [longer[digit] for digit in written]
        if any(len(one) != len(begun) + 1 or one[:-1] != begun for one in own):
            continue
        last = [one[-1] for one in own]
        known = {token for there in tokens.values() for token in there.values()}
        if len(set(last)) == len(SYMBOLS) and not known & set(last):
            for symbol, digit, token in zip(SYMBOLS, written, last, strict=True):
                tokens[symbol][digit] = token
    if not tokens[SYMBOLS[0]]:
        raise UnsuitableServerError(
            f"After the begun answer {PREFILL} the digits are not one token each. Either the "
            "tokenizer splits them, or the chat template ends an answer that was only begun."
        )
    return tokens


async def count(
    server: JsonServer,
    model: str,
    prompt: Prompt,
    prefill: str | None = PREFILL,
    *,
    switch: Switch = NO_SWITCH,
) -> list[int]:
    """The token ids of a prompt with a begun answer, from the server's own tokenizer; without
    `prefill` those of the prompt as it is sent."""
    messages = prompt.messages(prefill)
    is_begun = messages[-1]["role"] == "assistant"
    body = {
        "model": model,
        "messages": messages,
        "add_generation_prompt": not is_begun,
        "continue_final_message": is_begun,
        **switch,
    }
    reply = await server.ask("/tokenize", body)
    ids = reply.get("tokens") if isinstance(reply, dict) else None
    if not isinstance(ids, list) or not all(type(token) is int for token in ids):
        raise BadReplyError(f"{server.url} gives no token ids at /tokenize.")
    return ids


async def _overhead(server: JsonServer, *, model: str, prompt: Prompt, prompt_tokens: int) -> int:
    """Tokens that the chat template and the begun answer add to the text of a prompt."""
    reply = await server.ask(
        "/tokenize", {"model": model, "prompt": prompt.text, "add_special_tokens": False}
    )
    bare = reply.get("count") if isinstance(reply, dict) else None
    if not isinstance(bare, int):
        raise BadReplyError(f"{server.url} does not count tokens at /tokenize.")
    return max(prompt_tokens - bare, 0)


def check_room(context: int, prompt_tokens: int) -> None:
    least = prompt_tokens + ROOM_FOR_TEXT
    if context < least:
        raise UnsuitableServerError(
            f"The model reads {context} tokens at a time; with the project's introduction and "
            f"guidelines a question needs at least {least} (--max-model-len)."
        )


async def _try(ask: _Ask, route: Route) -> _Tried:
    """Ask the same question twice by `route`, and see what its numbers are."""
    try:
        readings = [await ask.by(route, ask.tokens) for _ in range(2)]
        symbols = ask.prompt.symbols
        calls = [call_of(route, reading, ask.tokens, symbols) for reading in readings]
        answer = probabilities(route, QUESTION.options, calls[0])
        if route is Route.CHOICE:
            await _check_mask(ask, calls[0].low)
    except ServerAwayError:  # says nothing about the route
        raise
    except ValidatorError as error:
        return _Tried(RouteReport(str(error)))
    values = "masked" if route is Route.CHOICE else "raw"
    report = RouteReport("", values, at_most(noise_of(*readings)))
    return _Tried(report, answer, is_exact=calls[0].low == calls[0].high)


async def _check_mask(ask: _Ask, likely: Sequence[float]) -> None:
    """Hold the answer to the two unlikeliest digits: only masked numbers sum to 1 over these.

    Over all options even raw numbers do, where the model wants to say nothing else.
    """
    ranked = sorted(zip(likely, ask.prompt.symbols, strict=True))
    least = {symbol: ask.tokens[symbol] for _likely, symbol in ranked[:2]}
    reading = await ask.by(Route.CHOICE, least)
    outside = {token for own in ask.tokens.values() for token in own.values()} - {
        token for own in least.values() for token in own.values()
    }
    leaked = math.fsum(math.exp(reading.found[one]) for one in outside & set(reading.found))
    if leaked > FAR_APART:
        raise BadReplyError("The numbers of a held answer are those from before the mask.")
    call_of(Route.CHOICE, reading, least, list(least))


async def version_of(server: JsonServer) -> str:
    """What the server says it is; not all do."""
    try:
        reply = await server.ask("/version")
    except ValidatorError:
        return ""
    return str(reply.get("version", ""))[:60] if isinstance(reply, dict) else ""


def noise_of(first: Reading, second: Reading) -> float:
    """How far a log-probability moved between two equal calls, in nats."""
    both = set(first.found) & set(second.found)
    return max((abs(first.found[one] - second.found[one]) for one in both), default=0.0)


def _disagreement(tried: Sequence[_Tried]) -> float:
    """The largest difference between the probabilities that two routes tell exactly."""
    answers = [one.answer for one in tried if one.answer is not None and one.is_exact]
    return max(
        (
            abs(one - other)
            for first, second in combinations(answers, 2)
            for one, other in zip(first.probabilities, second.probabilities, strict=True)
        ),
        default=0.0,
    )


def at_most(value: float) -> float:
    """The next power of ten, at least 1e-6: probing again must not look like another server."""
    return 10.0 ** max(math.ceil(math.log10(value)), -6) if value > 1e-6 else 1e-6


def warnings_of(route: Route, mass: float | None, disagreement: float) -> list[str]:
    said = []
    if mass is not None and mass < LOW_MASS:
        said.append(
            f"Only {mass:.0%} of the probability lay on the options of a plain question: the model "
            "wants to say something else than a digit."
        )
    if not route.knows_mass:
        said.append("How likely the options were among all tokens cannot be known on this server.")
    if not route.is_exact:
        said.append("Options that are not among the likeliest tokens are known by a bound only.")
    if disagreement > FAR_APART:
        said.append(f"The routes differ by up to {disagreement:.2f} on the same question.")
    return said
