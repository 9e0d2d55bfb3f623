"""How a validator asks: everything that shapes its prompts beside the words of the family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from llm_worker.errors import InvalidRequestError
from llm_worker.types import Shot

MAX_SHOTS = 8
MAX_INSTRUCTIONS = 3000


class Approach(StrEnum):
    """How an answer is got (Tsymbalov 2025, sections 3.3.1, 3.3.2 and 6.3)."""

    PROB = "prob"
    TEXT = "text"
    REASON_THEN_PROB = "reason_then_prob"


class ShotChoice(StrEnum):
    """Which solved examples are shown: the same to all tasks, or the most similar to each."""

    FIXED = "fixed"
    SIMILAR = "similar"


@dataclass(frozen=True, slots=True)
class Asking:
    """Settings of the prompts of one validator.

    `instructions` of the project stand in the place of the family's own on how to decide; `shots`
    is how many solved examples are shown, and `fixed` holds them where they are the same for all
    tasks; `looks_alike` says whether label cards show the examples that only look alike.

    Raises `InvalidRequestError` for what cannot be asked.
    """

    approach: Approach = Approach.PROB
    instructions: str = ""
    shots: int = 0
    choice: ShotChoice = ShotChoice.FIXED
    fixed: tuple[Shot, ...] = ()
    looks_alike: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.shots <= MAX_SHOTS:
            raise InvalidRequestError(f"A prompt shows 0 to {MAX_SHOTS} solved examples.")
        if len(self.instructions) > MAX_INSTRUCTIONS:
            raise InvalidRequestError(
                f"The instructions have {len(self.instructions)} characters; a prompt takes at "
                f"most {MAX_INSTRUCTIONS}."
            )
        if len(self.fixed) != (self.shots if self.choice is ShotChoice.FIXED else 0):
            raise InvalidRequestError("The fixed examples are not as many as are to be shown.")

    def as_json(self) -> dict[str, Any]:
        """Plain data, for `from_json`."""
        return asdict(self) | {
            "approach": self.approach.value,
            "choice": self.choice.value,
            "fixed": [asdict(shot) for shot in self.fixed],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Asking:
        """Read what `as_json` wrote. Raises `TypeError`, `KeyError` or `ValueError` for another
        shape."""
        return cls(
            **dict(content)
            | {
                "approach": Approach(content["approach"]),
                "choice": ShotChoice(content["choice"]),
                "fixed": tuple(Shot(**shot) for shot in content["fixed"]),
            }
        )
