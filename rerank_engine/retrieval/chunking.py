"""Documents into passages that begin and end at the borders of sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rerank_engine.retrieval.tokenize import CJK

PASSAGE_WORDS = 120
OVERLAP_WORDS = 25

# A sentence ends after its mark and a space, after a CJK mark, or with its line.
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'»”’)\]]*\s+|(?<=[。！？；])|\n+")
_WORD = re.compile(rf"[{CJK}]|[^\s{CJK}]+")


@dataclass(frozen=True)
class Span:
    """Characters `start` to `end` (exclusive) of a document's text, with `words` words."""

    start: int
    end: int
    words: int


def split_passages(
    text: str, *, words: int = PASSAGE_WORDS, overlap: int = OVERLAP_WORDS
) -> list[Span]:
    """Passages of at most `words` words, each repeating up to `overlap` words of the one before.

    Whole sentences are kept together; only a sentence longer than a passage is cut, at a word.
    A CJK character counts as a word. Spans hold no outer spaces; a blank text has none.
    """
    if not 0 <= overlap < words:
        raise ValueError("The overlap must be shorter than a passage.")
    passages: list[Span] = []
    current: list[Span] = []
    for sentence in _sentences(text, words):
        if current and sum(part.words for part in current) + sentence.words > words:
            passages.append(_join(current))
            current = _tail(current, min(overlap, words - sentence.words))
        current.append(sentence)
    if current:
        passages.append(_join(current))
    return passages


def _sentences(text: str, limit: int) -> list[Span]:
    spans: list[Span] = []
    start = 0
    for border in [*(match.end() for match in _SENTENCE_END.finditer(text)), len(text)]:
        found = [match.span() for match in _WORD.finditer(text, start, border)]
        for first in range(0, len(found), limit):
            part = found[first : first + limit]
            spans.append(Span(part[0][0], part[-1][1], len(part)))
        start = border
    return spans


def _join(parts: list[Span]) -> Span:
    return Span(parts[0].start, parts[-1].end, sum(part.words for part in parts))


def _tail(parts: list[Span], room: int) -> list[Span]:
    """The last whole sentences that fit into `room` words, never all of them."""
    kept: list[Span] = []
    for part in reversed(parts[1:]):
        if part.words > room:
            break
        room -= part.words
        kept.insert(0, part)
    return kept
