"""The embedded upstream classifier: a small head on a frozen encoder.

Features are standardised; one hidden layer with heavy dropout is trained with cross-entropy and
its weights are averaged over the last steps (exponentially). A stratified tenth of the rows,
held out, says after how many epochs the cross-entropy is lowest; the head is then trained on all
rows for as long. The same seed gives the same head on the same machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rerank_engine.artifacts import read_artifact, write_artifact
from rerank_engine.errors import ArtifactError, TrainingDataError

if TYPE_CHECKING:
    from torch import Tensor, nn

KIND = "head_classifier"
Progress = Callable[[int, int], None]
FloatArray = NDArray[np.floating[Any]]

# A dimension that never moves (the built-in encoder has two) must not be blown up by its noise.
_SMALLEST_SPREAD = 1e-6
# Small data sets have few steps in an epoch, so they may take more epochs.
_FEWEST_STEPS = 300
_ARRAYS = ("mean", "scale", "hidden_weight", "hidden_bias", "output_weight", "output_bias")


@dataclass(frozen=True)
class HeadSettings:
    """Settings of the training, chosen on a held-out fifth of Banking77's training rows."""

    hidden: int = 512
    input_dropout: float = 0.4
    hidden_dropout: float = 0.5
    learning_rate: float = 1e-3
    weight_decay: float = 0.5
    batch_size: int = 256
    max_epochs: int = 60
    patience: int = 6
    averaging: float = 0.98
    held_out: float = 0.1


DEFAULTS = HeadSettings()


@dataclass(frozen=True)
class HeadClassifier:
    """A trained head: standardise, hidden layer with ReLU, output; numpy only.

    `metrics` holds epochs, rows, and the accuracy and cross-entropy of the held-out rows (absent
    where there were too few rows to hold any out).
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    hidden_weight: NDArray[np.float32]
    hidden_bias: NDArray[np.float32]
    output_weight: NDArray[np.float32]
    output_bias: NDArray[np.float32]
    seed: int
    settings: HeadSettings = DEFAULTS
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def n_classes(self) -> int:
        return len(self.output_bias)

    def logits(self, embeddings: FloatArray) -> NDArray[np.float32]:
        """Raw scores, (n, d) -> float32 (n, C). Raises TrainingDataError for another width."""
        values = np.asarray(embeddings, dtype=np.float32)
        if values.ndim != 2 or values.shape[1] != len(self.mean):
            raise TrainingDataError(
                f"Embeddings of shape {values.shape} do not fit a head for {len(self.mean)} "
                "dimensions; was it trained with another encoder?"
            )
        hidden = (values - self.mean) / self.scale @ self.hidden_weight.T + self.hidden_bias
        result: NDArray[np.float32] = (
            np.maximum(hidden, 0.0) @ self.output_weight.T + self.output_bias
        )
        return result

    def save(self, folder: str | Path, *, data_hash: str, encoder_fingerprint: str) -> Path:
        """Write the head as an artifact; returns the folder."""
        return write_artifact(
            folder,
            kind=KIND,
            arrays={name: getattr(self, name) for name in _ARRAYS},
            manifest={
                "data_hash": data_hash,
                "settings": stored_settings(
                    n_classes=self.n_classes,
                    seed=self.seed,
                    encoder_fingerprint=encoder_fingerprint,
                    settings=self.settings,
                ),
                "metrics": self.metrics,
            },
        )

    @classmethod
    def load(cls, folder: str | Path, *, encoder_fingerprint: str) -> HeadClassifier:
        """Read a head written by `save`. Raises ArtifactError, also for another encoder."""
        artifact = read_artifact(folder, kind=KIND)
        if artifact.settings["encoder"] != encoder_fingerprint:
            raise ArtifactError(
                f"The classifier at {folder} was trained with the encoder "
                f"{artifact.settings['encoder']}, not {encoder_fingerprint}."
            )
        return cls(
            **{name: artifact.arrays[name] for name in _ARRAYS},
            seed=artifact.settings["seed"],
            settings=HeadSettings(**artifact.settings["head"]),
            metrics=artifact.metrics,
        )


def stored_settings(
    *, n_classes: int, seed: int, encoder_fingerprint: str, settings: HeadSettings = DEFAULTS
) -> dict[str, Any]:
    """The settings a saved head carries, as `artifacts.find_matching` wants them."""
    return {
        "n_classes": n_classes,
        "seed": seed,
        "encoder": encoder_fingerprint,
        "head": asdict(settings),
    }


def train_classifier(
    embeddings: FloatArray,
    labels: NDArray[np.integer[Any]],
    *,
    n_classes: int,
    seed: int,
    settings: HeadSettings = DEFAULTS,
    progress: Progress | None = None,
) -> HeadClassifier:
    """Train a head on embeddings (n, d) and labels (n,) in 0 .. n_classes - 1.

    A class may lack rows; its score will be low everywhere. `progress` is called with (epochs
    done, epochs in all), where the second number shrinks when training stops early. Raises
    TrainingDataError for rows that cannot train.
    """
    values, truth = _checked(embeddings, labels, n_classes)
    with _one_thread():
        return _train(values, truth, n_classes, seed, settings, progress)


@contextmanager
def _one_thread() -> Iterator[None]:
    """A head is small: threads that wait for each other cost more than they bring, many times
    more where other processes want the same cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train(
    values: NDArray[np.float32],
    truth: NDArray[np.int64],
    n_classes: int,
    seed: int,
    settings: HeadSettings,
    progress: Progress | None,
) -> HeadClassifier:
    held = hold_out(truth, settings.held_out, seed)
    limit = _epoch_limit(len(values), settings)
    metrics: dict[str, float] = {"rows": float(len(values))}
    epochs, searched = limit // 2, 0
    if held.any():
        search = _Training(values[~held], truth[~held], n_classes, seed, settings)
        found = _search_epochs(search, values[held], truth[held], limit, settings, progress)
        epochs, searched = int(found["epochs"]), limit
        metrics |= found
    metrics["epochs"] = float(epochs)
    final = _Training(values, truth, n_classes, seed, settings)
    for epoch in range(1, epochs + 1):
        final.run_epoch()
        if progress is not None:
            progress(searched + epoch, searched + epochs)
    return final.head(metrics)


def _checked(
    embeddings: FloatArray, labels: NDArray[np.integer[Any]], n_classes: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    values = np.asarray(embeddings, dtype=np.float32)
    truth = np.asarray(labels, dtype=np.int64)
    if values.ndim != 2 or truth.shape != (len(values),):
        raise TrainingDataError(
            f"Embeddings of shape {values.shape} came with labels of shape {truth.shape}."
        )
    if n_classes < 2 or len(np.unique(truth)) < 2:
        raise TrainingDataError("A classifier needs rows of at least two labels.")
    if truth.min() < 0 or truth.max() >= n_classes:
        raise TrainingDataError(f"A label lies outside of 0 to {n_classes - 1}.")
    if not np.isfinite(values).all():
        raise TrainingDataError("An embedding holds a number that is not finite.")
    return values, truth


def hold_out(labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """A stratified random share of the rows; every class keeps at least one row to train on.

    Rows are drawn class by class, the fraction of a row that is left over carrying on into the
    next class, so that classes of two rows are sometimes held out too.
    """
    rng = np.random.default_rng(seed)
    held = np.zeros(len(labels), dtype=bool)
    owed = 0.5
    for label in rng.permutation(np.unique(labels)):
        rows = rng.permutation(np.flatnonzero(labels == label))
        owed += share * len(rows)
        taken = min(math.floor(owed), len(rows) - 1)
        owed -= taken
        held[rows[:taken]] = True
    return held


def _epoch_limit(rows: int, settings: HeadSettings) -> int:
    steps = math.ceil(rows / _batch_size(rows, settings))
    return max(settings.max_epochs, math.ceil(_FEWEST_STEPS / steps))


def _batch_size(rows: int, settings: HeadSettings) -> int:
    return min(settings.batch_size, max(16, rows // 20))


def _search_epochs(
    training: _Training,
    values: NDArray[np.float32],
    labels: NDArray[np.int64],
    limit: int,
    settings: HeadSettings,
    progress: Progress | None,
) -> dict[str, float]:
    """Epochs with the lowest cross-entropy on the held-out rows, and how good it was there."""
    best = {"epochs": 1.0, "held_out_cross_entropy": math.inf, "held_out_accuracy": 0.0}
    for epoch in range(1, limit + 1):
        training.run_epoch()
        logits = training.head({}).logits(values).astype(np.float64)
        peak = logits.max(axis=1)
        total = peak + np.log(np.exp(logits - peak[:, None]).sum(axis=1))
        loss = float((total - logits[np.arange(len(labels)), labels]).mean())
        if loss < best["held_out_cross_entropy"]:
            accuracy = float((logits.argmax(axis=1) == labels).mean())
            best = {
                "epochs": float(epoch),
                "held_out_cross_entropy": loss,
                "held_out_accuracy": accuracy,
            }
        if progress is not None:
            progress(epoch, 2 * limit)
        if epoch - best["epochs"] >= max(settings.patience, limit // 10):
            break
    return best


class _Training:
    """One head in training, with a random generator of its own."""

    def __init__(
        self,
        values: NDArray[np.float32],
        labels: NDArray[np.int64],
        n_classes: int,
        seed: int,
        settings: HeadSettings,
    ) -> None:
        import torch
        from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

        self._settings, self._seed = settings, seed
        self._mean = values.mean(axis=0)
        spread = values.std(axis=0)
        self._scale = np.where(spread < _SMALLEST_SPREAD, 1.0, spread).astype(np.float32)
        self._inputs: Tensor = torch.from_numpy((values - self._mean) / self._scale)
        self._labels: Tensor = torch.from_numpy(labels)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._model = _network(values.shape[1], n_classes, settings)
            self._random_state = torch.get_rng_state()
        averaging = get_ema_multi_avg_fn(settings.averaging)  # type: ignore[no-untyped-call]
        self._average = AveragedModel(self._model, multi_avg_fn=averaging)
        self._optimizer = torch.optim.AdamW(
            self._model.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )

    def run_epoch(self) -> None:
        import torch

        rows = len(self._labels)
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self._random_state)
            order, size = torch.randperm(rows), _batch_size(rows, self._settings)
            for start in range(0, rows, size):
                batch = order[start : start + size]
                self._optimizer.zero_grad()
                loss = torch.nn.functional.cross_entropy(
                    self._model(self._inputs[batch]), self._labels[batch]
                )
                loss.backward()  # type: ignore[no-untyped-call]
                self._optimizer.step()
                self._average.update_parameters(self._model)
            self._random_state = torch.get_rng_state()

    def head(self, metrics: dict[str, float]) -> HeadClassifier:
        """The head with the averaged weights."""
        weights = [
            parameter.detach().numpy().copy() for parameter in self._average.module.parameters()
        ]
        hidden_weight, hidden_bias, output_weight, output_bias = weights
        return HeadClassifier(
            mean=self._mean,
            scale=self._scale,
            hidden_weight=hidden_weight,
            hidden_bias=hidden_bias,
            output_weight=output_weight,
            output_bias=output_bias,
            seed=self._seed,
            settings=self._settings,
            metrics=metrics,
        )


def _network(width: int, n_classes: int, settings: HeadSettings) -> nn.Sequential:
    from torch import nn

    return nn.Sequential(
        nn.Dropout(settings.input_dropout),
        nn.Linear(width, settings.hidden),
        nn.ReLU(),
        nn.Dropout(settings.hidden_dropout),
        nn.Linear(settings.hidden, n_classes),
    )


def out_of_fold_logits(
    embeddings: FloatArray,
    labels: NDArray[np.integer[Any]],
    *,
    n_classes: int,
    folds: int = 5,
    seed: int,
    settings: HeadSettings = DEFAULTS,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Logits (n, C) of every row by a head that was not trained on it.

    Rows of a class are dealt to the folds in turn, in an order drawn by the seed. Equal texts
    should be removed before, since a copy in another fold gives its row away. `progress` is
    called with (folds done, folds). Raises TrainingDataError.
    """
    values, truth = _checked(embeddings, labels, n_classes)
    if not 2 <= folds <= len(values):
        raise TrainingDataError(f"{len(values)} rows cannot be split into {folds} folds.")
    fold = _deal(truth, folds, seed)
    logits = np.zeros((len(values), n_classes), dtype=np.float32)
    for number in range(folds):
        rest = fold != number
        head = train_classifier(
            values[rest], truth[rest], n_classes=n_classes, seed=seed + number, settings=settings
        )
        logits[~rest] = head.logits(values[~rest])
        if progress is not None:
            progress(number + 1, folds)
    return logits


def _deal(labels: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    fold = np.empty(len(labels), dtype=np.int64)
    fold[order] = np.arange(len(labels)) % folds
    return fold
