"""Why machines failed, in the reader's words.

Workers store a failure as an English sentence, for nobody reads it at that moment. What is known
here is recognised where it is shown, with whatever values stand in it, and said in the reader's
language; what is not, or was written by an older version, is shown as it is stored.
"""

from __future__ import annotations

import re
from functools import cache

from django.utils.translation import gettext, gettext_noop

KNOWN = (
    gettext_noop("%(url)s cannot be reached: %(what)s."),
    gettext_noop("%(url)s answers %(status)s again and again%(said)s."),
    gettext_noop(
        "%(url)s refuses the key (%(status)s)%(said)s. Is the environment variable that the "
        "validator names set for the workers?"
    ),
    gettext_noop("%(url)s has no %(path)s or no such model%(said)s."),
    gettext_noop("%(url)s refuses the request (%(status)s)%(said)s."),
    gettext_noop(
        "%(url)s answers %(status)s, a redirect, which is not followed: register the address it "
        "leads to."
    ),
    gettext_noop("The reply of %(url)s is not JSON: %(error)s"),
    gettext_noop(
        "%(said)s It failed %(n)s times in a row and is left alone for %(left)s more seconds."
    ),
    gettext_noop(
        "%(url)s serves another model as “%(model)s” than when the validator was registered: "
        "register it again."
    ),
    gettext_noop(
        "%(url)s serves another model as “%(model)s” than when the validator was registered (other "
        "weights, context length or tokenizer): register it again."
    ),
    gettext_noop(
        "Even cut short, the question is longer than the %(room)s tokens that the model reads."
    ),
    gettext_noop(
        "The reply of the model does not end with one answer line such as “[ANSWER] 1”, nor did it "
        "write one when it was asked for that line alone."
    ),
    gettext_noop("The model declined to answer this question."),
    gettext_noop("The reply holds no message."),
    gettext_noop("The message of the reply is no text."),
    gettext_noop("The reply holds no log-probabilities of a first token (%(kind)s: %(error)s)."),
    gettext_noop(
        "The listed probabilities sum to %(total)s: the server does not hold the answer to the "
        "options."
    ),
    gettext_noop("The probabilities of the options sum to %(total)s."),
    gettext_noop("Memory of the %(device)s ran out."),
    gettext_noop("The cross-encoder ran out of memory on %(n)s texts."),
    gettext_noop("There is no saved validator in %(folder)s."),
    gettext_noop("The files of “%(model)s” are not those that were registered: register it again."),
    gettext_noop("The host %(host)s cannot be found: %(why)s."),
    gettext_noop("%(host)s gave no answer: %(why)s."),
    gettext_noop("The work on this task was cut short %(n)d times."),
    gettext_noop("The text was erased."),
    gettext_noop("The text was replaced by a new revision."),
    gettext_noop(
        "The host “%(host)s” is not on the list of hosts that validators may call. To allow it, "
        "set VALIDATOR_HOSTS=%(hosts)s for workers and commands, and start them again."
    ),
    gettext_noop(
        "The host “%(host)s” is outside of this network, and the project “%(slug)s” does not let "
        "its texts leave. An admin can turn on “allow outside hosts” in the settings of the "
        "project."
    ),
    gettext_noop("The host “%(host)s” cannot be found: %(error)s"),
    gettext_noop(
        "The environment variable %(name)s, which holds the server's key, is not set here."
    ),
    gettext_noop(
        "The settings of the LLM validator cannot be read (%(error)s): register it again."
    ),
    gettext_noop(
        "A solved example of this validator stands in the benchmark by now: register the validator "
        "again, and it gets others."
    ),
    gettext_noop("The environment variable %(name)s, which holds the secret, is not set here."),
    gettext_noop("The server answered %(code)d; only 200 to 299 is a success."),
    gettext_noop("The server answered %(code)d, which leads elsewhere; that is not followed."),
    gettext_noop("The file could not be written: %(error)s"),
)
"""Sentences as the code that stores them says them, with names for the values."""

PLACE = re.compile(r"%\((\w+)\)([sd])")
NAMED = re.compile(r"([^:]{1,200}): (.+)", re.DOTALL)
ERROR = re.compile(r"\w+Error")
WHOLE = frozenset({"url", "host", "path", "status", "n", "left", "total", "room"})
"""Values without a space, so that no name before the sentence is taken for a part of them."""
LONGEST = 2_000
DEEP = 3
"""Sentences within one another, and names before them."""


def in_words(stored: str) -> str:
    """The sentence in the reader's language where it is known. Of a name before it, with a colon,
    that of a validator stays and that of a kind of error goes."""
    said = _known(stored, DEEP) if len(stored) <= LONGEST else None
    return stored if said is None else said


def _known(stored: str, depth: int) -> str | None:
    for said, pattern in _patterns():
        found = pattern.fullmatch(stored)
        if found is not None:
            return gettext(said) % _values(said, found.groupdict(), depth)
    named = NAMED.fullmatch(stored)
    if named is None or not depth:
        return None
    name, rest = named.groups()
    words = _known(rest, depth - 1)
    return words if words is None or ERROR.fullmatch(name) else f"{name}: {words}"


def _values(said: str, found: dict[str, str], depth: int) -> dict[str, str | int]:
    """What stands in the places of the sentence, where that is a sentence itself, in words."""
    kinds = dict(PLACE.findall(said))
    return {
        name: int(value) if kinds[name] == "d" else (depth and _known(value, depth - 1)) or value
        for name, value in found.items()
    }


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """The sentences with what finds them, those with more words of their own first."""
    longest = sorted(KNOWN, key=lambda said: -len(PLACE.sub("", said)))
    return [(said, re.compile(_pattern(said), re.DOTALL)) for said in longest]


def _pattern(said: str) -> str:
    parts, end = [], 0
    for place in PLACE.finditer(said):
        name, kind = place.groups()
        inner = r"\d{1,18}" if kind == "d" else r"\S+?" if name in WHOLE else ".*?"
        parts += [re.escape(said[end : place.start()]), f"(?P<{name}>{inner})"]
        end = place.end()
    return "".join([*parts, re.escape(said[end:])])
