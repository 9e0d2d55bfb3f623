"""Where a passage has words of the text it was found for.

Words are compared by their stems as the search for documents does (`rerank_engine.retrieval`,
which the web process does not load; a test holds the two together).
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import snowballstemmer

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}]+(?:['’][^\W_{_CJK}]+)*")
_IS_CJK = re.compile(rf"[{_CJK}]")
_IS_CYRILLIC = re.compile("[\u0400-\u052f]")
_stemmers = threading.local()

FAR = 120
"""From so many characters on a first hit is out of sight at a glance."""
LEAD = 40
"""How many characters before it are then shown."""

# Words that stand in every text and tell nothing, as stems.
_COMMON_WORDS = (
    "a about after all also am an and ani are as at be been but by can could did do doe for from "
    "get had has have he her him his how i if in into is it just me more my no not now of on or "
    "our out she so than that the their them then there these they this to too up us was we were "
    "what when where which who whi will with would you your onli veri "
    "и в во не что он на я с со как а то все она так его но да ты к у же вы за бы по ее мне было "
    "вот от меня еще о из ему тепер когд даж ну ли есл уж или ни быт был него до вас вам там мо "
    "мой это этот для мы их чем без чтоб"
)
_COMMON = frozenset(_COMMON_WORDS.split())


@dataclass(frozen=True)
class Piece:
    """A part of a passage; `hit` where it is a word of the text."""

    text: str
    hit: bool


def marked(passage: str, text: str) -> list[Piece]:
    """`passage` in pieces that, put together, are the passage."""
    wanted = terms(text)
    pieces: list[Piece] = []
    at = 0
    for start, end in _joined(_hits(passage, wanted), passage):
        if start > at:
            pieces.append(Piece(passage[at:start], hit=False))
        pieces.append(Piece(passage[start:end], hit=True))
        at = end
    if at < len(passage):
        pieces.append(Piece(passage[at:], hit=False))
    return pieces


def from_first_hit(pieces: Sequence[Piece]) -> list[Piece]:
    """The same from shortly before the first hit on, where that stands far inside."""
    first = next((place for place, piece in enumerate(pieces) if piece.hit), 0)
    before = "".join(piece.text for piece in pieces[:first])
    if len(before) <= FAR:
        return list(pieces)
    start = before.find(" ", len(before) - LEAD) + 1 or len(before) - LEAD
    return [Piece(f"… {before[start:]}", hit=False), *pieces[first:]]


def terms(text: str) -> frozenset[str]:
    """What of a text is looked for: stems of its telling words, pairs of CJK characters."""
    found: set[str] = set()
    for run in _RUN.findall(unicodedata.normalize("NFKC", text).casefold()):
        found.update(_pairs(run) if _IS_CJK.match(run) else (stem(run),))
    return frozenset(term for term in found if term not in _COMMON and len(term) > 1)


def _hits(passage: str, wanted: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Places of `passage`, in order, where a wanted term stands."""
    for found in _RUN.finditer(passage):
        run = unicodedata.normalize("NFKC", found[0]).casefold()
        if not _IS_CJK.match(run):
            if stem(run) in wanted:
                yield found.span()
        elif len(run) == len(found[0]):
            for place, pair in enumerate(_pairs(run)):
                if pair in wanted:
                    yield found.start() + place, found.start() + place + len(pair)


def _joined(spans: Iterator[tuple[int, int]], passage: str) -> list[tuple[int, int]]:
    """Neighbours with nothing but a space between them become one."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and (start <= joined[-1][1] or passage[joined[-1][1] : start] == " "):
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _pairs(run: str) -> Sequence[str]:
    return [run[i : i + 2] for i in range(max(len(run) - 1, 1))]


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """A folded word without its ending: Cyrillic as Russian, the rest as English."""
    stemmer = _stemmer("russian" if _IS_CYRILLIC.match(word) else "english")
    return str(stemmer.stemWord(word.replace("’", "'")))


def _stemmer(language: str) -> Any:
    """A stemmer of this thread's own: it holds the word it works on."""
    if not hasattr(_stemmers, language):
        setattr(_stemmers, language, snowballstemmer.stemmer(language))
    return getattr(_stemmers, language)
