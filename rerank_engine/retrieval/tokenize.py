"""Words for BM25, in Latin, Cyrillic and other spaced scripts, and in Chinese and Japanese."""

from __future__ import annotations

import re
import unicodedata

# Scripts written without spaces: kana, Han (with extensions and compatibility forms).
CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(rf"[{CJK}]+|[^\W_{CJK}]+(?:['’][^\W_{CJK}]+)*")
_IS_CJK = re.compile(rf"[{CJK}]")


def tokenize(text: str) -> list[str]:
    """Search terms of a text: words in NFKC and case-folded.

    A run of CJK characters gives each character and each pair of neighbours, since the borders
    of its words are not written.
    """
    terms: list[str] = []
    for run in _RUN.findall(unicodedata.normalize("NFKC", text).casefold()):
        if _IS_CJK.match(run):
            terms.extend(run)
            terms.extend(run[i : i + 2] for i in range(len(run) - 1))
        else:
            terms.append(run.replace("’", "'"))
    return terms
