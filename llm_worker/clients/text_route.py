"""Probabilities from a server that names tokens by their text: the route `top_logprobs_text`.

OpenAI's chat format lists the likeliest first tokens, each with its text and, with most servers,
its bytes. An option counts where the whole text of a token is its digit, bare or after one space;
"10" and "1." are other tokens. An option that is not listed is at most as likely as the last token
that is, and all that is not listed together at most what the listed leave over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_worker.clients.option_routes import TOP, cached_tokens, log_probability, prompt_tokens
from llm_worker.errors import BadReplyError
from llm_worker.types import Call

ROUNDING = 1e-6
"""What the listed probabilities may sum to too much, in float32."""
_SPACES = str.maketrans({"\u2581": " ", "\u0120": " "})
"""How tokenizers write a space where a server shows their raw tokens."""


@dataclass(frozen=True, slots=True)
class TextReading:
    """What one reply says: probability by text of a token, the most that a token can have that is
    not listed, the likeliest text, and the prompt tokens it counted."""

    found: Mapping[str, float]
    at_most: float
    first: str
    prompt_tokens: int
    cached_tokens: int | None = None


def request_body_of_text(
    *, model: str, messages: Sequence[Mapping[str, str]], listed: int = TOP
) -> dict[str, Any]:
    """The chat request for one token, in OpenAI's format and nothing beyond it.

    The temperature is 1, so that the numbers are the model's own where a server gives those from
    after it; which token is drawn does not matter.
    """
    return {
        "model": model,
        "messages": list(messages),
        "max_tokens": 1,
        "temperature": 1.0,
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "logprobs": True,
        "top_logprobs": listed,
    }


def read_text_reply(reply: Any) -> TextReading:
    """The likeliest first tokens. Raises `BadReplyError` for any other shape."""
    try:
        (first, *_) = reply["choices"][0]["logprobs"]["content"]
        drawn = _entry(first)
        listed = [_entry(entry) for entry in first["top_logprobs"]]
        usage = reply["usage"]
        counted = usage["prompt_tokens"]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BadReplyError(
            f"The reply holds no log-probabilities of a first token ({type(error).__name__}: "
            f"{error})."
        ) from error
    tokens = prompt_tokens(counted)
    if not listed:
        raise BadReplyError("The reply lists no likely tokens (top_logprobs is empty).")
    every = listed if drawn in listed else [*listed, drawn]
    found: dict[str, float] = {}
    for text, share in every:
        found[text] = found.get(text, 0.0) + share
    total = math.fsum(found.values())
    if total > 1.0 + 1e-3:
        raise BadReplyError(f"The listed probabilities sum to {total:.3f}.")
    # The drawn token may be listed though it is not likely, so it bounds nothing.
    last = min((share for text, share in listed if (text, share) != drawn), default=1.0)
    at_most = min(last, max(1.0 - total, 0.0) + ROUNDING)
    first_text = max(every, key=lambda entry: entry[1])[0]
    return TextReading(found, at_most, first_text, tokens, cached_tokens(usage, tokens))


def call_of_text(reading: TextReading, symbols: Sequence[str]) -> Call:
    """The bounds on the probability of each symbol, in order."""
    low, high = [], []
    for symbol in symbols:
        written = (symbol, f" {symbol}")
        seen = math.fsum(reading.found.get(text, 0.0) for text in written)
        missing = sum(text not in reading.found for text in written)
        low.append(seen)
        high.append(seen + reading.at_most * missing)
    return Call(tuple(low), tuple(high))


def _entry(entry: Mapping[str, Any]) -> tuple[str, float]:
    """Text and probability of one listed token."""
    token, packed = entry["token"], entry.get("bytes")
    if not isinstance(token, str):
        raise TypeError(f"{str(token)[:40]!r} is no token")
    if isinstance(packed, list) and packed:
        text = bytes(packed).decode("utf-8", "replace")
    else:
        text = token.translate(_SPACES)
    return text, math.exp(log_probability(entry["logprob"]))
