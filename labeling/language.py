"""Which language a text is in, as far as it was said or its letters tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("uk", re.compile(r"[іїєґІЇЄҐ]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
)
_LETTERS = re.compile(r"[^\W\d_]")
_ENOUGH = 0.3
_RIGHT_TO_LEFT = frozenset({"ar", "he"})


def language_of(text: str) -> str:
    """A language tag for `lang`, or "" (unknown) where letters do not tell, as with Latin ones.

    The first script that makes up three in ten letters wins; one kana or Ukrainian letter in
    such a text is enough to tell Japanese from Chinese and Ukrainian from Russian.
    """
    if text.isascii():
        return ""
    letters = len(_LETTERS.findall(text))
    if not letters:
        return ""
    shares = {tag: len(script.findall(text)) / letters for tag, script in _SCRIPTS}
    if shares["zh"] >= _ENOUGH and shares["ja"] > 0:
        return "ja"
    if shares["ru"] >= _ENOUGH:
        return "uk" if shares["uk"] > 0 else "ru"
    return next((tag for tag, share in shares.items() if share >= _ENOUGH), "")


_TAG = re.compile(r"([a-zA-Z]{2,3})(?:[-_][a-zA-Z0-9_-]*)?")
_LONGEST = 40


def tag_of(given: object) -> str:
    """The language of a tag such as “pt-BR”, without region and script: “pt”. "" for what is no
    tag."""
    if not isinstance(given, str) or len(given) > _LONGEST:
        return ""
    found = _TAG.fullmatch(given.strip())
    return found[1].lower() if found else ""


def language_given(text: str, metadata: Mapping[str, Any]) -> str:
    """What the metadata call the text's “language”, else what its letters tell; "" is unknown."""
    return tag_of(metadata.get("language")) or language_of(text)


def direction_of(language: str) -> str:
    """A value for `dir`. A text in a script that runs from right to left does so though it begins
    with a Latin name; of others the browser looks at the first letter."""
    return "rtl" if language in _RIGHT_TO_LEFT else "auto"
