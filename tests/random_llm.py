"""A causal language model of two narrow layers and random weights, with a tokenizer of choice.

Its answers mean nothing (those of `tests.tiny_llm` do); what tests compare is how they are got. The
output rows of the digits are turned towards what the model says last, so that most of the
probability lies on digits, as with a model that understood the instructions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llm_worker.prompts.build import build_prompt
from llm_worker.prompts.families import FAMILIES
from llm_worker.types import Candidate, ValidationRequest
from tests.tiny_llm import DIGITS, chat, make_network, make_tokenizer

LIFT = 14.0
SPREAD = 6.0


def _lift_digits(model: Any, tokenizer: Any, examples: Sequence[str]) -> None:
    """Add what the model says last of all, times `LIFT`, to the output rows of the digits, and a
    random direction of length `SPREAD` each, so that texts make a difference."""
    import torch

    with torch.no_grad():
        states = [
            model.gpt_neox(tokenizer(example, return_tensors="pt").input_ids).last_hidden_state[
                0, -1
            ]
            for example in examples
        ]
        mean = torch.stack(states).mean(dim=0)
        toward = LIFT * mean / mean.norm() ** 2
        for digit in DIGITS:
            for token in (digit, f"Ġ{digit}"):
                if token not in tokenizer.get_vocab():
                    continue
                away = torch.randn_like(mean)
                row = model.get_output_embeddings().weight[tokenizer.convert_tokens_to_ids(token)]
                row += toward + SPREAD * away / (away.norm() * mean.norm())


def make_random(folder: Path, *, splits: bool = False, pairs: bool = False) -> Path:
    """Write a model for our prompts to `folder`; `splits` and `pairs` are `make_tokenizer`'s."""
    import torch

    prompts = [build_prompt(family, example()).text for family in FAMILIES.values()]
    lines = [line for text in prompts for line in text.splitlines()]
    tokenizer = make_tokenizer(lines, size=1500, splits=splits, pairs=pairs)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = make_network(tokenizer, layers=2, hidden=64, heads=2, weight=0.2)
        model.eval()
        _lift_digits(model, tokenizer, [chat(text) for text in prompts])
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def example() -> ValidationRequest:
    """Any question."""
    cards = [Candidate(place, f"label {place}", "what it is about") for place in range(1, 6)]
    return ValidationRequest(1, "where is my parcel", "multiclass", tuple(cards))
