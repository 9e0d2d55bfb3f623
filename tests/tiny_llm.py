"""A causal language model of two narrow layers, made on the spot. It knows nothing of anything.

It has what a served model has: weights, a tokenizer, a chat template, and an answer to every
prompt. Its weights are random, so its answers mean nothing; what tests compare is how they are
got. The output rows of the digits are turned towards what the model says last, so that most of
the probability lies on digits, as with a model that understood the instructions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


def make_model(folder: Path, lines: Sequence[str], examples: Sequence[str]) -> Path:
    """Write a model to `folder`: the tokenizer learns from `lines`, and the digits are made likely
    after prompts such as `examples`."""
    import torch
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    tokenizer = make_tokenizer(lines)
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


def make_tokenizer(lines: Sequence[str]) -> Any:
    """Byte-level BPE in which a digit is one token, with and without a space before it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    spaced = [f"option {digit} or {digit}" for digit in DIGITS] * 50
    bpe.train_from_iterator([*lines, *spaced], trainer)
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
                away = torch.randn_like(mean)
                row = model.get_output_embeddings().weight[tokenizer.convert_tokens_to_ids(token)]
                row += toward + SPREAD * away / (away.norm() * mean.norm())
