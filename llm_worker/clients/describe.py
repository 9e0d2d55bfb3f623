"""Descriptions of labels in words, from a chat model behind a server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from llm_worker.clients.json_server import JsonServer
from llm_worker.clients.text_approach import read_reason
from llm_worker.errors import BadReplyError, RequestRefusedError
from llm_worker.prompts.describe import Undescribed, description_in, description_prompt

DESCRIPTION_TOKENS = 120

log = logging.getLogger(__name__)


def describe(
    labels: Sequence[Undescribed], *, url: str, model: str, api_key: str | None
) -> dict[int, str]:
    """Descriptions by label id, of those labels for which the model wrote a usable one.

    A call for each label. Raises `ServerAwayError` or `ValidatorUnavailableError` where the server
    does not answer, `InvalidRequestError` for a URL that is none.
    """
    return asyncio.run(_describe(labels, url, model, api_key))


async def _describe(
    labels: Sequence[Undescribed], url: str, model: str, api_key: str | None
) -> dict[int, str]:
    async with JsonServer(url, api_key=api_key) as server:
        found = await asyncio.gather(*(_one(server, model, label) for label in labels))
    return {label.label_id: text for label, text in zip(labels, found, strict=True) if text}


async def _one(server: JsonServer, model: str, label: Undescribed) -> str:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": description_prompt(label)}],
        "max_tokens": DESCRIPTION_TOKENS,
        "temperature": 0.0,
    }
    async with server.turn:
        try:
            reply = read_reason(await server.ask("/v1/chat/completions", body))
        except (RequestRefusedError, BadReplyError) as error:
            log.warning("Label %s has no description: %s", label.label_id, error)
            return ""
    return description_in(reply, label)
