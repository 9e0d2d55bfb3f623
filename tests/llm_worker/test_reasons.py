"""What is read of a reply that gives reasons, and what asks for them."""

from __future__ import annotations

from typing import Any

import pytest

from llm_worker.clients.text_approach import MAX_REASON, read_reason
from llm_worker.errors import BadReplyError
from llm_worker.prompts.build import build_prompt
from llm_worker.prompts.families import FAMILIES
from llm_worker.prompts.family import PromptFamily
from llm_worker.types import Candidate, ValidationRequest


def reply(content: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": content}}]}


def test_reasons_are_kept_as_text_without_control_characters() -> None:
    said = "  It says \x1b[31m“late”\x00,\u202e so option 1.\nNothing speaks for 2. "
    assert read_reason(reply(said)) == "It says [31m“late”, so option 1.\nNothing speaks for 2."
    assert read_reason(reply("<script>alert(1)</script>")) == "<script>alert(1)</script>"


def test_a_model_that_says_nothing_gives_no_reasons() -> None:
    assert read_reason(reply(None)) == ""
    assert read_reason(reply(" \n ")) == ""


def test_reasons_are_bounded() -> None:
    assert len(read_reason(reply("word " * 5000))) <= MAX_REASON + len("…")


@pytest.mark.parametrize("bad", [None, {}, {"choices": []}, {"choices": [{}]}, reply(5), [1]])
def test_another_shape_is_refused(bad: object) -> None:
    with pytest.raises(BadReplyError):
        read_reason(bad)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_the_question_is_the_same_and_reasons_are_asked_for_last(family: PromptFamily) -> None:
    cards = (Candidate(1, "late", "a late parcel"), Candidate(2, "refund", "money back"))
    prompt = build_prompt(family, ValidationRequest(1, "where is it", "multiclass", cards))
    (message,) = prompt.asking_why(family.explain)
    assert message["role"] == "user"
    assert message["content"].startswith(prompt.text)
    assert message["content"].endswith(f"\n\n{family.explain}")
