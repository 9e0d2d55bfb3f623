"""Words of templates that no tag translates."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from tests.words import is_sentence

NAMES = frozenset({"Countersign", "broad", "narrow"})
"""Texts of templates that are no words: the product, and a class that a block fills in."""
READ_ATTRIBUTES = frozenset({"alt", "aria-label", "placeholder", "title"})
NOT_READ = frozenset({"code", "kbd", "pre", "script", "style"})
TRANSLATED = re.compile(
    r"{%-? *(blocktrans(?:late)?|comment)\b.*?end\1 *%}|{% *trans(?:late)?\b.*?%}|{#.*?#}",
    re.DOTALL,
)
TAG = re.compile(r"{%.*?%}|{{.*?}}", re.DOTALL)
LITERAL = re.compile(r"""(_\(|date:|time:)?(["'])(.*?)\2""")
"""A literal in a tag, after what makes it a translation or a format."""


def untranslated(template: str) -> list[str]:
    """Words of a template that a person reads and no tag translates."""
    rest = TRANSLATED.sub("", template)
    literals = (found for tag in TAG.findall(rest) for found in LITERAL.findall(tag))
    inside = [text for before, _quote, text in literals if not before and is_sentence(text)]
    page = Page()
    page.feed(TAG.sub("", rest))
    return inside + page.found


class Page(HTMLParser):
    """Collects what stands between tags, and the attributes that are read out."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in NOT_READ:
            self.inside.append(tag)
        for name, value in attrs:
            if name in READ_ATTRIBUTES:
                self.take(value or "")

    def handle_endtag(self, tag: str) -> None:
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data: str) -> None:
        if not self.inside:
            self.take(data)

    def take(self, text: str) -> None:
        words = text.strip(" \n·→←↵⌫")
        if words not in NAMES and any(character.isalpha() for character in words):
            self.found.append(words)
