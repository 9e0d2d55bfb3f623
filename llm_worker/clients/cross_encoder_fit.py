"""Training and calibration of the cross-encoder.

The loss of a text with its true label and m confused labels is the binary cross-entropy of the
1 + m logits plus the cross-entropy of softmax([logits, 0]) with the true label: the first makes
a logit mean something by itself, the second tells neighbours apart, as answering must.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from llm_worker.clients.pair_network import (
    MAX_LABEL_TOKENS,
    MAX_TEXT_TOKENS,
    PairNetwork,
    TokenGroup,
)
from llm_worker.errors import InvalidRequestError, TrainingDataError
from llm_worker.options import Floats, softmax

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

UNK_SHARE = 0.1
NO_LABEL = -1
MOST_HELD_OUT = 300
HELD_OUT_SHARE = 0.1
TEXTS_AT_ONCE = 16
ENCODER_RATE = 2e-4
HEAD_RATE = 1e-3
WEIGHT_DECAY = 0.01
WARM_UP = 0.1
_BATCHES_SORTED_TOGETHER = 12
_TEMPERATURES = np.geomspace(0.2, 10.0, 40)
_SHIFTS = np.linspace(-8.0, 8.0, 65)

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CrossEncoderSettings:
    """The calibration: see the module `cross_encoder` for what each number does."""

    temperature: float
    unk_logit: float
    binary_temperature: float
    binary_shift: float

    def __post_init__(self) -> None:
        finite = all(np.isfinite([self.unk_logit, self.binary_shift]))
        if not (finite and self.temperature > 0.0 and self.binary_temperature > 0.0):
            raise InvalidRequestError(f"These are no settings of a cross-encoder: {self}.")


class PairRows(NamedTuple):
    """Checked training rows: texts (n), label ids (n,), what is read of a label, confused
    labels (n, m) with `NO_LABEL` where a row has fewer."""

    texts: list[str]
    label_ids: Ids
    label_texts: Mapping[int, str]
    negatives: Ids

    @classmethod
    def checked(
        cls,
        texts: Sequence[str],
        label_ids: npt.ArrayLike,
        label_texts: Mapping[int, str],
        negatives: npt.ArrayLike,
    ) -> PairRows:
        """The rows, or a `TrainingDataError` that says what is wrong with them."""
        ids = np.asarray(label_ids, dtype=np.int64)
        confused = np.asarray(negatives, dtype=np.int64)
        if ids.shape != (len(texts),) or confused.shape[:1] != ids.shape or confused.ndim != 2:
            raise TrainingDataError(
                f"{len(texts)} texts came with labels {ids.shape} and negatives {confused.shape}."
            )
        if len(set(texts)) < 2 or confused.shape[1] < 1:
            raise TrainingDataError("A cross-encoder needs two different texts and a negative.")
        if not all(text.strip() for text in texts):
            raise TrainingDataError("A training text is empty.")
        unnamed = set(np.unique([*ids, *confused.ravel()]).tolist()) - {NO_LABEL, *label_texts}
        if unnamed or NO_LABEL in ids:
            raise TrainingDataError(f"No text was given for the labels {sorted(unnamed)}.")
        if (confused == ids[:, None]).any():
            raise TrainingDataError("A row has its true label among its negatives.")
        return cls(list(texts), ids, label_texts, confused)

    def at(self, index: Ids) -> PairRows:
        """The rows at `index`."""
        texts = [self.texts[row] for row in index]
        return PairRows(texts, self.label_ids[index], self.label_texts, self.negatives[index])


def split_rows(rows: PairRows, *, max_pairs: int, seed: int) -> tuple[PairRows, PairRows]:
    """Rows to train on, at most `max_pairs` pairs, and rows held out; no text is in both."""
    if max_pairs < 1:
        raise TrainingDataError("There must be at least one pair to train on.")
    groups = np.unique(np.asarray(rows.texts), return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(int(groups.max()) + 1)
    aside = min(MOST_HELD_OUT, max(1, int(HELD_OUT_SHARE * len(order))))
    held_out = np.isin(groups, order[:aside])
    place = np.argsort(order)[groups]
    train = np.flatnonzero(~held_out)
    train = train[np.argsort(place[train], kind="stable")]
    train = train[: max(1, max_pairs // (1 + rows.negatives.shape[1]))]
    return rows.at(train), rows.at(np.flatnonzero(held_out))


def train_network(
    network: PairNetwork,
    rows: PairRows,
    *,
    epochs: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Train in place with AdamW, a linear warm-up and decay, and clipped gradients.

    The word embeddings stay as they are: they are half of all weights and a few thousand pairs
    touch few of them.
    """
    import torch

    groups, there = _groups(network, rows)
    weights = _trained_weights(network)
    optimizer = torch.optim.AdamW(
        [
            {"params": weights, "lr": ENCODER_RATE},
            {"params": list(network.head.parameters()), "lr": HEAD_RATE},
        ],
        weight_decay=WEIGHT_DECAY,
    )
    steps = epochs * -(-len(groups) // TEXTS_AT_ONCE)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / (WARM_UP * steps), 1.0 - step / steps)
    )
    network.encoder.train()
    network.head.train()
    done, total = 0, epochs * int(there.sum())
    generator = np.random.default_rng(seed)
    for _ in range(epochs):
        for batch in _batches(groups, generator):
            loss = _loss(network.logits([groups[row] for row in batch]), there[batch])
            _step(loss, optimizer, weights)
            schedule.step()
            done += int(there[batch].sum())
            if progress is not None:
                progress(done, total)


def _trained_weights(network: PairNetwork) -> list[nn.Parameter]:
    """The weights of the layers; embeddings and the pooler, which is not used, are frozen."""
    trained = []
    for name, weight in network.encoder.named_parameters():
        weight.requires_grad_(name.startswith("encoder."))
        if weight.requires_grad:
            trained.append(weight)
    return trained


def _step(loss: Tensor, optimizer: Optimizer, weights: list[nn.Parameter]) -> None:
    import torch

    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()


def _loss(logits: Tensor, there: npt.NDArray[np.bool_]) -> Tensor:
    """The loss of the module's docstring; logits (n, c), the true label first, `there` (n, 1+m)
    false where there is no label."""
    import torch
    from torch.nn import functional

    mask = torch.from_numpy(there[:, : logits.shape[1]]).to(logits.device)
    target = torch.zeros_like(logits)
    target[:, 0] = 1.0
    single = functional.binary_cross_entropy_with_logits(logits[mask], target[mask])
    unk = torch.zeros(len(logits), 1, device=logits.device)
    offered = torch.cat([logits.masked_fill(~mask, -torch.inf), unk], dim=1)
    first = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    return single + functional.cross_entropy(offered, first)


def _groups(network: PairNetwork, rows: PairRows) -> tuple[list[TokenGroup], npt.NDArray[np.bool_]]:
    """Each text with its true label first and then its negatives; and which places, (n, 1 + m),
    hold a label. Missing negatives are moved to the end."""
    names = sorted(rows.label_texts)
    read = network.tokenize([rows.label_texts[i] for i in names], at_most=MAX_LABEL_TOKENS)[0]
    tokens = dict(zip(names, read, strict=True))
    texts = network.tokenize(rows.texts, at_most=MAX_TEXT_TOKENS)[0]
    groups, there = [], np.zeros((len(texts), 1 + rows.negatives.shape[1]), dtype=bool)
    for row, text in enumerate(texts):
        labels = [int(rows.label_ids[row])]
        labels += [label for label in rows.negatives[row].tolist() if label != NO_LABEL]
        there[row, : len(labels)] = True
        groups.append(TokenGroup(text, tuple(tokens[label] for label in labels)))
    return groups, there


def _batches(groups: Sequence[TokenGroup], generator: np.random.Generator) -> Iterator[Ids]:
    """Indices of every group once, in batches of like length and random order."""
    order = generator.permutation(len(groups))
    span = TEXTS_AT_ONCE * _BATCHES_SORTED_TOGETHER
    batches: list[Ids] = []
    for start in range(0, len(order), span):
        part = sorted(order[start : start + span].tolist(), key=lambda row: groups[row].length)
        batches += [
            np.asarray(part[at : at + TEXTS_AT_ONCE]) for at in range(0, len(part), TEXTS_AT_ONCE)
        ]
    for index in generator.permutation(len(batches)):
        yield batches[index]


def fit_settings(network: PairNetwork, rows: PairRows) -> CrossEncoderSettings:
    """Calibrate on held-out rows by least negative log-likelihood over a grid.

    Multiclass: every row is asked with its true label and its negatives, and again with the
    negatives only, where `unk` is right; the second kind weighs `UNK_SHARE`. Binary: yes for
    the true label, no for the negatives, both sides weighing the same.
    """
    groups, there = _groups(network, rows)
    scores = np.full(there.shape, -np.inf)
    for row, found in enumerate(network.score(groups)):
        scores[row, : len(found)] = found
    asked = there[:, 1:].any(axis=1)
    temperature, unk_logit = _least(
        lambda t, b: (
            (1.0 - UNK_SHARE) * _multiclass_nll(scores, t, b, right=0)
            + UNK_SHARE * _multiclass_nll(scores[asked, 1:], t, b, right=-1)
        )
    )
    yes, no = scores[:, 0], scores[:, 1:][there[:, 1:]]
    binary_temperature, shift = _least(
        lambda t, b: _softplus_mean(-(yes + b) / t) + _softplus_mean((no + b) / t)
    )
    return CrossEncoderSettings(temperature, unk_logit, binary_temperature, shift)


def _least(loss: Callable[[float, float], float]) -> tuple[float, float]:
    """The pair of temperature and shift of least loss on the grid."""
    grid = [(float(t), float(b)) for t in _TEMPERATURES for b in _SHIFTS]
    return min(grid, key=lambda pair: loss(*pair))


def _multiclass_nll(scores: Floats, temperature: float, unk_logit: float, *, right: int) -> float:
    """Mean NLL of option `right` (an index, -1 for `unk`) over rows of logits (n, c)."""
    if not len(scores):
        return 0.0
    logits = np.concatenate([scores, np.full((len(scores), 1), unk_logit)], axis=1)
    shares = softmax(logits, temperature=temperature)[:, right]
    return float(-np.log(np.maximum(shares, 1e-12)).mean())


def _softplus_mean(values: Floats) -> float:
    """Mean of log(1 + exp(value)); 0 for none."""
    return float(np.logaddexp(0.0, values).mean()) if len(values) else 0.0
