"""The prompts of a validator, from long to short: each client has its own way to measure them."""

from __future__ import annotations

from collections.abc import Iterator

from llm_worker.clients.passport import ServedModel
from llm_worker.errors import RequestRefusedError
from llm_worker.prompts.build import Prompt, build_prompt, extents
from llm_worker.prompts.families import family_of
from llm_worker.types import ValidationRequest


def prompts_of(
    model: ServedModel, request: ValidationRequest, *, notes: str = ""
) -> Iterator[Prompt]:
    """The prompts about `request`, from everything to little. `notes` are the model's own."""
    family = family_of(model.family)
    for extent in extents(model.asking.shots):
        yield build_prompt(
            family,
            request,
            domain=model.domain,
            reads_documents=model.reads_documents,
            asking=model.asking,
            notes=notes,
            extent=extent,
        )


def too_long(room: int) -> RequestRefusedError:
    """What is said where even the shortest prompt has more than `room` tokens."""
    return RequestRefusedError(
        f"Even cut short, the question is longer than the {room} tokens that the model reads."
    )
