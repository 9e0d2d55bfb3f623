"""The ways to learn from a server how likely each option is as the first token of the answer.

An option is a digit, and a digit may be two tokens: with and without a space before it. Both mean
the option, so their probabilities are added (methods: arXiv 2509.15020). The routes, best first:

- `logprob_token_ids`: the server tells the log-probabilities of exactly the tokens asked for.
- `structured_choice_masked`: the answer is held to the options, and the probabilities are those
  after the mask. In proportion they are the same; how likely the options were among all other
  tokens is lost, so the mass on the options is not known and stands as 1.
- `top_logprobs`: the likeliest tokens of the vocabulary. An option that is not among them is at
  most as likely as the last of them: that much is known, and stored.

Other clients than that of a vLLM server have one route each:

- `forward_pass`: the model is computed here; every probability is known.
- `top_logprobs_text`: as `top_logprobs`, but the server tells the text of a token and not its id.
- `decisions`: the server was made to give a probability to each choice; how likely the choices
  were among everything else it does not tell, so the mass stands as 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from llm_worker.clients.meter import MAX_COUNT
from llm_worker.errors import BadReplyError, InvalidRequestError
from llm_worker.options import distribution
from llm_worker.types import Call, OptionProbabilities

TOP = 20
"""As many tokens as a server lists unless it is told otherwise (`--max-logprobs`)."""
MASKED_SUM = 0.99
_ABOVE_ZERO = 1e-3
_TOKEN = "token_id:"

Tokens = Mapping[str, Mapping[str, int]]
"""Symbol of an option to its tokens: how each is written (bare, with a space), and its id."""


class Route(StrEnum):
    TOKEN_IDS = "logprob_token_ids"
    CHOICE = "structured_choice_masked"
    TOP = "top_logprobs"
    FORWARD = "forward_pass"
    TOP_TEXT = "top_logprobs_text"
    DECISIONS = "decisions"

    @property
    def knows_mass(self) -> bool:
        """Can this route say how likely the options were among everything else?"""
        return self not in (Route.CHOICE, Route.DECISIONS)

    @property
    def is_exact(self) -> bool:
        """Is no option known by a bound only?"""
        return self not in (Route.TOP, Route.TOP_TEXT)


SERVER_ROUTES = (Route.TOKEN_IDS, Route.CHOICE, Route.TOP)
"""The routes of a vLLM server, best first."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reply says: log-probability by token id, the prompt tokens it counted, and how many
    of them a prefix cache held (None where it does not say)."""

    found: Mapping[int, float]
    prompt_tokens: int
    cached_tokens: int | None = None


def request_body(
    route: Route, *, model: str, messages: Sequence[Mapping[str, str]], tokens: Tokens
) -> dict[str, Any]:
    """The chat request for one token that continues the last message.

    Every sampling setting is given, for a server may take others from the model's own defaults.
    """
    ids = [token for own in tokens.values() for token in own.values()]
    more: dict[str, Any]
    if route is Route.TOKEN_IDS:
        more = {"logprob_token_ids": ids}
    elif route is Route.CHOICE:
        # One more than there are tokens: a space alone may begin an answer, too.
        more = {
            "top_logprobs": min(len(ids) + 1, TOP),
            "structured_outputs": {
                "choice": [written for own in tokens.values() for written in own]
            },
        }
    else:
        more = {"top_logprobs": TOP}
    return {
        "model": model,
        "messages": list(messages),
        "add_generation_prompt": False,
        "continue_final_message": True,
        "max_tokens": 1,
        "temperature": 0.0,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "logprobs": True,
        "return_tokens_as_token_ids": True,
        **more,
    }


def read_reply(reply: Any) -> Reading:
    """The log-probabilities of the first token. Raises `BadReplyError` for any other shape."""
    try:
        (first, *_) = reply["choices"][0]["logprobs"]["content"]
        listed = [first, *first["top_logprobs"]]
        found = {_token_id(entry["token"]): log_probability(entry["logprob"]) for entry in listed}
        usage = reply["usage"]
        counted = usage["prompt_tokens"]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BadReplyError(
            f"The reply holds no log-probabilities of a first token ({type(error).__name__}: "
            f"{error})."
        ) from error
    tokens = prompt_tokens(counted)
    return Reading(found, tokens, cached_tokens(usage, tokens))


def prompt_tokens(counted: Any) -> int:
    """The tokens of a prompt as a server counts them. Raises `BadReplyError` for what is none."""
    if type(counted) is not int or not 0 <= counted <= MAX_COUNT:
        raise BadReplyError(f"The reply counts {repr(counted)[:40]} tokens in the prompt.")
    return counted


def cached_tokens(usage: Mapping[str, Any], read: int) -> int | None:
    """How many of the `read` tokens of a prompt a prefix cache held; None where the server does not
    say, or says what cannot be true. A count for the accounts is no reason to throw an answer away.

    vLLM says it with `--enable-prompt-tokens-details`.
    """
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    if type(cached) is int and 0 <= cached <= read:
        return cached
    return None


def call_of(route: Route, reading: Reading, tokens: Tokens, symbols: Sequence[str]) -> Call:
    """The bounds on the probability of each symbol, in order.

    Raises `BadReplyError` where the reply lacks what the route promises.
    """
    found = reading.found
    wanted = [token for symbol in symbols for token in tokens[symbol].values()]
    missing = [token for token in wanted if token not in found]
    if missing and route is Route.TOKEN_IDS:
        raise BadReplyError(f"The reply leaves out tokens that were asked for: {missing}.")
    total = math.fsum(math.exp(value) for value in found.values())
    if route is Route.CHOICE and total < MASKED_SUM:
        raise BadReplyError(
            f"The listed probabilities sum to {total:.3f}: the server does not hold the answer to "
            "the options."
        )
    at_most = math.exp(min(found.values()))
    low, high = [], []
    for symbol in symbols:
        own = tokens[symbol].values()
        seen = math.fsum(math.exp(found[token]) for token in own if token in found)
        low.append(seen)
        high.append(seen + at_most * sum(token not in found for token in own))
    if math.fsum(low) > 1.0 + _ABOVE_ZERO:
        raise BadReplyError(f"The probabilities of the options sum to {math.fsum(low):.3f}.")
    return Call(tuple(low), tuple(high))


def probabilities(route: Route, options: tuple[str, ...], call: Call) -> OptionProbabilities:
    """The options' probabilities in proportion to what the call tells.

    An option that the server did not list counts with the most it can have, so that the others
    look no surer than they are. The mass is that of what was listed.
    """
    weights = [low if low > 0.0 else high for low, high in zip(call.low, call.high, strict=True)]
    try:
        answer = distribution(options, weights)
    except InvalidRequestError as error:
        raise BadReplyError(f"The probabilities of the options are unusable: {error}") from error
    return replace(answer, mass=min(math.fsum(call.low), 1.0) if route.knows_mass else 1.0)


def _token_id(token: object) -> int:
    if not isinstance(token, str) or not token.startswith(_TOKEN):
        raise ValueError(f"{str(token)[:40]!r} is no token id")
    return int(token.removeprefix(_TOKEN))


def log_probability(value: object) -> float:
    """A number that can be one. Raises `ValueError` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no log-probability")
    if value > _ABOVE_ZERO:
        raise ValueError(f"{value} is above 0, so it is a logit and no log-probability")
    return min(float(value), 0.0)
