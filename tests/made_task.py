"""A made option task: a text is about one thing, and so is each label.

What a label is about stands in its name, or on its card only (as on the cards of `hidden`), and
the text is about a thing on one card, or on none (`unk`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from llm_worker.types import NO, UNK, YES, Candidate, Question, ValidationRequest

_WORDS = """
    parcel refund invoice voucher password address coupon receipt warranty battery charger
    jacket lamp mirror kettle pillow blanket carpet curtain drawer engine filter garden hammer
    insurance keyboard ladder magnet needle orange paint quilt radio saddle table umbrella
    valve wallet yarn zipper bicycle camera desk envelope flag guitar helmet iron jar knife
    lens monitor notebook oven printer razor scarf tent vase window
"""
WORDS = tuple(_WORDS.split())
ASKED = (
    "where is my {}",
    "I have a question about the {}",
    "the {} does not work",
    "please help me with this {}",
    "can you send me another {}",
    "my {} has not come yet",
    "is there a {} for me",
)


@dataclass(frozen=True)
class Made:
    """A question and the option that is right."""

    request: ValidationRequest
    right: str


def made(seed: int, question: Question, *, hidden: bool = False) -> Made:
    """The question of this number; in one of six none of the labels fits. Where `hidden`, the
    thing of a text stands in an example on the card, and not in the label's name."""
    rng = random.Random(f"{question} {seed}")
    things = rng.sample(WORDS, 12)
    cards = tuple(
        Candidate(
            label_id,
            name,
            "What the text is about.",
            (rng.choice(ASKED).format(thing if hidden else name),),
        )
        for label_id, name, thing in zip(
            rng.sample(range(1, 1000), 5), things[:5], things[5:10], strict=True
        )
    )
    place = 0 if question == "binary" else rng.randrange(5)
    fits = rng.random() < (1 / 2 if question == "binary" else 5 / 6)
    thing = (things[5 + place] if hidden else things[place]) if fits else things[11]
    text = rng.choice(ASKED).format(thing)
    if question == "binary":
        asked = ValidationRequest(seed, text, question, cards, cards[0].label_id)
        return Made(asked, YES if fits else NO)
    asked = ValidationRequest(seed, text, question, cards)
    return Made(asked, cards[place].option if fits else UNK)
