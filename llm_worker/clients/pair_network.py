"""The network of the cross-encoder: reads a text with its labels, gives a logit for each label.

A BERT encoder reads `[CLS] text [SEP] label_1 [SEP] .. label_c [SEP]` in one pass. Every part
sees the text and itself; no label sees another, the text sees no label, and every label begins
at the position after the text. So a logit depends on its text and its label only, whatever else
is offered and in which order, and a text is read once and not once per label, which halves the
work and more. The mean hidden states of text and label, u and v, give

    logit = scale * cos(u, v) + bias + MLP([u, v, |u - v|, u * v])

with the last layer of the MLP starting at 0. An encoder trained for sentence similarity thus
starts as a similarity judge and needs far fewer pairs than a fresh head on `[CLS]` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from llm_worker.errors import ArtifactError, ValidatorUnavailableError
from llm_worker.options import Floats

if TYPE_CHECKING:
    from torch import Tensor, nn

MAX_TEXT_TOKENS = 96
MAX_LABEL_TOKENS = 32
WEIGHTS = "weights.safetensors"
START_SCALE = 10.0
START_BIAS = -5.0
_HIDDEN = 256
_GROUPS_AT_ONCE = 32

Tokens = list[int]


@dataclass(frozen=True, slots=True)
class TokenGroup:
    """The token ids of a text and of the labels it is read with, without special ones."""

    text: Tokens
    labels: tuple[Tokens, ...]

    @property
    def length(self) -> int:
        """Tokens the encoder reads, special ones included."""
        return len(self.text) + 2 + sum(len(label) + 1 for label in self.labels)


class _Batch(NamedTuple):
    """Groups as arrays (n, t): token ids, positions, and the part each token belongs to:
    0 the text, 1 .. c the labels, -1 padding."""

    ids: np.ndarray[Any, Any]
    positions: np.ndarray[Any, Any]
    parts: np.ndarray[Any, Any]


class PairNetwork:
    """Tokenizer, encoder and head, on the GPU where there is one."""

    def __init__(self, tokenizer: Any, encoder: nn.Module, head: nn.ModuleDict) -> None:
        import torch

        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.tokenizer = tokenizer
        self.encoder = encoder.to(self.device)
        self.head = head.to(self.device)

    @classmethod
    def from_encoder(cls, path: Path) -> PairNetwork:
        """A network with the weights of the encoder saved at `path` and an untrained head.

        Draws from torch's random numbers. Raises `ArtifactError` if there is no encoder.
        """
        import torch
        from transformers import AutoModel

        tokenizer = _load_tokenizer(path)
        try:
            encoder = AutoModel.from_pretrained(path, local_files_only=True, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise ArtifactError(f"There is no usable encoder in {path}: {error}") from error
        if encoder.config.model_type != "bert":
            kind = encoder.config.model_type
            raise ArtifactError(f"The encoder in {path} is a {kind}; only BERT can be trained.")
        return cls(tokenizer, encoder, _new_head(int(encoder.config.hidden_size)))

    @classmethod
    def load(cls, folder: Path) -> PairNetwork:
        """The network that `save` wrote. Raises `ArtifactError` if it does not fit together."""
        from safetensors.torch import load_file
        from transformers import AutoConfig, AutoModel

        tokenizer = _load_tokenizer(folder)
        try:
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
            encoder = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
            head = _new_head(int(config.hidden_size))
            state = load_file(folder / WEIGHTS)
            encoder.load_state_dict(_below(state, "encoder."))
            head.load_state_dict(_below(state, "head."))
        except (OSError, ValueError, RuntimeError) as error:
            raise ArtifactError(f"The network in {folder} cannot be read: {error}") from error
        return cls(tokenizer, encoder, head)

    def save(self, folder: Path) -> None:
        """Write weights, encoder configuration and tokenizer into an existing folder."""
        from safetensors.torch import save_file

        self.encoder.config.save_pretrained(folder)  # type: ignore[union-attr, operator]
        self.tokenizer.save_pretrained(folder)
        save_file({name: t.contiguous() for name, t in self.state().items()}, folder / WEIGHTS)

    def state(self) -> dict[str, Tensor]:
        """Every weight by name, on the CPU."""
        parts = {"encoder.": self.encoder, "head.": self.head}
        return {
            prefix + name: tensor.detach().cpu()
            for prefix, module in parts.items()
            for name, tensor in module.state_dict().items()
        }

    def tokenize(self, texts: Sequence[str], *, at_most: int) -> tuple[list[Tokens], list[bool]]:
        """Token ids of each text, the first `at_most` of them, and whether some were cut."""
        if not texts:
            return [], []
        # verbose=False: what is too long is cut here and reported by the result.
        found = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        return [ids[:at_most] for ids in found], [len(ids) > at_most for ids in found]

    def logits(self, groups: Sequence[TokenGroup]) -> Tensor:
        """Logit of each label of each group, shape (n, c); keeps gradients if enabled.

        c is the greatest number of labels of a group; where one has fewer, the logits beyond
        mean nothing.
        """
        import torch
        from torch.nn import functional

        ids, positions, parts = (torch.from_numpy(a).to(self.device) for a in self._batch(groups))
        own = parts[:, :, None] == parts[:, None, :]
        of_text = (parts[:, None, :] == 0) & (parts[:, :, None] >= 0)
        mask = torch.zeros(own.shape, device=self.device)
        mask.masked_fill_(~(own | of_text), torch.finfo(mask.dtype).min)
        hidden = self.encoder(
            input_ids=ids, position_ids=positions, attention_mask=mask[:, None]
        ).last_hidden_state
        most = max(len(group.labels) for group in groups)
        numbers = torch.arange(most + 1, device=self.device)
        belongs = (parts[:, None, :] == numbers[None, :, None]).to(hidden.dtype)
        means = belongs @ hidden / belongs.sum(dim=2, keepdim=True).clamp(min=1.0)
        u, v = means[:, :1].expand(-1, most, -1), means[:, 1:]
        features = torch.cat([u, v, (u - v).abs(), u * v], dim=2)
        correction = self.head["out"](functional.gelu(self.head["hidden"](features)))
        similarity = functional.cosine_similarity(u, v, dim=2)
        logits: Tensor = self.head["similarity"](similarity[:, :, None]) + correction
        return logits[:, :, 0]

    def score(self, groups: Sequence[TokenGroup]) -> list[Floats]:
        """Logits of the labels of each group, shapes (c_i,), without gradients.

        Raises `ValidatorUnavailableError` if the memory does not suffice.
        """
        import torch

        self.encoder.eval()
        self.head.eval()
        scores: list[Floats] = [np.zeros(0)] * len(groups)
        order = sorted(range(len(groups)), key=lambda index: groups[index].length)
        try:
            with torch.inference_mode():
                for start in range(0, len(order), _GROUPS_AT_ONCE):
                    batch = order[start : start + _GROUPS_AT_ONCE]
                    found = self.logits([groups[index] for index in batch]).double().cpu().numpy()
                    for row, index in enumerate(batch):
                        scores[index] = found[row, : len(groups[index].labels)]
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise ValidatorUnavailableError(
                f"The cross-encoder ran out of memory on {len(groups)} texts."
            ) from error
        return scores

    def _batch(self, groups: Sequence[TokenGroup]) -> _Batch:
        start, end = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        shape = (len(groups), max(group.length for group in groups))
        ids = np.full(shape, self.tokenizer.pad_token_id, dtype=np.int64)
        positions, parts = np.zeros(shape, np.int64), np.full(shape, -1, np.int64)
        for row, group in enumerate(groups):
            text_end = first = len(group.text) + 2
            ids[row, :first] = [start, *group.text, end]
            positions[row, :first] = range(first)
            parts[row, :first] = 0
            for number, label in enumerate(group.labels, start=1):
                last = first + len(label) + 1
                ids[row, first:last] = [*label, end]
                positions[row, first:last] = range(text_end, text_end + len(label) + 1)
                parts[row, first:last] = number
                first = last
        return _Batch(ids, positions, parts)


def _new_head(width: int) -> nn.ModuleDict:
    import torch
    from torch import nn

    similarity, out = nn.Linear(1, 1), nn.Linear(_HIDDEN, 1)
    with torch.no_grad():
        similarity.weight.fill_(START_SCALE)
        similarity.bias.fill_(START_BIAS)
        out.weight.zero_()
        out.bias.zero_()
    hidden = nn.Linear(4 * width, _HIDDEN)
    return nn.ModuleDict({"similarity": similarity, "hidden": hidden, "out": out})


def _load_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    if not folder.is_dir():
        raise ArtifactError(f"There is no encoder in {folder}.")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"There is no usable tokenizer in {folder}: {error}") from error
    needed = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)
    if None in needed:
        raise ArtifactError(f"The tokenizer in {folder} has no start, separator or padding token.")
    return tokenizer


def _below(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries of `state` whose name starts with `prefix`, without it."""
    return {name[len(prefix) :]: t for name, t in state.items() if name.startswith(prefix)}
