"""Documents into passages that begin and end at the borders of paragraphs and sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rerank_engine.retrieval.tokenize import CJK

PASSAGE_WORDS = 150
OVERLAP_WORDS = 30
WORD_LETTERS = 8

_PARAGRAPH_END = re.compile(r"\n[^\S\n]*\n\s*")
# A sentence ends after its mark and a space, after a CJK mark, or with its line.
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'»”’)\]]*\s+|(?<=[。！？；])|\n+")
_WORD = re.compile(rf"[{CJK}]|[^\W_{CJK}]{{1,{WORD_LETTERS}}}|[^\w\s]|_")


@dataclass(frozen=True)
class Span:
    """Characters `start` to `end` (exclusive) of a document's text, with `words` words."""

    start: int
    end: int
    words: int


@dataclass(frozen=True)
class _Sentence(Span):
    """A sentence, or a part of one that is too long; `opens` is the number of words of the
    paragraph that begins with it, 0 inside of one."""

    opens: int = 0


def split_passages(
    text: str, *, words: int = PASSAGE_WORDS, overlap: int = OVERLAP_WORDS
) -> list[Span]:
    """Passages of at most `words` words, each repeating up to `overlap` words of the one before.

    A passage that is half full ends with its paragraph where the next one would not fit whole, and
    what follows a paragraph's end repeats nothing. Otherwise whole sentences are kept together;
    only a sentence longer than a passage is cut. Every `WORD_LETTERS` characters of a long word
    and each CJK character count as a word, so that a passage is about as many tokens to an encoder
    whatever it is made of. Spans hold no outer spaces; a blank text has none.
    """
    if not 0 <= overlap < words:
        raise ValueError("The overlap must be shorter than a passage.")
    passages: list[Span] = []
    current: list[_Sentence] = []
    size = 0
    for sentence in _sentences(text, words):
        full = size + sentence.words > words
        ends = sentence.opens and 2 * size >= words and size + sentence.opens > words
        if current and (full or ends):
            passages.append(_join(current, size))
            room = 0 if sentence.opens else min(overlap, words - sentence.words)
            current = _tail(current, room)
            size = sum(part.words for part in current)
        current.append(sentence)
        size += sentence.words
    if current:
        passages.append(_join(current, size))
    return passages


def _sentences(text: str, limit: int) -> list[_Sentence]:
    spans: list[_Sentence] = []
    start = 0
    for border in [*(match.end() for match in _PARAGRAPH_END.finditer(text)), len(text)]:
        paragraph = _parts(text, start, border, limit)
        for number, part in enumerate(paragraph):
            opens = sum(each.words for each in paragraph) if number == 0 else 0
            spans.append(_Sentence(part.start, part.end, part.words, opens))
        start = border
    return spans


def _parts(text: str, start: int, end: int, limit: int) -> list[Span]:
    """The sentences of text[start:end], those of more than `limit` words in parts."""
    spans: list[Span] = []
    for border in [*(match.end() for match in _SENTENCE_END.finditer(text, start, end)), end]:
        found = [match.span() for match in _WORD.finditer(text, start, border)]
        for first in range(0, len(found), limit):
            part = found[first : first + limit]
            spans.append(Span(part[0][0], part[-1][1], len(part)))
        start = border
    return spans


def _join(parts: list[_Sentence], words: int) -> Span:
    return Span(parts[0].start, parts[-1].end, words)


def _tail(parts: list[_Sentence], room: int) -> list[_Sentence]:
    """The last whole sentences that fit into `room` words, never all of them."""
    kept: list[_Sentence] = []
    for part in reversed(parts[1:]):
        if part.words > room:
            break
        room -= part.words
        kept.insert(0, part)
    return kept
