"""The fine-tuned classifier: the whole encoder with a linear head, as LRSL's BERT-type models.

It costs minutes where the head on the frozen encoder costs seconds, and reads each text with an
encoder of its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rerank_engine.artifacts import read_artifact, write_artifact
from rerank_engine.encoder import Encoder
from rerank_engine.errors import TrainingDataError
from rerank_engine.precision import FLOAT32
from rerank_engine.tuning import (
    MODEL,
    Progress,
    TuneReport,
    TuneSettings,
    embed_all,
    load_model,
    model_files,
    seeded,
    token_ids,
    tune,
)

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor, nn

KIND = "tuned_classifier"
# Unit vectors differ little; the head reads them at the length that dropout and the initial
# weights of a linear layer are made for.
_SPREAD = 20.0


@dataclass(frozen=True)
class TunedSettings:
    """Fine-tuning with cross-entropy; `dropout` falls on what the head reads."""

    tune: TuneSettings = field(default_factory=lambda: TuneSettings(epochs=6, batch_size=32))
    dropout: float = 0.1
    smoothing: float = 0.05


@dataclass(frozen=True)
class TunedClassifier:
    """An encoder and the head trained with it: logits = weight @ vector + bias."""

    encoder: Encoder
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    report: TuneReport

    @property
    def n_classes(self) -> int:
        return len(self.bias)

    def logits(self, vectors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Raw scores of texts from the vectors (n, d) of its own encoder, float32 (n, C)."""
        result: NDArray[np.float32] = np.asarray(vectors @ self.weight.T + self.bias, np.float32)
        return result

    @classmethod
    def load(cls, folder: str | Path, *, precision: str = FLOAT32) -> TunedClassifier:
        """Read what `save_tuned_classifier` wrote; `precision` is that of its encoder.

        Raises ArtifactError.
        """
        artifact = read_artifact(folder, kind=KIND)
        return cls(
            Encoder.load(artifact.folder / MODEL, precision=precision),
            artifact.arrays["weight"],
            artifact.arrays["bias"],
            TuneReport(**artifact.metrics),
        )


def train_tuned_classifier(
    texts: Sequence[str],
    labels: NDArray[np.integer[Any]],
    *,
    n_classes: int,
    base: Path,
    validation: tuple[Sequence[str], NDArray[np.integer[Any]]] | None = None,
    seed: int,
    settings: TunedSettings | None = None,
    device: str | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> tuple[SentenceTransformer, nn.Linear, TuneReport]:
    """Train the encoder in `base` and a head on texts (n) and labels (n,) in 0 .. n_classes - 1.

    `validation` (texts, labels) stops training early by cross-entropy. `checkpoint` lets a
    training that was cut off go on. Raises TrainingDataError.
    """
    import torch

    chosen = settings or TunedSettings()
    codes = np.asarray(labels, dtype=np.int64)
    if codes.shape != (len(texts),) or len(np.unique(codes)) < 2:
        raise TrainingDataError("A classifier needs one label a text, and two labels at least.")
    if codes.min() < 0 or codes.max() >= n_classes:
        raise TrainingDataError(f"A label lies outside of 0 to {n_classes - 1}.")
    model = load_model(base, device)
    ids, _cut = token_ids(model, texts)
    width = int(model.get_embedding_dimension() or 0)
    with seeded(seed):
        linear = torch.nn.Linear(width, n_classes)
    head = torch.nn.Sequential(torch.nn.Dropout(chosen.dropout), linear).to(model.device)
    target = torch.from_numpy(codes).to(model.device)

    def loss(batch: NDArray[np.int64], vectors: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(
            head(_SPREAD * vectors), target[batch], label_smoothing=chosen.smoothing
        )

    report = tune(
        model,
        ids,
        loss,
        _validation(model, head, validation, chosen.tune.precision) if validation else None,
        head=head,
        settings=chosen.tune,
        seed=seed,
        checkpoint=checkpoint,
        progress=progress,
    )
    return model, linear, report


def _validation(
    model: SentenceTransformer,
    head: nn.Module,
    rows: tuple[Sequence[str], NDArray[np.integer[Any]]],
    precision: str,
) -> Any:
    import torch

    ids, _cut = token_ids(model, rows[0])
    target = torch.from_numpy(np.asarray(rows[1], dtype=np.int64)).to(model.device)

    def loss() -> float:
        with torch.inference_mode():
            scores = head(_SPREAD * embed_all(model, ids, precision=precision))
            return float(torch.nn.functional.cross_entropy(scores, target))

    return loss


def save_tuned_classifier(
    folder: str | Path,
    model: SentenceTransformer,
    linear: nn.Linear,
    report: TuneReport,
    *,
    data_hash: str,
    settings: TunedSettings,
) -> Path:
    """Write encoder and head as one artifact; returns the folder."""
    with tempfile.TemporaryDirectory() as aside:
        return write_artifact(
            folder,
            kind=KIND,
            arrays={
                "weight": _SPREAD * linear.weight.detach().cpu().numpy(),
                "bias": linear.bias.detach().cpu().numpy(),
            },
            extra_files=model_files(model, Path(aside)),
            manifest={
                "data_hash": data_hash,
                "settings": asdict(settings),
                "metrics": asdict(report),
            },
        )
