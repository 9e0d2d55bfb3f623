"""What a prompt family is: every word of a prompt that is not content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class PromptFamily:
    """Every word of a prompt that is not content.

    `opening`, `guide`, `answering` and `asks` are by question. A validator may put a project's own
    instructions in the place of `guide`, introduced by `own_guide`; `answering` and `reading` stay
    whatever it says. `yes`, `no` and `unk` name the options, `yes` with a place for the label.
    `explain` asks for reasons after the decision, `reason` for notes before it, `repair` for the
    answer alone after a reply that had none.
    """

    name: str
    version: int
    opening: Mapping[str, str]
    guide: Mapping[str, str]
    own_guide: str
    answering: Mapping[str, str]
    reading: str
    documents: str
    shots: str
    shot: str
    label_of_shot: str
    notes: str
    name_of_label: str
    description: str
    fits: str
    looks_alike: str
    document: str
    asks: Mapping[str, str]
    yes: str
    no: str
    unk: str
    explain: str
    reason: str
    repair: str

    @property
    def key(self) -> str:
        """The name by which a validator refers to this version."""
        return f"{self.name}-{self.version}"

    @property
    def answers_in_words(self) -> bool:
        """Does the model reason before it answers, or is its answer begun for it?"""
        return self.name.startswith("text-")

    @property
    def digest(self) -> str:
        """SHA-256 of all the words."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
