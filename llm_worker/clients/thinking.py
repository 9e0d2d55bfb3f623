"""Models that think before they answer, and how they are kept from it.

The first token of such a model opens its thoughts, and says nothing of the options. Some chat
templates have a switch for it; a model that thinks all the same cannot serve the approach.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_worker.clients.json_server import JsonServer
from llm_worker.errors import BadReplyError, RequestRefusedError, UnsuitableServerError

Switch = Mapping[str, Any]
"""What a request carries to switch thinking off."""

NO_SWITCH: Switch = {}
CONTINUED: Mapping[str, Any] = {
    "add_generation_prompt": False,
    "continue_final_message": True,
    # A tag that is a special token would else be left out of the text.
    "skip_special_tokens": False,
}
WHOLE: Mapping[str, Any] = {"skip_special_tokens": False}
"""How a turn of the model's own is asked for."""
SWITCHES: tuple[Switch, ...] = (
    NO_SWITCH,
    # Templates read what they know: the first is of Qwen, the second of DeepSeek and Granite.
    {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}},
    {"reasoning_effort": "none"},
)
WORDS = 4
"""Tokens to look at: a tag may be several."""
_TAG = re.compile(
    r"\s*(<\|?/?(think|thinking|thought|reason|reasoning|analysis|channel)\b|\[think|◁think)", re.I
)


_OPENED = re.compile(
    r"(<\|?(?:think|thinking|thought|reason|reasoning)\|?>|\[think\]|◁think▷)\s*$", re.I
)
LAST = 16
"""Tokens of the template's end to look at."""


def opens_thoughts(text: str) -> bool:
    """Does an answer that starts like this start with thoughts?"""
    return bool(_TAG.match(text))


@dataclass(frozen=True, slots=True)
class Turn:
    """A place where a model could open its thoughts: what it is sent, and how it is continued."""

    messages: Sequence[Mapping[str, str]]
    settings: Mapping[str, Any]


async def thinking_switch(server: JsonServer, *, model: str, turns: Sequence[Turn]) -> Switch:
    """The first of `SWITCHES` with which `model` does not open its thoughts in any of `turns`.

    Raises `UnsuitableServerError` where it opens them whatever it is told.
    """
    heard = ""
    for switch in SWITCHES:
        try:
            said = [await _begins(server, model, turn, switch) for turn in turns]
        except RequestRefusedError:
            if not heard:
                raise
            continue  # this server does not know the switch
        thoughts = [one for one in said if opens_thoughts(one)]
        if not thoughts:
            return switch
        heard = thoughts[0]
    raise UnsuitableServerError(
        f"The model thinks before it answers (it begins with “{heard.strip()[:40]}”), and none of "
        "the usual switches keeps it from that: serve it with thinking off, or take another model."
    )


async def _begins(server: JsonServer, model: str, turn: Turn, switch: Switch) -> str:
    """The first words of `model` in this turn, after a tag with which its template opens it."""
    asked = {"model": model, "messages": list(turn.messages), **turn.settings, **switch}
    said = _said(
        await server.ask("/v1/chat/completions", {**asked, "max_tokens": WORDS, "temperature": 0.0})
    )
    opened = _OPENED.search(await _end_of_template(server, asked))
    return f"{opened[1]}{said}" if opened else said


async def _end_of_template(server: JsonServer, asked: Mapping[str, Any]) -> str:
    """The end of what the model reads of a chat; empty where the server does not tell.

    A template may open the thoughts itself: then the model does not write the tag.
    """
    known = ("model", "messages", "add_generation_prompt", "continue_final_message")
    body = {key: asked[key] for key in (*known, "chat_template_kwargs") if key in asked}
    try:
        read = await server.ask("/tokenize", body)
        last = {"model": asked["model"], "tokens": read["tokens"][-LAST:]}
        return str((await server.ask("/detokenize", last))["prompt"])
    except (RequestRefusedError, BadReplyError, TypeError, KeyError):
        return ""


def _said(reply: Any) -> str:
    """What the model wrote, its thoughts first where the server parts them from the answer."""
    try:
        message = reply["choices"][0]["message"]
        thoughts = message.get("reasoning_content") or message.get("reasoning")
        if thoughts:
            return f"<think>{thoughts}"
        return str(message.get("content") or "")
    except (TypeError, KeyError, IndexError, AttributeError):
        return ""
