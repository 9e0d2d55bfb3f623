"""Models that think before they answer, and how they are kept from it.

The first token of such a model opens its thoughts, and says nothing of the options. Some chat
templates have a switch for it; a model that thinks all the same cannot serve the approach.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from llm_worker.clients.json_server import JsonServer
from llm_worker.errors import RequestRefusedError, UnsuitableServerError

Switch = Mapping[str, Any]
"""What a request carries to switch thinking off."""

NO_SWITCH: Switch = {}
CONTINUED: Mapping[str, Any] = {
    "add_generation_prompt": False,
    "continue_final_message": True,
    # A tag that is a special token would else be left out of the text.
    "skip_special_tokens": False,
}
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


def opens_thoughts(text: str) -> bool:
    """Does an answer that starts like this start with thoughts?"""
    return bool(_TAG.match(text))


async def thinking_switch(
    server: JsonServer,
    *,
    model: str,
    messages: Sequence[Mapping[str, str]],
    settings: Mapping[str, Any] = CONTINUED,
) -> Switch:
    """The first of `SWITCHES` with which `model` does not open its thoughts after `messages`.

    `settings` say how the last message is continued. Raises `UnsuitableServerError` where it opens
    them whatever it is told.
    """
    heard = ""
    for switch in SWITCHES:
        body = {
            "model": model,
            "messages": list(messages),
            "max_tokens": WORDS,
            "temperature": 0.0,
            **settings,
            **switch,
        }
        try:
            said = _said(await server.ask("/v1/chat/completions", body))
        except RequestRefusedError:
            if not heard:
                raise
            continue  # this server does not know the switch
        if not opens_thoughts(said):
            return switch
        heard = said
    raise UnsuitableServerError(
        f"The model thinks before it answers (it begins with “{heard.strip()[:40]}”), and none of "
        "the usual switches keeps it from that: serve it with thinking off, or take another model."
    )


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
