"""Pure state rules: no database, no Django rows. One-row and bulk paths both call these."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

# Strongest first (DESIGN section 1, "resolution").
SOURCES = (
    "override",
    "adjudicated",
    "audit",
    "benchmark",
    "agreement",
    "single",
    "imported",
    "duplicate",
    "auto",
)
SOURCE_STRENGTH: Mapping[str, int] = {
    source: len(SOURCES) - place for place, source in enumerate(SOURCES)
}


def may_replace(new: str, old: str | None) -> bool:
    """May a resolution from source `new` take the place of the current one from `old`?

    A person's label gives way to an equal or stronger source; a machine's only to people or to
    a newer machine's. A machine never replaces a person's.
    """
    return old is None or SOURCE_STRENGTH[new] >= SOURCE_STRENGTH[old]


_SPACES = re.compile(r"\s+")


def normalise_text(text: str) -> str:
    """The form in which two texts count as the same: NFKC, lower case, single spaces."""
    # Folding case can take a letter apart ("ǰ"), so that its marks want putting in order again.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _SPACES.sub(" ", folded).strip()


def text_hash(text: str) -> str:
    """SHA-256 of the normalised text, in hexadecimal (64 characters)."""
    return hashlib.sha256(normalise_text(text).encode("utf-8", "surrogatepass")).hexdigest()


def exact_hash(text: str) -> str:
    """SHA-256 of the very text, for what tells cases or spaces apart as the normalised form does
    not: an encoder may."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def secret_digest(secret: str) -> str:
    """SHA-256 of a token or a link: 32 random bytes need no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(frozen=True)
class GivenAnswer:
    """What one member answered, as far as agreement is concerned.

    `choice` is comparable between members: ("label", 7), ("conf", (3, 7)), ("yes",), ("unk",).
    """

    member_id: int
    choice: tuple[object, ...]
    needs_expert: bool = False


@dataclass(frozen=True)
class Standing:
    """Where a task stands given its answers."""

    state: Literal["waiting", "agreed", "single", "disputed"]
    choice: tuple[object, ...] | None = None
    answers_missing: int = 0


def standing(answers: Sequence[GivenAnswer], *, needed: int, at_most: int) -> Standing:
    """Two equal answers agree; else one more is asked, up to `at_most`; else an expert settles.

    With `needed` of 1 a single answer stands. An answer "unk, needs an expert" goes to an expert
    at once. At `at_most` answers a choice held by `needed` of them wins if no other does.
    """
    if any(answer.needs_expert for answer in answers):
        return Standing("disputed")
    if len(answers) < needed:
        return Standing("waiting", answers_missing=needed - len(answers))
    if needed == 1 and len(answers) == 1:
        return Standing("single", answers[0].choice)
    votes = Counter(answer.choice for answer in answers)
    winners = [choice for choice, count in votes.items() if count >= needed]
    if len(answers) == needed == max(votes.values()) or len(winners) == 1 < len(answers):
        return Standing("agreed", winners[0])
    if len(answers) < at_most:
        return Standing("waiting", answers_missing=1)
    return Standing("disputed")


def next_stage(
    stage: str, *, uses_documents: bool, deferred: bool, has_documents: bool, asks_llms: bool
) -> str:
    """The stage after `stage`: documents are sought before validation only for a validator that
    reads them, else after the decision and only for tasks left to people; LLMs give reasons for
    those last."""
    if stage == "rerank":
        return "retrieve" if uses_documents and has_documents else "validate"
    if stage == "retrieve":
        return "validate"
    if stage == "validate":
        return "decide"
    if stage == "decide" and deferred and has_documents and not uses_documents:
        return "assist"
    if asks_llms and ((stage == "decide" and deferred) or stage == "assist"):
        return "reason"
    return "done"


def retry_delay_seconds(attempts: int) -> float:
    """Seconds before try number `attempts` + 1: 5, 15, 45, ... at most ten minutes."""
    return float(min(5 * 3 ** max(attempts - 1, 0), 600))


MAX_ATTEMPTS = 5


def webhook_delay_seconds(tries: int, chance: float) -> float:
    """Seconds after failed try number `tries` of a webhook: 30, 90, 270, ... at most six hours;
    of that, by `chance` in [0, 1), between four fifths and six fifths."""
    return float(min(30 * 3 ** max(tries - 1, 0), 21_600)) * (0.8 + 0.4 * chance)


WEBHOOK_TRIES = 10


def is_right(
    label: int | None, *, reference: str, reference_label: int | None, conf_labels: Collection[int]
) -> bool:
    """Was accepting `label` right? Where the expert said `unk` it was an error; where the expert
    said `conf`, an error unless the label is among the expert's (DESIGN 8.6)."""
    if reference == "label":
        return label is not None and label == reference_label
    return reference == "conf" and label in conf_labels
