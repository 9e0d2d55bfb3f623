"""A tiny causal language model, trained from nothing on a made option task (`tests.made_task`).

It is no LLM. It has three layers of 64 dimensions, and reads the product's own prompts: which of
five labels, in any order, does a text belong to, and does it belong to this one? It learns the
words of twelve labels in 26,000 prompts, about a minute of one core, because

- its tokenizer has a token for each sentence of the prompts and for each word of the task, so that
  a prompt is 60 tokens long;
- its weights are ten times larger at first than is usual: with the usual ones it learned nothing
  in that time;
- besides the answer, what its first layer says at the name of each option is trained: the option's
  digit where the text is the label's, else 0. With the answer alone it learned nothing either.

A few prompts are about labels and in words that it knows nothing of, in all three languages; the
answer is 0. The digits are learned in both spellings, with a space before them and
without, as larger models have them.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
import os
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llm_worker.prompts.build import PREFILL, build_prompt
from llm_worker.prompts.families import FAMILIES, NEWEST
from llm_worker.types import Candidate, Question, ValidationRequest
from tests import made_task

CONTEXT = 2048
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
DIGITS = tuple("0123456789")
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\n' + message.content }}"
    "{% if not (loop.last and continue_final_message) %}{{ '<|im_end|>\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LAYERS, HIDDEN, HEADS, WEIGHT = 3, 64, 2, 0.2
STEPS, BATCH, RATE = 900, 32, 4e-3
WARM_UP, LEVEL = 30, 0.6
"""Steps in which the rate rises, and the share of all after which it falls."""
SPACED = 0.2
"""Of an answer's probability, what the spelling with a space before the digit is to have."""
STRANGE_EVERY, STRANGE_BATCH = 8, 4
"""One in so many batches is of so many strange prompts, which are long."""
LETTERS = "abcdefghijklmnoprstuvw"
BLOCKS = (
    "\n\n[LABEL]\nName:\n| ",
    "\n[/LABEL]",
    "\n\n[TEXT]\n| ",
    "\n[/TEXT]",
    "\n\n[OPTIONS]\n",
    "\n[/OPTIONS]",
    "yes, it belongs to:",
)
SHORT = 12
"""Lines of ours below that length are no tokens of their own: they may stand in a text."""


def lines_of_prompts() -> list[str]:
    """Every line that all prompt families have between them."""
    return [line for family in FAMILIES.values() for line in _lines(asdict(family))]


def _lines(content: object) -> Iterator[str]:
    if isinstance(content, Mapping):
        for value in content.values():
            yield from _lines(value)
    elif isinstance(content, str):
        yield from content.splitlines()


def trained(cache: Path) -> Path:
    """The folder of the trained model, from `cache` if the same recipe was followed before."""
    versions = [importlib.metadata.version(name) for name in ("torch", "transformers")]
    own = [inspect.getsource(made_task), Path(__file__).read_text(encoding="utf-8")]
    recipe = json.dumps([*own, *versions, lines_of_prompts()])
    folder = cache / hashlib.sha256(recipe.encode()).hexdigest()[:24]
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as fresh:
            made = Path(fresh) / "model"
            _train(made)
            try:
                os.rename(made, folder)
            except OSError:  # another run was quicker
                if not folder.exists():
                    raise
    return folder


def make_tokenizer(
    lines: Sequence[str],
    words: Sequence[str] = (),
    *,
    whole: Sequence[str] = (),
    size: int = 2000,
    splits: bool = False,
    pairs: bool = False,
) -> Any:
    """Byte-level BPE of `size` tokens, learned from `lines`, besides which a digit and each of
    `words` is one token, with and without a space before it, and so is each of `whole`.

    With `splits` the space before a number is always a token of its own; with `pairs` a number of
    two digits is one token.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if splits:
        apart = pre_tokenizers.Split(Regex("[0-9]{1,2}"), behavior="isolated")
        bpe.pre_tokenizer = pre_tokenizers.Sequence([apart, bpe.pre_tokenizer])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size + 2 * len(words),
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    spaced = [f"option {digit} or {digit}" for digit in DIGITS] * 50
    numbers = [f"option {number} or({number}" for number in range(10, 20)] * 50 if pairs else []
    each = [f"{word} {word}" for word in words] * 20
    bpe.train_from_iterator([*lines, *spaced, *numbers, *each], trainer)
    wrapped: Any = PreTrainedTokenizerFast
    tokenizer = wrapped(tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in dict.fromkeys(whole)])
    tokenizer.chat_template = TEMPLATE
    return tokenizer


BLOCK_LINES = (
    "user\nassistant\n[ANSWER]",
    *(f"[{tag}]\n[/{tag}]" for tag in ("TEXT", "OPTIONS", "LABEL", "RETRIEVED")),
)


def make_network(tokenizer: Any, *, layers: int, hidden: int, heads: int, weight: float) -> Any:
    """An untrained network of random weights."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    # Tokenizers of this architecture keep the space before a digit, as those of Qwen do not.
    config = GPTNeoXConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=CONTEXT,
        initializer_range=weight,
        bos_token_id=None,
        eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
    )
    return GPTNeoXForCausalLM(config)


def chat(text: str) -> str:
    """A prompt with the answer begun, as the template writes it."""
    return f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n{PREFILL}"


def _train(folder: Path) -> None:
    import torch

    sentences = [line for line in lines_of_prompts() if len(line) >= SHORT and "{" not in line]
    tokenizer = make_tokenizer(BLOCK_LINES * 50, made_task.VOCABULARY, whole=[*BLOCKS, *sentences])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make_network(tokenizer, layers=LAYERS, hidden=HIDDEN, heads=HEADS, weight=WEIGHT)
        _Training(model, tokenizer).run()
    model.eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@dataclass(frozen=True)
class _Batch:
    """Tokens (n, length), the place of the last of each row, and what is to be said there; the
    places (row, token) of the names of options, and what the first layer is to say there."""

    tokens: Any
    last: Any
    right: Any
    names: tuple[Sequence[int], Sequence[int]]
    marks: Any


class _Training:
    def __init__(self, model: Any, tokenizer: Any) -> None:
        import torch

        self._model, self._tokenizer = model, tokenizer
        self._early = torch.nn.Linear(HIDDEN, 6)
        weights = [*model.parameters(), *self._early.parameters()]
        self._optimizer = torch.optim.AdamW(weights, betas=(0.9, 0.98), weight_decay=0.01)
        self._weights = weights
        self._digits = tokenizer.convert_tokens_to_ids(list("012345"))
        self._spaced = tokenizer.convert_tokens_to_ids([f"Ġ{digit}" for digit in "012345"])
        self._labels = set(tokenizer.convert_tokens_to_ids([f"Ġ{n}" for n in made_task.LABELS]))

    def run(self) -> None:
        import torch

        for step in range(STEPS):
            rises, falls = (step + 1) / WARM_UP, (1.0 - step / STEPS) / (1.0 - LEVEL)
            for group in self._optimizer.param_groups:
                group["lr"] = RATE * min(1.0, rises, falls)
            loss = self._loss(self._batch(step))
            self._optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self._weights, 1.0)
            self._optimizer.step()

    def _loss(self, batch: _Batch) -> Any:
        from torch.nn.functional import cross_entropy

        read = self._model.gpt_neox(batch.tokens, output_hidden_states=True)
        states = read.last_hidden_state[range(len(batch.last)), batch.last]
        logits = self._model.get_output_embeddings()(states).log_softmax(dim=-1)
        rows = range(len(batch.last))
        spellings = zip((self._digits, self._spaced), (1.0 - SPACED, SPACED), strict=True)
        answer = sum(
            -share * logits[rows, [ids[digit] for digit in batch.right]].mean()
            for ids, share in spellings
        )
        if not len(batch.marks):
            return answer
        return answer + cross_entropy(self._early(read.hidden_states[1][batch.names]), batch.marks)

    def _batch(self, step: int) -> _Batch:
        import torch

        question: Question = "multiclass" if step % 2 else "binary"
        if step % STRANGE_EVERY == STRANGE_EVERY // 2:
            rows = [_strange(step * BATCH + place) for place in range(STRANGE_BATCH)]
        else:
            rows = [_exercise(step * BATCH + place, question) for place in range(BATCH)]
        read = self._tokenizer([chat(text) for text, _digit in rows]).input_ids
        longest = max(map(len, read))
        tokens = torch.tensor([ids + [0] * (longest - len(ids)) for ids in read])
        right = [digit for _text, digit in rows]
        row_of, place_of, marks = [], [], []
        offered = 5 if question == "multiclass" else 1
        for row, ids in enumerate(read):
            # The options stand last; labels that the model does not know have no such token.
            places = [place for place, token in enumerate(ids) if token in self._labels][-offered:]
            for number, place in enumerate(places, start=1):
                row_of.append(row)
                place_of.append(place)
                marks.append(number if right[row] == number else 0)
        last = [len(ids) - 1 for ids in read]
        return _Batch(tokens, last, right, (row_of, place_of), torch.tensor(marks))


def _exercise(seed: int, question: Question) -> tuple[str, int]:
    """A prompt of the made task and the digit that is right."""
    one = made_task.made(seed, question, unseen=False)
    prompt = build_prompt(NEWEST["prob"]["en"], one.request)
    return prompt.text, int(prompt.symbols[one.request.options.index(one.right)])


def _strange(seed: int) -> tuple[str, int]:
    """A prompt about labels and in words that mean nothing, and 0."""
    rng = random.Random(seed)

    def said(most: int) -> str:
        words = range(rng.randint(1, most))
        return " ".join("".join(rng.choices(LETTERS, k=rng.randint(2, 7))) for _ in words)

    cards = tuple(Candidate(n, said(2), said(6), (said(6),)) for n in range(1, 6))
    family = NEWEST["prob"][rng.choice(("en", "ru", "zh"))]
    question: Question = rng.choice(("multiclass", "binary"))
    asked = 1 if question == "binary" else None
    return build_prompt(family, ValidationRequest(1, said(10), question, cards, asked)).text, 0
