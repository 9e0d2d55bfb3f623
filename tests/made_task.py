"""A made option task: each label has words of its own, and a text names two of one label's.

The pairs of words in the texts that are `unseen` stand in no other text.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llm_worker.types import NO, UNK, YES, Candidate, Question, ValidationRequest

_WORDS = """
parcel: courier tracking shipment doorstep postman depot box delivered
refund: money repay reimburse paid owed returned cash back
invoice: bill receipt tax amount charged statement accounting copy
password: login sign forgot reset locked account username secret
address: street moved postcode house city flat relocate number
voucher: coupon discount code promotion gift redeem percent expired
warranty: broken repair defect guarantee spare replace faulty cracked
opening: hours sunday holiday closed store visit noon evening
catalogue: sizes colours models stock available collection brochure range
insurance: damage claim cover policy accident theft insured premium
newsletter: emails unsubscribe mailing spam inbox subscribe list offers
career: job apply vacancy resume interview hiring salary position
"""
WORDS: Mapping[str, Sequence[str]] = {
    label: words.split()
    for label, words in (line.split(":") for line in _WORDS.strip().splitlines())
}
LABELS = tuple(WORDS)
ASKED = (
    "what about the {} and the {}",
    "I have a question about {} or {}",
    "please help me with {} , it is {}",
    "{} and again {}",
    "is this {} or is it {} ?",
    "it says {} but I see {}",
)
VOCABULARY = tuple(
    dict.fromkeys(
        [*LABELS, *(word for words in WORDS.values() for word in words), *" ".join(ASKED).split()]
    )
)
UNSEEN_SHARE = 5
"""Of so many pairs one stands in unseen texts only."""


@dataclass(frozen=True)
class Made:
    """A question and the option that is right."""

    request: ValidationRequest
    right: str


def text_about(rng: random.Random, label: str, *, unseen: bool) -> str:
    while True:
        pair = rng.sample(WORDS[label], 2)
        number = zlib.crc32(" ".join(sorted(pair)).encode())
        if (number % UNSEEN_SHARE == 0) == unseen:
            return rng.choice(ASKED).format(*pair)


def made(seed: int, question: Question, *, unseen: bool = True) -> Made:
    """The question of this number. Its candidates stand in any order, and in one of six none of
    them fits; of binary questions half are right to be denied."""
    rng = random.Random(f"{question} {seed} {unseen}")
    names = rng.sample(LABELS, 5)
    cards = tuple(Candidate(LABELS.index(name) + 1, name) for name in names)
    offered = 1 if question == "binary" else len(cards)
    fits = rng.random() < (1 / 2 if question == "binary" else 5 / 6)
    others = [label for label in LABELS if label not in names[:offered]]
    place = rng.randrange(offered)
    label = names[place] if fits else rng.choice(others)
    text = text_about(rng, label, unseen=unseen)
    if question == "binary":
        asked = ValidationRequest(seed, text, question, cards, cards[0].label_id)
        return Made(asked, YES if fits else NO)
    asked = ValidationRequest(seed, text, question, cards)
    return Made(asked, cards[place].option if fits else UNK)
