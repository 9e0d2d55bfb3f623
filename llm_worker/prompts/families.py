"""The prompt families there are: one for each approach and language, each with a version.

They follow Tsymbalov (2025, sections 3.3 and 3.6.2, appendix A): what the job is, how to answer,
what the blocks hold. A family asks both questions, so these are the paper's four prompts (binary
and multi-class, by first token and in words) in three languages. They are written anew: no bonuses
are promised, and content is announced as data. A change of a word is a new version, for it changes
what a model answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from llm_worker.errors import InvalidRequestError
from llm_worker.prompts import words_en, words_ru, words_zh
from llm_worker.prompts.family import PromptFamily
from llm_worker.prompts.settings import Approach

ENGLISH, RUSSIAN, CHINESE = words_en.PROB, words_ru.PROB, words_zh.PROB
NEWEST: Mapping[str, Mapping[str, PromptFamily]] = {
    "prob": {"en": ENGLISH, "ru": RUSSIAN, "zh": CHINESE},
    "text": {"en": words_en.TEXT, "ru": words_ru.TEXT, "zh": words_zh.TEXT},
}
"""By approach and language, the version that a validator registered now is given."""
FAMILIES: Mapping[str, PromptFamily] = {
    family.key: family for by_language in NEWEST.values() for family in by_language.values()
}


def newest_family(approach: Approach, language: str) -> PromptFamily:
    """The words for `approach`: notes before the options are asked for in those of `prob`."""
    return NEWEST["text" if approach is Approach.TEXT else "prob"][language]


def family_of(key: str) -> PromptFamily:
    """The family that `key` names. Raises `InvalidRequestError` naming those there are."""
    try:
        return FAMILIES[key]
    except KeyError:
        there = ", ".join(FAMILIES)
        raise InvalidRequestError(f"There is no prompt family {key}; here are {there}.") from None
