"""Words for BM25: stems of words in Latin, Cyrillic and other scripts, pairs of CJK characters."""

from __future__ import annotations

import re
import threading
import unicodedata
from functools import lru_cache
from typing import Any

TOKENS_VERSION = 2
"""Grows when the same text gives other terms: an index made before is then built anew."""

# Scripts written without spaces: kana, Han (with extensions and compatibility forms).
CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(rf"[{CJK}]+|[^\W_{CJK}]+(?:['’][^\W_{CJK}]+)*")
_IS_CJK = re.compile(rf"[{CJK}]")
_IS_CYRILLIC = re.compile("[\u0400-\u052f]")
_KNOWN_WORDS = 200_000
_stemmers = threading.local()


def tokenize(text: str) -> list[str]:
    """Search terms of a text: stems of its words in NFKC and case-folded.

    A Latin word is stemmed as English, a Cyrillic one as Russian, by the Snowball algorithms
    (Porter 2001); what that does to other languages, it does to text and query alike. A run of
    CJK characters gives each character and each pair of neighbours, since the borders of its words
    are not written.
    """
    terms: list[str] = []
    for run in _RUN.findall(unicodedata.normalize("NFKC", text).casefold()):
        if _IS_CJK.match(run):
            terms.extend(run)
            terms.extend(run[i : i + 2] for i in range(len(run) - 1))
        else:
            terms.append(_stem(run))
    return terms


@lru_cache(maxsize=_KNOWN_WORDS)
def _stem(word: str) -> str:
    stemmer = _stemmer("russian" if _IS_CYRILLIC.match(word) else "english")
    return str(stemmer.stemWord(word.replace("’", "'")))


def _stemmer(language: str) -> Any:
    """A stemmer of this thread's own: it holds the word it works on."""
    import snowballstemmer

    if not hasattr(_stemmers, language):
        setattr(_stemmers, language, snowballstemmer.stemmer(language))
    return getattr(_stemmers, language)
