"""What an action says when it refuses. Pages and the API turn these into one sentence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Detail:
    """One problem: where it is and what is wrong, in a sentence."""

    message: str
    field: str = ""
    index: int | None = None


class ActionRefused(Exception):
    """The request cannot be carried out as asked; nothing was changed."""

    code = "refused"

    def __init__(self, message: str, details: list[Detail] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details or []

    def sentence(self, *, problems: int = 1) -> str:
        """What is refused, and the first of the problems for an example."""
        return " ".join([self.message, *(detail.message for detail in self.details[:problems])])


class Conflict(ActionRefused):
    """Something else happened meanwhile, or the same thing stands already in another form."""

    code = "conflict"
