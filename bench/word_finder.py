"""A tiny causal language model that finds which option the words of a text speak for.

It is no LLM, and nobody trained it. The benchmarks need a model that answers about any label set,
in prompts of the usual length; what the tests train (`tests.tiny_llm`) knows the labels of one made
task. So the attention of this one is set by hand, layer by layer, to do one job:

1. every token learns the block, the kind of line and the option's digit that it stands under;
2. the tokens of a label's card learn the last word of the label's name;
3. a word of the text looks for itself on the cards and takes the names of those it stands on;
4. a word of an option looks for itself, or for a name taken, in the text;
5. after the begun answer, the digits of the options that found something are likely, else 0.

It prefers 1 a little over the other digits, as larger models do. Everything else that it says
comes from random weights beside all this, and is nonsense.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.tiny_llm import BLOCK_LINES, CONTEXT, lines_of_prompts, make_tokenizer

HIDDEN, HEADS, HEAD = 256, 4, 64
ROTARY = 16
"""Of the dimensions of a head; they tell distances, the others tell what a token is."""
LAYERS = 5
CONST, LENGTH = 16.0, 24.0
"""Of every token: a constant, and how long its state is to begin with. They are large beside the
rest, so that layer norms scale all tokens almost alike."""
SCALE = HIDDEN**0.5 / LENGTH
IDENTITY = 44
FEATURES = {
    "const": 2,
    "balance": 1,
    "word": IDENTITY,
    "digit": 6,
    "tag": 4,
    "header": 3,
    "content": 1,
    "first": 1,
    "closes": 1,
    "block": 4,
    "line": 3,
    "slot": 6,
    "name": IDENTITY,
    "names": IDENTITY,
    "found": 1,
    "answer": 6,
}
"""What a token's state holds, and in how many dimensions; the rest is random."""
OPTION_DIGITS = "012345"
TAGS = ("TEXT", "OPTIONS", "LABEL", "RETRIEVED")
HEADERS = (("Name",), ("Ġalike",), ("Description", "Examples"))
BABBLE = (LENGTH**2 - 2.0 * CONST**2) ** 0.5
"""How long the random part of a token's state is."""
SURE, LIFT, SPACED, FIRST_BIAS, NONSENSE = 6.0, 7.0, -1.5, 0.4, 1.2


def make_model(folder: Path, words: Sequence[str] = ()) -> Path:
    """Write the model to `folder`. Its tokenizer keeps each of `words` whole; the words of the
    prompts themselves mean nothing to it."""
    import torch
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    lines = lines_of_prompts()
    tokenizer = make_tokenizer([*BLOCK_LINES, *lines] * 50, words)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(7)
        # Tokenizers of this architecture keep the space before a digit, as those of Qwen do not.
        config = GPTNeoXConfig(
            vocab_size=len(tokenizer),
            hidden_size=HIDDEN,
            intermediate_size=16,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            max_position_embeddings=CONTEXT,
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "partial_rotary_factor": ROTARY / HEAD,
            },
            bos_token_id=None,
            eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
        )
        model: Any = GPTNeoXForCausalLM(config)
        model.eval()
        _Wiring(model, tokenizer, _plain_words(lines)).set_all()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _plain_words(lines: Sequence[str]) -> frozenset[str]:
    """Words that are ours and say nothing about a label."""
    ours = [*lines, *TAGS, "user assistant answer"]
    return frozenset(word.casefold() for line in ours for word in re.findall(r"\w+", line))


@dataclass
class _Head:
    """What one head does: scores in nats for a pair of tokens, and what it copies.

    `scores` holds (feature of the reader, feature of what is read, gain); `near` gives gains to
    the cosines of the distance at the rotary frequencies 10000 ** (-pair / 8), which favour what
    is near; `copies` holds (feature of what is read, feature of the reader that it is added to).
    """

    scores: Sequence[tuple[str, str, float]]
    copies: Sequence[tuple[str, str]]
    near: Mapping[int, float] = field(default_factory=dict)


MATCH = 40.0
UNLIKE_ALL = 1.6 * MATCH
"""What a word must score to count as found: being the word, and standing in the right block."""
CIRCUIT: tuple[tuple[_Head, ...], ...] = (
    (  # Where am I? The nearest digit, tag and heading before me say so.
        _Head([("const", "digit", 300.0)], [("digit", "slot")], {2: 60.0, 3: 60.0, 4: 60.0}),
        _Head([("const", "tag", 1400.0)], [("tag", "block")], {4: 600.0, 5: 200.0}),
        _Head([("const", "header", 1400.0)], [("header", "line")], {4: 600.0, 5: 200.0}),
    ),
    (  # The nearest word on the line of a name, on a card.
        _Head(
            [
                ("const", "line:0", 200.0),
                ("const", "content", 200.0),
                ("const", "block:2", 200.0),
            ],
            [("word", "name")],
            {3: 100.0, 4: 60.0},
        ),
    ),
    (  # Myself on a card, but not among what only looks alike; or else the first token of all.
        _Head(
            [
                ("word", "word", MATCH),
                ("const", "block:2", MATCH),
                ("const", "line:1", -2.0 * MATCH),
                ("const", "first", UNLIKE_ALL),
            ],
            [("name", "names")],
        ),
    ),
    (  # Myself, or a word of the text that stands on a card named like me.
        *(
            _Head(
                [
                    ("word", looked_for, MATCH),
                    ("const", "block:0", MATCH),
                    ("const", "first", UNLIKE_ALL),
                ],
                [("block:0", "found")],
            )
            for looked_for in ("word", "names")
        ),
    ),
    (  # The digits of options with words that were found; if there are none, 0.
        _Head(
            [
                ("closes", "found", 25.0),
                ("closes", "block:1", 60.0),
                ("closes", "first", 72.0),
            ],
            [("slot", "answer"), ("first", "answer:0")],
        ),
    ),
)


class _Wiring:
    """Sets the weights of one model."""

    def __init__(self, model: Any, tokenizer: Any, plain: frozenset[str]) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._plain = plain
        self._at: dict[str, range] = {}
        start = 0
        for name, size in FEATURES.items():
            self._at[name] = range(start, start + size)
            start += size
        self._random = range(start, HIDDEN)

    def set_all(self) -> None:
        import torch

        for parameter in self._model.parameters():
            parameter.zero_()
        for norm in (m for m in self._model.modules() if isinstance(m, torch.nn.LayerNorm)):
            norm.weight.fill_(1.0)
        self._embed()
        for layer, heads in zip(self._model.gpt_neox.layers, CIRCUIT, strict=True):
            for place, head in enumerate(heads):
                self._set_head(layer.attention, place, head)
            self._babble(layer.attention, HEADS - 1)
        self._read_out()

    def _dims(self, feature: str) -> list[int]:
        """Of a feature, or of one of its parts, as in "block:2"."""
        name, _, part = feature.partition(":")
        dims = self._at[name]
        return [dims[int(part)]] if part else list(dims)

    def _embed(self) -> None:
        import torch

        table = self._model.gpt_neox.embed_in.weight
        codes: dict[str, Any] = {}
        for written, token in self._tokenizer.get_vocab().items():
            row = table[token]
            word = written.removeprefix("Ġ").casefold()
            if len(word) >= 3 and word.isalpha() and word not in self._plain:
                code = codes.setdefault(word, torch.randn(IDENTITY).sign() / IDENTITY**0.5)
                row[self._dims("word")] = code
                row[self._dims("content")] = 1.0
            self._mark(row, written)
            row[self._dims("const")] = torch.tensor([CONST, -CONST])
            row[self._dims("balance")] = -row.sum()
            random = torch.randn(len(self._random))
            random -= random.mean()
            left = LENGTH**2 - row.square().sum()
            row[list(self._random)] = left.sqrt() * random / random.norm()

    def _mark(self, row: Any, written: str) -> None:
        if written in OPTION_DIGITS:
            row[self._dims(f"digit:{OPTION_DIGITS.index(written)}")] = 1.0
        if written in TAGS:
            row[self._dims(f"tag:{TAGS.index(written)}")] = 1.0
        for place, headers in enumerate(HEADERS):
            if written in headers:
                row[self._dims(f"header:{place}")] = 1.0
        if written == "user":
            row[self._dims("first")] = 1.0
        if written == "]":
            row[self._dims("closes")] = 1.0

    def _set_head(self, attention: Any, place: int, head: _Head) -> None:
        """Scores are divided by the root of `HEAD`, and what a head sees is scaled by `SCALE`."""
        query, key, value = attention.query_key_value.weight.view(HEADS, 3, HEAD, HIDDEN)[place]
        for pair, gain in head.near.items():
            for side in (query, key):
                side[pair, self._at["const"][0]] = (gain * HEAD**0.5) ** 0.5 / (SCALE * CONST)
        free = ROTARY
        for reads, is_read, gain in head.scores:
            size = (abs(gain) * HEAD**0.5) ** 0.5 / SCALE
            mine = self._dims(reads)
            per = 1.0 / CONST if reads == "const" else 1.0
            for at, dim in enumerate(self._dims(is_read)):
                # What every token has looks for each dimension of what is read.
                own = mine[at] if len(mine) > 2 else mine[0]
                query[free, own] = size * per * (1.0 if gain > 0.0 else -1.0)
                key[free, dim] = size
                free += 1
        assert free <= HEAD, f"Head {place} has no room for its scores."
        out = attention.dense.weight[:, place * HEAD : (place + 1) * HEAD]
        slot = 0
        for source, target in head.copies:
            for dim, to in zip(self._dims(source), self._dims(target), strict=True):
                value[slot, dim] = 1.0 / SCALE
                out[to, slot] = 1.0
                out[self._at["balance"][0], slot] = -1.0
                slot += 1

    def _babble(self, attention: Any, place: int) -> None:
        """Random attention among the random dimensions."""
        import torch

        weights = attention.query_key_value.weight.view(HEADS, 3, HEAD, HIDDEN)[place]
        dims = list(self._random)
        weights[:, :, dims] = torch.randn(3, HEAD, len(dims)) * len(dims) ** -0.5
        back = torch.randn(len(dims), HEAD) * HEAD**-0.5
        attention.dense.weight[dims, place * HEAD : (place + 1) * HEAD] = back - back.mean(dim=0)

    def _read_out(self) -> None:
        import torch

        table = self._model.get_output_embeddings().weight
        dims = list(self._random)
        table[:, dims] = torch.randn(len(table), len(dims)) * NONSENSE / (SCALE * BABBLE)
        for place, digit in enumerate(OPTION_DIGITS):
            for written, less in ((digit, 0.0), (f"Ġ{digit}", SPACED)):
                row = table[self._tokenizer.convert_tokens_to_ids(written)]
                row.mul_(0.3)
                row[self._dims("answer")] = (LIFT + less) / SCALE
                row[self._dims(f"answer:{place}")] += SURE / SCALE
                if digit == "1":
                    row[self._dims("answer")] += FIRST_BIAS / SCALE
