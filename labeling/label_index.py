"""Finding a label by its name, description or examples, in any script and with a typo.

Built once for a label set and asked often: words are looked up among the distinct words of all
labels, so that a query costs by the size of that vocabulary and not by that of the texts.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

HITS = 20
LISTED = 100
"""How many labels an empty query lists."""

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_IS_CJK = re.compile(f"[{_CJK}]+")
# Accents, Hebrew points and Arabic vowel signs: people leave them out when they type.
_OPTIONAL_MARKS = ((0x0300, 0x036F), (0x0591, 0x05C7), (0x0610, 0x061A), (0x064B, 0x0670))
# How much a match is worth by where it stands.
_NAME, _KEY, _EXAMPLE, _DESCRIPTION = 1.0, 0.9, 0.55, 0.5
_SHORTEST_STEM = 4
_LEAST_ALIKE = 0.72


@dataclass(frozen=True)
class LabelCard:
    """A label as people read it."""

    pk: int
    key: str
    name: str
    description: str
    examples: tuple[str, ...]
    counter_examples: tuple[tuple[str, str], ...]
    """Texts that look alike, each with the label it belongs to where that is known."""


class _Letters(dict[int, int | str | None]):
    """What `str.translate` makes of each character: letters, digits and the marks of scripts that
    need them stay, optional marks go, everything else parts words."""

    def __missing__(self, code: int) -> int | str | None:
        mark = unicodedata.category(chr(code)).startswith("M")
        kept: int | str | None = code if mark or chr(code).isalnum() else " "
        if mark and any(first <= code <= last for first, last in _OPTIONAL_MARKS):
            kept = None
        self[code] = kept
        return kept


_LETTERS = _Letters()


def words_of(text: str) -> list[str]:
    """The words of a text as they are compared: folded, without accents."""
    return unicodedata.normalize("NFKD", text).casefold().translate(_LETTERS).split()


class Vocabulary:
    """Distinct words, each with the labels (by place) that have it and what it is worth there."""

    def __init__(self) -> None:
        self.labels: dict[str, dict[int, float]] = {}

    def enter(self, place: int, text: str, weight: float) -> None:
        for word in words_of(text):
            labels = self.labels.setdefault(word, {})
            labels[place] = max(labels.get(place, 0.0), weight)

    def close(self) -> None:
        """Make what is entered searchable: all words in one string, searched at the speed of C."""
        self._words = sorted(self.labels)
        self._joined = "\n" + "\n".join(self._words) + "\n"
        self._starts = [0, *(at.end() for at in re.finditer("\n", self._joined))][1:]
        self._cjk = [word for word in self._words if _IS_CJK.search(word)]
        self._pairs: dict[str, list[str]] = {}
        for word in self._words:
            for pair in _pairs_of(word):
                self._pairs.setdefault(pair, []).append(word)

    def containing(self, part: str) -> Iterator[str]:
        """Words that hold `part`; with a newline before it, those that begin so."""
        at = self._joined.find(part)
        while at >= 0:
            place = bisect_right(self._starts, at + part.count("\n")) - 1
            yield self._words[place]
            at = self._joined.find(part, self._starts[place] + len(self._words[place]))

    def close_to(self, word: str) -> Iterator[tuple[str, float]]:
        """Words that hold `word`, begin like it or, written without spaces, share half of its
        pairs of neighbours; with how close they are, above 0 and at most 1."""
        inside = len(word) > 2 or _IS_CJK.match(word)
        for other in self.containing(word if inside else "\n" + word):
            yield other, 1.0 if other == word else 0.9 if other.startswith(word) else 0.75
        if len(word) > _SHORTEST_STEM:
            for other in self.containing("\n" + word[: max(_SHORTEST_STEM, len(word) - 2)]):
                yield other, 0.65
        if len(word) > 2 and _IS_CJK.fullmatch(word):
            pairs = _pairs_of(word)
            for other in self._cjk:
                share = sum(pair in other for pair in pairs) / len(pairs)
                if share >= 0.5:
                    yield other, 0.6 * share

    def misspelt(self, word: str) -> Iterator[tuple[str, float]]:
        """Words that `word` may stand for."""
        if len(word) < _SHORTEST_STEM:
            return
        shared = Counter(other for pair in _pairs_of(word) for other in self._pairs.get(pair, ()))
        matcher = SequenceMatcher(None, b=word, autojunk=False)
        for other, pairs in shared.items():
            if 4 * pairs < len(word) - 1:
                continue
            matcher.set_seq1(other)
            if matcher.real_quick_ratio() < _LEAST_ALIKE or matcher.quick_ratio() < _LEAST_ALIKE:
                continue
            if (ratio := matcher.ratio()) >= _LEAST_ALIKE:
                yield other, 0.6 * ratio


def _pairs_of(word: str) -> set[str]:
    return {word[i : i + 2] for i in range(len(word) - 1)}


class LabelIndex:
    """The cards of one label set, in order of name, ready to be searched."""

    def __init__(self, cards: Mapping[int, LabelCard]) -> None:
        self.cards = cards
        self._order = list(cards.values())
        self._names = [" ".join(words_of(card.name)) for card in self._order]
        self._in_names, self._everywhere = Vocabulary(), Vocabulary()
        for place, card in enumerate(self._order):
            for text, weight in ((card.name, _NAME), (card.key, _KEY)):
                self._in_names.enter(place, text, weight)
                self._everywhere.enter(place, text, weight)
            self._everywhere.enter(place, " ".join(card.examples), _EXAMPLE)
            self._everywhere.enter(place, card.description, _DESCRIPTION)
        self._in_names.close()
        self._everywhere.close()

    def find(self, query: str) -> list[LabelCard]:
        """The best hits first, at most `HITS`; for an empty query the first `LISTED` by name.

        A label is found if every word of the query is; it counts where it stands and how well it
        matches. The whole query inside the name counts extra.
        """
        words = words_of(query)
        if not words:
            return self._order[:LISTED]
        scores = self._labels_with(words[0])
        for word in words[1:]:
            more = self._labels_with(word)
            scores = {place: scores[place] + more[place] for place in scores.keys() & more.keys()}
        whole = " ".join(words)
        best = sorted(
            scores,
            key=lambda place: (-scores[place] - (whole in self._names[place]), self._names[place]),
        )
        return [self._order[place] for place in best[:HITS]]

    def _labels_with(self, word: str) -> dict[int, float]:
        """Place of each label that has `word` to what the match is worth. A single letter is
        looked for in names alone, and so are words with a typo."""
        found: dict[int, float] = {}

        def take(vocabulary: Vocabulary, matches: Iterator[tuple[str, float]]) -> None:
            for other, closeness in matches:
                for place, weight in vocabulary.labels[other].items():
                    if closeness * weight > found.get(place, 0.0):
                        found[place] = closeness * weight

        names, everywhere = self._in_names, self._everywhere
        where = names if len(word) == 1 and not _IS_CJK.match(word) else everywhere
        take(where, where.close_to(word))
        take(names, names.misspelt(word))
        return found
