"""Answers that a model reasons about in words: the text-approach, and notes before the options.

Tsymbalov (2025), section 3.3.1: the model reasons and ends with its answer, which is read from the
text. There is no probability in it: the option that was read counts as certain. Section 6.3: the
model reasons first, and the probabilities of the options are asked for with what it wrote.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_worker.clients.json_server import JsonServer
from llm_worker.clients.meter import MAX_COUNT
from llm_worker.clients.option_routes import cached_tokens, prompt_tokens
from llm_worker.clients.thinking import Switch
from llm_worker.errors import BadReplyError, UnreadableAnswerError
from llm_worker.options import distribution
from llm_worker.prompts.build import Prompt
from llm_worker.prompts.family import PromptFamily
from llm_worker.prompts.fence import shortened
from llm_worker.types import Call, ValidationRequest, ValidationResult

ROUTE = "text"
REASONING_TOKENS = 384
"""What reasoning may take, its answer line included."""
ANSWER_LINE_TOKENS = 16
ROOM = 2 * REASONING_TOKENS
"""Tokens kept free: for the reasoning, and for reading it again where its answer cannot be read."""
MAX_REASON = 2000

_TAG = "[ANSWER]"
_ANSWER = re.compile(r"\[ANSWER\] ?([0-9])")
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model wrote, whether it came to its end, the tokens it read, how many of them a
    prefix cache held, and the tokens it wrote (None where the server does not say)."""

    text: str
    is_whole: bool
    prompt_tokens: int
    cached_tokens: int | None = None
    written_tokens: int | None = None


async def ask_in_words(
    server: JsonServer,
    request: ValidationRequest,
    *,
    model: str,
    prompt: Prompt,
    family: PromptFamily,
    switch: Switch,
) -> ValidationResult:
    """The answer that the model came to in words, asked once more for the answer line alone where
    its reply holds none. `switch` keeps it from thinking elsewhere than in its reply.

    Raises `UnreadableAnswerError` where there is none then either: nothing is guessed.
    """
    first = await written(server, model, prompt.messages(), at_most=REASONING_TOKENS, switch=switch)
    symbol, replies = answer_in(first, prompt.symbols), [first]
    if symbol is None:
        messages = prompt.asking_again(family, first.text)
        second = await written(server, model, messages, at_most=ANSWER_LINE_TOKENS, switch=switch)
        replies.append(second)
        symbol = answer_in(second, prompt.symbols)
        if symbol is None or len(second.text.strip().splitlines()) > 1:
            raise UnreadableAnswerError(
                "The reply of the model does not end with one answer line such as “[ANSWER] 1”, "
                "nor did it write one when it was asked for that line alone."
            )
    chosen = [float(one == symbol) for one in prompt.symbols]
    unknown = Call((0.0,) * len(chosen), (1.0,) * len(chosen), prompt.cut)
    return ValidationResult(
        task_id=request.task_id,
        question=request.question,
        probabilities=distribution(request.options, chosen),
        latency_ms=0.0,
        tokens=sum(reply.prompt_tokens for reply in replies),
        cached_tokens=known_sum(*(reply.cached_tokens for reply in replies)),
        written_tokens=known_sum(*(reply.written_tokens for reply in replies)),
        prompt_hash=prompt.hash,
        route=ROUTE,
        text_was_cut="text" in prompt.cut,
        calls=(unknown,),
        reasoning=without_answer(first.text),
    )


async def written(
    server: JsonServer,
    model: str,
    messages: Sequence[Mapping[str, str]],
    *,
    at_most: int,
    switch: Switch,
) -> Reply:
    """What `model` writes to `messages`, its likeliest words, in up to `at_most` tokens."""
    body = {
        "model": model,
        "messages": list(messages),
        "max_tokens": at_most,
        "temperature": 0.0,
        **switch,
    }
    return read_words(await server.ask("/v1/chat/completions", body))


def answer_in(reply: Reply, symbols: Sequence[str]) -> str | None:
    """The digit on the last line of a whole reply, if that line is the answer, the only one, and
    offered; None where anything is in doubt."""
    lines = [line.strip() for line in reply.text.strip().splitlines()]
    if not reply.is_whole or sum(line.count(_TAG) for line in lines) != 1:
        return None
    found = _ANSWER.fullmatch(lines[-1])
    return found[1] if found is not None and found[1] in symbols else None


def without_answer(text: str) -> str:
    """Reasoning without the lines that give the answer, bounded and without control characters."""
    return kept("\n".join(line for line in text.splitlines() if _TAG not in line))


def read_words(reply: Any) -> Reply:
    """Raises `BadReplyError` for anything but a chat reply with a text or nothing."""
    try:
        choice = reply["choices"][0]
        content, finish = choice["message"]["content"], choice.get("finish_reason")
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise BadReplyError("The reply holds no message.") from error
    if content is not None and not isinstance(content, str):
        raise BadReplyError("The message of the reply is no text.")
    usage = reply.get("usage") or {}
    if not isinstance(usage, dict):
        raise BadReplyError("The reply does not count tokens as it should.")
    tokens, wrote = prompt_tokens(usage.get("prompt_tokens", 0)), usage.get("completion_tokens")
    plausible = type(wrote) is int and 0 <= wrote <= MAX_COUNT
    return Reply(
        content or "",
        finish == "stop",
        tokens,
        cached_tokens(usage, tokens),
        wrote if plausible else None,
    )


def known_sum(*counts: int | None) -> int | None:
    """The sum of counts; None where one of them is not known."""
    return None if None in counts else sum(count or 0 for count in counts)


def read_reason(reply: Any) -> str:
    """The text of a chat reply, fit for a page; empty where the model said nothing.

    Raises `BadReplyError` for another shape.
    """
    return kept(read_words(reply).text)


def kept(text: str) -> str:
    """`text` without control characters, cut after `MAX_REASON` characters."""
    shown = "".join(char for char in text if char == "\n" or not _is_control(char))
    return shortened(shown.strip(), MAX_REASON)[0]


def _is_control(char: str) -> bool:
    """What must not reach a page: controls, and marks that turn the direction of what follows."""
    return unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn") or char in _BIDI
