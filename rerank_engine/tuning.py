"""Fine-tuning of an encoder: batches of like length, early stopping, checkpoints, one seed.

What is learned is the caller's: it gives the loss of a batch. The semantic map and the fine-tuned
classifier share everything else.
"""

from __future__ import annotations

import copy
import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rerank_engine.errors import TrainingDataError
from rerank_engine.precision import BFLOAT16, FLOAT32, autocast

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from torch import Tensor, nn

Progress = Callable[[int, int], None]
BatchLoss = Callable[[NDArray[np.int64], "Tensor"], "Tensor"]
MODEL = "model"
_BATCHES_SORTED_TOGETHER = 12
# Of few rows smaller batches are made: an epoch of two steps teaches nothing.
_FEWEST_STEPS = 16
_SMALLEST_BATCH = 16

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TuneSettings:
    """How to train: AdamW with a linear warm-up and decay over `epochs`, stopped early.

    Training ends once the validation loss has not fallen for `patience` epochs; the weights of
    the best epoch are kept. Word embeddings stay as they are unless `train_embeddings`: they are
    half of the weights of a small encoder, and a few thousand texts touch few of them. `precision`
    is that of the multiplications; float32 takes its place where bfloat16 would be emulated.
    """

    epochs: int = 4
    batch_size: int = 64
    learning_rate: float = 2e-4
    head_learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warm_up: float = 0.1
    patience: int = 2
    train_embeddings: bool = False
    precision: str = BFLOAT16


@dataclass(frozen=True)
class TuneReport:
    """Loss on the validation rows before training and after each epoch, and which was kept."""

    losses: list[float] = field(default_factory=list)
    best_epoch: int = 0


def load_model(folder: Path, device: str | None) -> SentenceTransformer:
    """The model to train on from; safetensors only, no remote code, nothing from a hub."""
    from rerank_engine.encoder import load_sentence_transformer

    return load_sentence_transformer(folder, device)


def model_files(model: SentenceTransformer | CrossEncoder, aside: Path) -> dict[str, bytes | Path]:
    """The files of a sentence-transformers model, written to `aside`, as `write_artifact` wants
    them: below the folder "model"."""
    model.save(str(aside), create_model_card=False, safe_serialization=True)
    return {
        f"{MODEL}/{path.relative_to(aside).as_posix()}": path
        for path in sorted(aside.rglob("*"))
        if path.is_file()
    }


def token_ids(model: SentenceTransformer, texts: Sequence[str]) -> tuple[list[list[int]], int]:
    """Token ids of each text within the model's limit, and how many texts were cut to it."""
    limit = model.max_seq_length or 512
    tokenizer: Any = model.tokenizer
    full = tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
    cut = sum(len(ids) > limit for ids in full)
    kept = tokenizer(list(texts), truncation=True, max_length=limit)["input_ids"] if cut else full
    return [list(ids) for ids in kept], cut


def embed(model: SentenceTransformer, ids: Sequence[list[int]], *, precision: str) -> Tensor:
    """Unit vectors (n, d) of tokenised texts, with gradients where they are on."""
    import torch

    padded = model.tokenizer.pad({"input_ids": list(ids)}, return_tensors="pt")
    features = {name: padded[name].to(model.device) for name in ("input_ids", "attention_mask")}
    with autocast(precision, model.device.type):
        vectors = model(features)["sentence_embedding"]
    return torch.nn.functional.normalize(vectors.float(), dim=-1)


def embed_all(
    model: SentenceTransformer,
    ids: Sequence[list[int]],
    *,
    precision: str = FLOAT32,
    batch: int = 64,
) -> Tensor:
    """As `embed`, without gradients and in batches of like length; the caller's order is kept."""
    import torch

    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    model.eval()
    with torch.inference_mode():
        found = [
            embed(model, [ids[row] for row in order[start : start + batch]], precision=precision)
            for start in range(0, len(order), batch)
        ]
    back = torch.empty(len(order), dtype=torch.long)
    back[torch.tensor(order)] = torch.arange(len(order))
    return torch.cat(found)[back.to(model.device)]


def warm_up_and_decay(warm_up: float, steps: int) -> Callable[[int], float]:
    """Factor of the learning rate by step: up to 1 over a share of the steps, then down to 0."""
    warm = max(1.0, warm_up * steps)
    return lambda step: min((step + 1) / warm, max(0.0, 1.0 - step / steps))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch's random state from `seed` inside, the caller's again outside."""
    import torch

    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def tune(
    model: SentenceTransformer,
    ids: Sequence[list[int]],
    loss: BatchLoss,
    validation_loss: Callable[[], float] | None,
    *,
    head: nn.Module | None = None,
    settings: TuneSettings,
    seed: int,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> TuneReport:
    """Train `model` (and `head`) in place on tokenised texts; the best epoch's weights stay.

    `loss` is given the row numbers of a batch and its vectors (b, d). `checkpoint` names a file
    that is written after every epoch, read again where training was cut off, and removed at the
    end. `progress` is called with (steps done, steps in all).
    """
    if not ids:
        raise TrainingDataError("There are no texts to train on.")
    with seeded(seed):
        training = _Training(model, ids, loss, head, settings, seed)
        if checkpoint is not None:
            training.resume(checkpoint)
        if validation_loss is not None and not training.losses:
            training.note(validation_loss())
        while training.goes_on():
            training.run_epoch(progress)
            training.note(validation_loss() if validation_loss is not None else math.nan)
            if checkpoint is not None:
                training.save(checkpoint)
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)
        return training.finish()


class _Training:
    """One training: model, optimiser, schedule, and what the epochs so far brought."""

    def __init__(
        self,
        model: SentenceTransformer,
        ids: Sequence[list[int]],
        loss: BatchLoss,
        head: nn.Module | None,
        settings: TuneSettings,
        seed: int,
    ) -> None:
        import torch

        self._model, self._ids, self._loss = model, ids, loss
        self._settings, self._seed = settings, seed
        self._modules = torch.nn.ModuleDict({"model": model})
        groups: list[dict[str, Any]] = [
            {"params": _trained(model, settings), "lr": settings.learning_rate}
        ]
        if head is not None:
            self._modules["head"] = head
            groups.append({"params": list(head.parameters()), "lr": settings.head_learning_rate})
        self._weights = [weight for group in groups for weight in group["params"]]
        self._optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
        few = max(_SMALLEST_BATCH, len(ids) // _FEWEST_STEPS)
        self._batch_size = min(settings.batch_size, few)
        self._steps = settings.epochs * math.ceil(len(ids) / self._batch_size)
        self._rate = warm_up_and_decay(settings.warm_up, self._steps)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, self._rate)
        self.losses: list[float] = []
        self._epoch, self._done = 0, 0
        self._best_epoch, self._best = 0, self._snapshot()

    def goes_on(self) -> bool:
        stalled = self._epoch - self._best_epoch >= self._settings.patience
        return self._epoch < self._settings.epochs and not stalled

    def run_epoch(self, progress: Progress | None) -> None:
        import torch

        self._modules.train()
        rng = np.random.default_rng([self._seed, self._epoch])
        for batch in _batches(self._ids, self._batch_size, rng):
            texts = [self._ids[row] for row in batch]
            vectors = embed(self._model, texts, precision=self._settings.precision)
            loss = self._loss(batch, vectors)
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self._weights, 1.0)
            self._optimizer.step()
            self._schedule.step()
            self._done += 1
            if progress is not None:
                progress(self._done, self._steps)
        self._epoch += 1
        self._modules.eval()

    def note(self, loss: float) -> None:
        """Note the loss of the epoch just done; without validation the last epoch is the best."""
        self.losses.append(loss)
        if math.isnan(loss) or loss <= min(self.losses):
            self._best_epoch, self._best = self._epoch, self._snapshot()

    def _snapshot(self) -> dict[str, Tensor]:
        return copy.deepcopy(self._modules.state_dict())

    def finish(self) -> TuneReport:
        self._modules.load_state_dict(self._best)
        self._modules.eval()
        self._model.requires_grad_(True)
        return TuneReport([loss for loss in self.losses if not math.isnan(loss)], self._best_epoch)

    def save(self, path: Path) -> None:
        """Write everything the next epoch needs, aside and renamed."""
        import torch
        from safetensors.torch import save_file

        state: dict[int, dict[str, Tensor]] = self._optimizer.state_dict()["state"]
        tensors = {f"now.{name}": value for name, value in self._modules.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self._best.items()}
        tensors |= {
            f"optimizer.{index}.{name}": value
            for index, moments in state.items()
            for name, value in moments.items()
        }
        tensors["rng"] = torch.get_rng_state()
        note = {
            "settings": asdict(self._settings),
            "epoch": self._epoch,
            "done": self._done,
            "best_epoch": self._best_epoch,
            "losses": [None if math.isnan(loss) else loss for loss in self.losses],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".part")
        contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        save_file(contiguous, aside, metadata={"note": json.dumps(note)})
        aside.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint made with the same settings; one that cannot be used is left."""
        if not path.is_file():
            return
        try:
            note, tensors = _read_checkpoint(path)
        except (OSError, ValueError, KeyError) as error:
            log.warning(
                "The checkpoint %s cannot be read, so training starts anew: %s", path, error
            )
            return
        if note["settings"] != asdict(self._settings):
            return
        self._modules.load_state_dict(_below("now.", tensors))
        self._best = _below("best.", tensors)
        self._load_optimizer(tensors)
        self._restore(note, tensors["rng"])

    def _load_optimizer(self, tensors: dict[str, Tensor]) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimizer.", tensors).items():
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = value
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state, "param_groups": groups})

    def _restore(self, note: dict[str, Any], rng: Tensor) -> None:
        import torch

        self._epoch, self._done = note["epoch"], note["done"]
        self._best_epoch = note["best_epoch"]
        self.losses = [math.nan if loss is None else loss for loss in note["losses"]]
        torch.set_rng_state(rng)
        for group, base in zip(self._optimizer.param_groups, self._schedule.base_lrs, strict=True):
            group["lr"] = base * self._rate(self._done)
        self._schedule.last_epoch = self._done


def _read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stored:
            note = json.loads(stored.metadata()["note"])
            return note, {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _trained(model: SentenceTransformer, settings: TuneSettings) -> list[nn.Parameter]:
    trained = []
    for name, weight in model.named_parameters():
        embedding = ".embeddings." in name or name.startswith("embeddings.")
        weight.requires_grad_(settings.train_embeddings or not embedding)
        if weight.requires_grad:
            trained.append(weight)
    return trained


def _batches(
    ids: Sequence[list[int]], size: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Every row once, in batches of like length and random order."""
    order = rng.permutation(len(ids))
    span = size * _BATCHES_SORTED_TOGETHER
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(order), span):
        part = sorted(order[start : start + span].tolist(), key=lambda row: len(ids[row]))
        batches += [np.array(part[at : at + size]) for at in range(0, len(part), size)]
    for index in rng.permutation(len(batches)):
        yield batches[index]
