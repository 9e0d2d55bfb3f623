"""The semantic map: an encoder fine-tuned so that texts lie near their labels (LRSL section 3.1).

Multiple Negatives Ranking Loss over (text, true label, labels the classifier confuses it with).
Every distinct label text of a batch is encoded once a step, and its vector is used by all rows:
the true label of a row stands once among the choices, so it is never one of its own negatives.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rerank_engine.artifacts import read_artifact, write_artifact
from rerank_engine.encoder import Encoder
from rerank_engine.errors import ArtifactError, TrainingDataError
from rerank_engine.lrsl import SIMILARITY_SCALE
from rerank_engine.precision import FLOAT32
from rerank_engine.tuning import (
    MODEL,
    Progress,
    TuneReport,
    TuneSettings,
    embed,
    embed_all,
    load_model,
    model_files,
    token_ids,
    tune,
)

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

KIND = "semantic_map"
IntArray = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class MapSettings:
    """How the map is trained.

    `scale` multiplies the cosine before the softmax (the inverse temperature of MNRL), `smoothing`
    is label smoothing over the choices of a batch. Without `use_confused` the choices are the true
    labels of the batch alone (the paper's ablation "without triplets").
    """

    tune: TuneSettings = field(
        default_factory=lambda: TuneSettings(batch_size=128, learning_rate=3e-4)
    )
    scale: float = SIMILARITY_SCALE
    smoothing: float = 0.05
    use_confused: bool = True


DEFAULTS = MapSettings()


@dataclass(frozen=True)
class MapRows:
    """Rows to train a map on: texts, `codes` (n,) of their labels, and `confused` (n, k), the codes
    of the labels a classifier mixes each row up with, none of them its own (eq. 2 and 3)."""

    texts: Sequence[str]
    codes: IntArray
    confused: IntArray


@dataclass(frozen=True)
class SemanticMap:
    """A trained map: its encoder, and the vectors (C, d) of the labels named by `label_keys`."""

    encoder: Encoder
    label_keys: tuple[str, ...]
    label_vectors: NDArray[np.float32]
    report: TuneReport

    @classmethod
    def load(
        cls, folder: str | Path, *, label_keys: Sequence[str], precision: str = FLOAT32
    ) -> SemanticMap:
        """Read a map written by `save_semantic_map`; `precision` is that of its encoder.

        The labels are encoded here, so that their vectors and those of texts are of one precision.
        Raises ArtifactError, also where it was trained for other labels than `label_keys` or for
        the same in another order.
        """
        artifact = read_artifact(folder, kind=KIND)
        if artifact.settings["label_keys"] != list(label_keys):
            raise ArtifactError(
                f"The semantic map at {folder} was trained for another label set: train it again."
            )
        if "label_texts" not in artifact.settings:
            raise ArtifactError(
                f"The semantic map at {folder} is of an earlier form: train it again."
            )
        encoder = Encoder.load(artifact.folder / MODEL, precision=precision)
        label_vectors = encoder.encode(artifact.settings["label_texts"])
        return cls(encoder, tuple(label_keys), label_vectors, TuneReport(**artifact.metrics))


def save_semantic_map(
    folder: str | Path,
    model: SentenceTransformer,
    report: TuneReport,
    *,
    label_keys: Sequence[str],
    label_texts: Sequence[str],
    data_hash: str,
    settings: MapSettings = DEFAULTS,
) -> Path:
    """Write a trained model with the texts of its labels as an artifact; returns the folder.

    `label_keys` name the labels for good, `label_texts` are what was read of them in training.
    """
    with tempfile.TemporaryDirectory() as aside:
        return write_artifact(
            folder,
            kind=KIND,
            arrays={},
            extra_files=model_files(model, Path(aside)),
            manifest={
                "data_hash": data_hash,
                "settings": stored_settings(label_keys, label_texts, settings),
                "metrics": asdict(report),
            },
        )


def stored_settings(
    label_keys: Sequence[str], label_texts: Sequence[str], settings: MapSettings = DEFAULTS
) -> dict[str, Any]:
    """The settings a saved map carries, as `artifacts.find_matching` wants them."""
    return {
        "label_keys": list(label_keys),
        "label_texts": list(label_texts),
        "map": asdict(settings),
    }


def confused_labels(logits: NDArray[np.floating[Any]], codes: IntArray, *, k: int) -> IntArray:
    """The k labels with the highest logits but the true one: (n, C), (n,) -> (n, min(k, C - 1)).

    Eq. 2 and 3. The logits should come from a classifier that did not see the row. Unknown ones
    (NaN) come last.
    """
    values = np.where(np.isnan(logits), -np.inf, np.asarray(logits, dtype=np.float64))
    values[np.arange(len(codes)), codes] = -np.inf
    order = np.argsort(-values, axis=1, kind="stable")
    # The true label has -inf like unknown ones; wherever it landed, it must not be chosen.
    rest = order[order != np.asarray(codes)[:, None]].reshape(len(codes), values.shape[1] - 1)
    found: NDArray[np.int64] = rest[:, : min(k, values.shape[1] - 1)].astype(np.int64)
    return found


def train_semantic_map(
    rows: MapRows,
    label_texts: Sequence[str],
    *,
    base: Path,
    validation: tuple[Sequence[str], IntArray] | None = None,
    seed: int,
    settings: MapSettings = DEFAULTS,
    device: str | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> tuple[SentenceTransformer, TuneReport]:
    """Fine-tune the encoder in `base` on `rows`; returns the model and how training went.

    `label_texts` are what is read of each label, in the order of the codes. `validation` (texts,
    codes) stops training early by the negative log-likelihood of softmax(scale * cosine) over all
    labels; without it all epochs are run. Raises TrainingDataError.
    """
    _check(rows, len(label_texts))
    model = load_model(base, device)
    ids, _cut = token_ids(model, rows.texts)
    label_ids, _cut = token_ids(model, label_texts)
    report = tune(
        model,
        ids,
        _batch_loss(model, rows, label_ids, settings),
        _validation(model, label_ids, validation, settings) if validation else None,
        settings=settings.tune,
        seed=seed,
        checkpoint=checkpoint,
        progress=progress,
    )
    return model, report


def _check(rows: MapRows, n_labels: int) -> None:
    codes, confused = np.asarray(rows.codes), np.asarray(rows.confused)
    if codes.shape != (len(rows.texts),) or confused.ndim != 2 or len(confused) != len(codes):
        raise TrainingDataError(
            f"{len(rows.texts)} texts came with labels {codes.shape} and confused labels "
            f"{confused.shape}."
        )
    if len(np.unique(codes)) < 2:
        raise TrainingDataError("A semantic map needs texts of at least two labels.")
    found = np.concatenate([codes, confused.ravel()])
    if found.min() < 0 or found.max() >= n_labels:
        raise TrainingDataError(f"A label lies outside of 0 to {n_labels - 1}.")
    if (confused == codes[:, None]).any():
        raise TrainingDataError("A row has its true label among its confused ones.")


def _batch_loss(
    model: SentenceTransformer, rows: MapRows, label_ids: list[list[int]], settings: MapSettings
) -> Callable[[NDArray[np.int64], Tensor], Tensor]:
    import torch

    codes, confused = np.asarray(rows.codes), np.asarray(rows.confused)

    def loss(batch: NDArray[np.int64], vectors: Tensor) -> Tensor:
        named = [codes[batch]] + ([confused[batch].ravel()] if settings.use_confused else [])
        choices = np.unique(np.concatenate(named))
        target = torch.from_numpy(np.searchsorted(choices, codes[batch])).to(vectors.device)
        chosen = [label_ids[code] for code in choices]
        labels = embed(model, chosen, precision=settings.tune.precision)
        return torch.nn.functional.cross_entropy(
            settings.scale * vectors @ labels.T, target, label_smoothing=settings.smoothing
        )

    return loss


def _validation(
    model: SentenceTransformer,
    label_ids: list[list[int]],
    rows: tuple[Sequence[str], IntArray],
    settings: MapSettings,
) -> Callable[[], float]:
    import torch

    ids, _cut = token_ids(model, rows[0])
    target = torch.from_numpy(np.asarray(rows[1], dtype=np.int64)).to(model.device)

    def loss() -> float:
        texts, labels = (
            embed_all(model, each, precision=settings.tune.precision) for each in (ids, label_ids)
        )
        scores = settings.scale * texts @ labels.T
        return float(torch.nn.functional.cross_entropy(scores, target))

    return loss
