"""Finding a label by its name, description or examples, in any script and with a typo."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from django.core.cache import cache

from labeling.models import Project

HITS = 20
_WORD = re.compile(r"\w+", re.UNICODE)
# How much a match is worth by where it stands.
_WEIGHTS = (("name", 1.0), ("key", 0.9), ("examples", 0.55), ("description", 0.5))
_SHORTEST_STEM = 4


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


def cards(project: Project) -> dict[int, LabelCard]:
    """Active labels by id, in order of name. Cached for as long as the label set stays the same."""
    taxonomy = project.taxonomies.order_by("-number").values_list("pk", "content_hash").first()
    key = f"label-cards:{project.pk}:{taxonomy}".replace(" ", "")
    found: dict[int, LabelCard] | None = cache.get(key)
    if found is None:
        labels = project.labels.active().order_by("name", "pk")
        found = {label.pk: _card(label) for label in labels}
        cache.set(key, found, timeout=300)
    return found


def _card(label: Any) -> LabelCard:
    return LabelCard(
        pk=label.pk,
        key=label.key,
        name=label.name,
        description=label.description,
        examples=tuple(_text(entry) for entry in label.examples),
        counter_examples=tuple(
            (_text(entry), str(entry.get("label") or "") if isinstance(entry, dict) else "")
            for entry in label.counter_examples
        ),
    )


def _text(entry: Any) -> str:
    return str(entry.get("text", "")) if isinstance(entry, dict) else str(entry)


def find(cards: Sequence[LabelCard], query: str) -> list[LabelCard]:
    """The best hits first; every label, by name, for an empty query."""
    words = _words(query)
    if not words:
        return list(cards)
    scored = [(_score(card, words, _plain(query)), card) for card in cards]
    hits = [(score, card) for score, card in scored if score > 0]
    hits.sort(key=lambda hit: (-hit[0], hit[1].name))
    return [card for _score, card in hits[:HITS]]


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().replace("_", " ").replace("-", " ")


def _words(text: str) -> list[str]:
    return _WORD.findall(_plain(text))


def _score(card: LabelCard, words: Sequence[str], query: str) -> float:
    """The sum over the query's words of the best place each is found in; 0 if one is found
    nowhere. The whole query inside the name counts extra."""
    fields = {
        "name": _plain(card.name),
        "key": _plain(card.key),
        "examples": _plain(" ".join(card.examples)),
        "description": _plain(card.description),
    }
    total = 1.0 if query.strip() in fields["name"] else 0.0
    for word in words:
        best = max(
            weight * _closeness(word, fields[name], is_name=name in ("name", "key"))
            for name, weight in _WEIGHTS
        )
        if best == 0.0:
            return 0.0
        total += best
    return total


def _closeness(word: str, text: str, *, is_name: bool) -> float:
    """1 for the same word, less for a beginning, an inner part, another ending, or a typo."""
    there = _WORD.findall(text)
    if word in there:
        return 1.0
    if any(other.startswith(word) for other in there):
        return 0.9
    if word in text:
        return 0.75
    stem = word[: max(_SHORTEST_STEM, len(word) - 2)]
    if len(word) > _SHORTEST_STEM and any(other.startswith(stem) for other in there):
        return 0.65
    if is_name and len(word) >= _SHORTEST_STEM:
        ratio = max((SequenceMatcher(None, word, other).ratio() for other in there), default=0.0)
        return 0.6 * ratio if ratio >= 0.72 else 0.0
    return 0.0
