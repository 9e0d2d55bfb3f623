"""What the code says, what a catalogue says of it, and where the two are out of step."""

from __future__ import annotations

import gettext
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import write_mo
from django.utils.translation.template import templatize

from tests.support import ROOT

SPEAKERS = ("annotation_site", "labeling", "llm_worker")
LAZY = {
    "gettext_noop": None,
    "gettext_lazy": None,
    "ngettext_lazy": (1, 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext_lazy": ((1, "c"), 2, 3),
}
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[sdr]")
TAG = re.compile(r"</?[a-z][^>]*>")

Key = tuple[str, ...] | str
"""The identity of a message: its English, or singular and plural; after its context, if any."""


def sources() -> Iterator[tuple[Path, str]]:
    """Every file with words, as Python that gettext can read."""
    for folder in SPEAKERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "templates").rglob("*")):
        if path.is_file():
            python = templatize(path.read_text(encoding="utf-8"), origin=str(path))
            # What is left of the HTML is indented as it was, which no Python may be.
            yield path, "\n".join(line.lstrip() for line in python.splitlines())


@cache
def said() -> frozenset[Key]:
    """Every message of the code and the templates."""
    return frozenset(found for _path, text in sources() for found in messages_of(text))


def messages_of(python: str) -> Iterator[Key]:
    keywords = DEFAULT_KEYWORDS | LAZY
    for _line, words, _notes, context in extract(
        "python", io.BytesIO(python.encode()), keywords, options={"encoding": "utf-8"}
    ):
        yield key_of(words, context)


def key_of(words: tuple[str, ...] | list[str] | str, context: str | None) -> Key:
    parts = (words,) if isinstance(words, str) else tuple(words)
    return (f"{context}:", *parts) if context else parts if len(parts) > 1 else parts[0]


def problems(catalog: Catalog, wanted: Iterable[Key]) -> list[str]:
    """One sentence for each way in which `catalog` fails a reader of the messages `wanted`."""
    messages = {key_of(one.id, one.context): one for one in catalog if one.id}
    wanted = frozenset(wanted)
    found = [f"missing: {key}" for key in wanted - messages.keys()]
    found += [f"nobody says: {key}" for key in messages.keys() - wanted]
    found += [f"obsolete: {key}" for key in catalog.obsolete]
    for key, message in messages.items():
        found += [f"{problem}: {key}" for problem in _problems_of(message, catalog)]
    return sorted(found)


def _problems_of(message: Message, catalog: Catalog) -> Iterator[str]:
    forms = _forms(message)
    if message.fuzzy:
        yield "fuzzy"
    if len(forms) != (catalog.num_plurals if message.pluralizable else 1) or not all(forms):
        yield "not translated"
        return
    # In other languages the first form may stand for 21, so it names the number as the plural does.
    english = message.id if isinstance(message.id, str) else message.id[-1]
    for form in forms:
        if set(PLACEHOLDER.findall(form)) != set(PLACEHOLDER.findall(english)):
            yield "other placeholders"
        if Counter(TAG.findall(form)) != Counter(TAG.findall(english)):
            yield "other tags"
        if _edges(form) != _edges(english):
            yield "other spaces at its ends"


def _forms(message: Message) -> tuple[str, ...]:
    given = message.string
    return tuple(given) if isinstance(given, (tuple, list)) else (given or "",)


def _edges(text: str) -> tuple[bool, bool]:
    return text[:1].isspace(), text[-1:].isspace()


def compiled(catalog: Catalog) -> bytes:
    """What msgfmt makes of it: messages that are not translated are left out."""
    for message in list(catalog):
        if message.id and not all(_forms(message)):
            catalog.delete(message.id, message.context)
    written = io.BytesIO()
    write_mo(written, catalog)
    return written.getvalue()


def read_back(compiled: bytes) -> dict[object, str]:
    """What a program finds in a compiled catalogue."""
    table: dict[object, str] = vars(gettext.GNUTranslations(io.BytesIO(compiled)))["_catalog"]
    return {key: text for key, text in table.items() if key}
