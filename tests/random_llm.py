"""A causal language model of two narrow layers and random weights, with a tokenizer of choice.

Its answers mean nothing (those of `tests.tiny_llm` do); what tests compare is how they are got. The
output rows of the digits are turned towards what the model says last, so that most of the
probability lies on digits, as with a model that understood the instructions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llm_worker.prompts.build import PREFILL, build_prompt
from llm_worker.prompts.families import FAMILIES
from llm_worker.types import Candidate, ValidationRequest

CONTEXT = 2048
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
DIGITS = tuple("0123456789")
LIFT = 14.0
SPREAD = 6.0
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\n' + message.content }}"
    "{% if not (loop.last and continue_final_message) %}{{ '<|im_end|>\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def make_model(
    folder: Path,
    lines: Sequence[str],
    examples: Sequence[str],
    *,
    splits: bool = False,
    pairs: bool = False,
) -> Path:
    """Write a model to `folder`: the tokenizer learns from `lines`, and the digits are made likely
    after prompts such as `examples`. `splits` and `pairs` are those of `_tokenizer`."""
    import torch
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    tokenizer = _tokenizer(lines, splits=splits, pairs=pairs)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        # Tokenizers of this architecture keep the space before a digit, as those of Qwen do not.
        config = GPTNeoXConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=CONTEXT,
            initializer_range=0.2,
            bos_token_id=None,
            eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
        )
        model: Any = GPTNeoXForCausalLM(config)
        model.eval()
        _lift_digits(model, tokenizer, examples)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(lines: Sequence[str], *, splits: bool, pairs: bool) -> Any:
    """Byte-level BPE in which a digit is one token, with and without a space before it.

    With `splits` the space before a number is always a token of its own; with `pairs` a number of
    two digits is one token.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if splits:
        apart = pre_tokenizers.Split(Regex("[0-9]{1,2}"), behavior="isolated")
        bpe.pre_tokenizer = pre_tokenizers.Sequence([apart, bpe.pre_tokenizer])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    spaced = [f"option {digit} or {digit}" for digit in DIGITS] * 50
    numbers = [f"option {number} or({number}" for number in range(10, 20)] * 50 if pairs else []
    bpe.train_from_iterator([*lines, *spaced, *numbers], trainer)
    wrapped: Any = PreTrainedTokenizerFast
    tokenizer = wrapped(tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = TEMPLATE
    return tokenizer


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


def make_random(folder: Path, **tokenizer: bool) -> Path:
    """A tiny model for our prompts; `tokenizer` is what `make_model` takes."""
    prompts = [build_prompt(family, example()).text for family in FAMILIES.values()]
    lines = [line for text in prompts for line in text.splitlines()]
    examples = [
        f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n{PREFILL}" for text in prompts
    ]
    return make_model(folder, lines, examples, **tokenizer)


def example() -> ValidationRequest:
    """Any question."""
    cards = [Candidate(place, f"label {place}", "what it is about") for place in range(1, 6)]
    return ValidationRequest(1, "where is my parcel", "multiclass", tuple(cards))
