"""The turns of a conversation as they are laid out: speakers apart, the text to label marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labeling import rules
from labeling.language import direction_of, language_of
from labeling.models import Task


@dataclass(frozen=True)
class Turn:
    """What one speaker said. `other` tells everybody from the speaker of the text to label."""

    speaker: str
    text: str
    other: bool
    is_text: bool = False

    @property
    def language(self) -> str:
        return language_of(self.text)

    @property
    def direction(self) -> str:
        return direction_of(self.language)


def conversation(task: Task) -> Sequence[Turn]:
    """The turns with the text in its place: the last turn that says the same, else after them all.

    Nothing for a task without turns.
    """
    said = [(str(turn["speaker"]), str(turn["text"])) for turn in task.turns or ()]
    if not said:
        return ()
    wanted = rules.normalise_text(task.text)
    same = [i for i, (_who, text) in enumerate(said) if rules.normalise_text(text) == wanted]
    own = said[same[-1]][0] if same else said[0][0]
    turns = [
        Turn(speaker, text, other=speaker != own, is_text=place == (same[-1] if same else None))
        for place, (speaker, text) in enumerate(said)
    ]
    return turns if same else [*turns, Turn("", task.text, other=False, is_text=True)]
