"""A cross-encoder that puts found passages in order, trained on a project's own queries.

The model is sentence-transformers' CrossEncoder and its listwise loss (ListNet, Cao et al. 2007),
starting from an encoder's weights with a new head, so that untrained it ranks at random. The loop
is here because the library's trainer needs two more libraries (`datasets`, `accelerate`), which
bring pyarrow and pandas to every machine that serves. What the trained model adds to the
fused score is fitted on held-out queries, "nothing" included.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rerank_engine.artifacts import read_artifact, write_artifact
from rerank_engine.errors import ArtifactError, TrainingDataError
from rerank_engine.precision import BFLOAT16, autocast
from rerank_engine.retrieval.index import FOUND, DocumentIndex
from rerank_engine.retrieval.metrics import bootstrap_interval, ndcg_at
from rerank_engine.retrieval.passages import searched_text
from rerank_engine.tuning import MODEL, model_files, seeded, warm_up_and_decay

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder
    from torch import nn

KIND = "document_reranker"
CUT = 10
"""Rankings are judged by nDCG at this place."""
WEIGHTS = (0.0, 0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5)
"""Of a logit, beside a fused score, whose scale is that of cosines."""
MOST_HELD_OUT = 60
_RELEVANT = 10.0
_LAYER = re.compile(r"\blayers?\.(\d+)\.")

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class RankedQuery:
    """A query with the m passages found for it, in fused order, and which of them help.

    `fused` and `helps` are (m,). Queries of one `group` are alike, so they are never split between
    training and held out.
    """

    query: str
    passages: Sequence[str]
    fused: Floats
    helps: NDArray[np.bool_]
    group: str


def ranked_queries(
    index: DocumentIndex,
    queries: Sequence[str],
    vectors: NDArray[np.floating[Any]],
    helpful: Sequence[Collection[str]],
    *,
    groups: Sequence[str],
    unknown: Sequence[Collection[str]] | None = None,
    depth: int = FOUND,
) -> list[RankedQuery]:
    """What the index finds for q queries, with the ids of the documents that help each.

    Everything else that is found first is a hard negative, but for the ids in `unknown`, which
    are left out: nobody said whether they help.
    """
    titles = {document.id: document.title for document in index.documents}
    hits = index.search(queries, vectors, k=depth, keep=depth)
    rows: list[RankedQuery] = []
    for number, (query, found) in enumerate(zip(queries, hits, strict=True)):
        left_out = unknown[number] if unknown is not None else ()
        kept = [hit for hit in found if hit.document_id not in left_out]
        rows.append(
            RankedQuery(
                query=query,
                passages=[searched_text(titles[hit.document_id], hit.passage) for hit in kept],
                fused=np.array([hit.score for hit in kept]),
                helps=np.array([hit.document_id in helpful[number] for hit in kept], dtype=bool),
                group=groups[number],
            )
        )
    return rows


@dataclass(frozen=True)
class RerankerSettings:
    """How to train: AdamW, linear warm-up and decay, stopped once `patience` epochs did not help.

    Each step takes `queries_at_once` queries with one helpful passage and `negatives` of their
    first `hard` unhelpful ones; at most `most_queries` are trained on, drawn at random, to end in
    minutes on a processor. Embeddings and the first `frozen_layers` layers stay as they are.
    `max_length` is in tokens, of query and passage together; of a longer pair the longer text is
    cut. `precision` is that of the training's multiplications.
    """

    epochs: int = 2
    patience: int = 1
    queries_at_once: int = 8
    negatives: int = 4
    hard: int = 20
    most_queries: int = 300
    learning_rate: float = 1e-4
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warm_up: float = 0.1
    frozen_layers: int = 2
    held_out_share: float = 0.15
    max_length: int = 320
    precision: str = BFLOAT16


@dataclass(frozen=True)
class RerankerReport:
    """How training went: nDCG@10 on `held_out` queries by the fused score alone, after each epoch
    with the best weight, and the gain of the epoch kept with its 95 % interval."""

    queries: int
    held_out: int
    fused: float
    by_epoch: list[float] = field(default_factory=list)
    best_epoch: int = 0
    gain: float = 0.0
    low: float = 0.0
    high: float = 0.0

    @property
    def earns_its_place(self) -> bool:
        """Whether the gain is more than chance would give."""
        return self.low > 0.0


class DocumentReranker:
    """A trained cross-encoder and the weight of its logit beside the fused score."""

    def __init__(
        self, model: CrossEncoder, weight: float, settings: RerankerSettings, report: RerankerReport
    ) -> None:
        self._model = model
        self.weight = weight
        self.settings = settings
        self.report = report

    def __call__(self, pairs: list[tuple[str, str]], fused: Floats) -> Floats:
        """Scores (m,) of pairs of query and passage, with the fused scores (m,) of the passages."""
        return fused + self.weight * self.logits(pairs) if self.weight else fused

    def logits(self, pairs: list[tuple[str, str]]) -> Floats:
        """What the model alone says of the pairs, (m,)."""
        return logits(self._model, pairs)

    def save(self, folder: str | Path, *, data_hash: str) -> Path:
        """Write the reranker as an artifact; returns the folder."""
        with tempfile.TemporaryDirectory() as aside:
            return write_artifact(
                folder,
                kind=KIND,
                arrays={"weight": np.array(self.weight)},
                extra_files=model_files(self._model, Path(aside)),
                manifest={
                    "data_hash": data_hash,
                    "settings": asdict(self.settings),
                    "metrics": asdict(self.report),
                },
            )

    @classmethod
    def load(cls, folder: str | Path) -> DocumentReranker:
        """Read a reranker written by `save`. Raises ArtifactError."""
        artifact = read_artifact(folder, kind=KIND)
        try:
            settings = RerankerSettings(**artifact.settings)
            report = RerankerReport(**artifact.metrics)
            weight = float(artifact.arrays["weight"])
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"The reranker at {folder} cannot be used: {error!r}.") from error
        return cls(
            load_cross_encoder(artifact.folder / MODEL, settings.max_length),
            weight,
            settings,
            report,
        )


def train_document_reranker(
    rows: Sequence[RankedQuery],
    *,
    base: Path,
    seed: int,
    settings: RerankerSettings | None = None,
    progress: Progress | None = None,
) -> DocumentReranker:
    """Train on queries with helpful and unhelpful passages, from the encoder in `base`.

    A part of the groups is held out; on it training is stopped early and the weight is fitted.
    `progress` is called with (steps done, steps in all). Raises TrainingDataError.
    """
    chosen = settings or RerankerSettings()
    train, held_out = _split(rows, chosen.held_out_share, chosen.most_queries, seed)
    with seeded(seed):
        model = load_cross_encoder(base, chosen.max_length)
        training = _Training(model, train, chosen, seed)
        weight, report = _run(training, held_out, len(rows), chosen, progress)
    return DocumentReranker(model, weight, chosen, report)


def logits(model: CrossEncoder, pairs: Sequence[tuple[str, str]]) -> Floats:
    """What the model says of each pair, (m,): higher is better, and 0 means nothing."""
    from torch import nn

    found = model.predict(list(pairs), activation_fn=nn.Identity(), show_progress_bar=False)
    return np.asarray(found, dtype=np.float64)


def _split(
    rows: Sequence[RankedQuery], share: float, most: int, seed: int
) -> tuple[list[RankedQuery], list[RankedQuery]]:
    """At most `most` queries to train on, and queries held out; no group is in both."""
    useful = [row for row in rows if row.helps.any() and not row.helps.all()]
    groups = sorted({row.group for row in useful})
    if len(groups) < 2:
        raise TrainingDataError(
            "A reranker needs queries of two groups at least, each with a passage that helps and "
            "one that does not."
        )
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(groups))
    aside = {groups[place] for place in order[: max(1, round(share * len(groups)))]}
    train = [row for row in useful if row.group not in aside]
    rng.shuffle(train)
    return train[:most], [row for row in useful if row.group in aside][:MOST_HELD_OUT]


def _run(
    training: _Training,
    held_out: Sequence[RankedQuery],
    queries: int,
    settings: RerankerSettings,
    progress: Progress | None,
) -> tuple[float, RerankerReport]:
    """Epochs until they do not help any more; the model is left as the best one made it."""
    before = np.array([_ndcg(row, row.fused) for row in held_out])
    best, weight, kept, epoch_of_best = before, 0.0, training.state(), 0
    by_epoch: list[float] = []
    for epoch in range(1, settings.epochs + 1):
        training.run_epoch(progress)
        values, fitted = _fit_weight(training.model, held_out)
        by_epoch.append(float(values.mean()))
        if values.mean() > best.mean():
            best, weight, kept, epoch_of_best = values, fitted, training.state(), epoch
        elif epoch - epoch_of_best >= settings.patience:
            break
    training.finish(kept)
    groups = [row.group for row in held_out]
    low, high = bootstrap_interval(best - before, groups, seed=training.seed)
    gain = float((best - before).mean())
    fused = float(before.mean())
    report = RerankerReport(queries, len(held_out), fused, by_epoch, epoch_of_best, gain, low, high)
    return weight, report


def _fit_weight(model: CrossEncoder, rows: Sequence[RankedQuery]) -> tuple[Floats, float]:
    """nDCG of each row with the best of `WEIGHTS`, and that weight; the smaller where they tie."""
    pairs = [(row.query, passage) for row in rows for passage in row.passages]
    borders = np.cumsum([len(row.passages) for row in rows])[:-1]
    said = np.split(logits(model, pairs), borders)
    found: list[tuple[Floats, float]] = []
    for weight in WEIGHTS:
        scores = [row.fused + weight * own for row, own in zip(rows, said, strict=True)]
        values = [_ndcg(row, score) for row, score in zip(rows, scores, strict=True)]
        found.append((np.array(values), weight))
    return max(found, key=lambda pair: float(pair[0].mean()))


def _ndcg(row: RankedQuery, scores: Floats) -> float:
    order = np.argsort(-scores, kind="stable")
    return ndcg_at(CUT, row.helps[order], int(row.helps.sum()))


class _Training:
    """The model in training, its optimiser and schedule."""

    def __init__(
        self,
        model: CrossEncoder,
        rows: Sequence[RankedQuery],
        settings: RerankerSettings,
        seed: int,
    ) -> None:
        import torch
        from sentence_transformers.cross_encoder.losses import ListNetLoss

        self.model, self.seed = model, seed
        self._rows, self._settings = rows, settings
        body, head = _weights(model, settings.frozen_layers)
        self._weights = [*body, *head]
        groups = [
            {"params": body, "lr": settings.learning_rate},
            {"params": head, "lr": settings.head_learning_rate},
        ]
        self._optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
        self._steps = settings.epochs * math.ceil(len(rows) / settings.queries_at_once)
        rate = warm_up_and_decay(settings.warm_up, self._steps)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, rate)
        self._loss = ListNetLoss(model, mini_batch_size=-1)
        self._rng = np.random.default_rng(seed)
        self._done = 0

    def run_epoch(self, progress: Progress | None) -> None:
        import torch

        self.model.train()
        order = self._rng.permutation(len(self._rows))
        size = self._settings.queries_at_once
        for start in range(0, len(order), size):
            rows = [self._rows[place] for place in order[start : start + size]]
            lists = [self._list(row) for row in rows]
            labels = [torch.tensor([_RELEVANT] + [0.0] * (len(each) - 1)) for each in lists]
            with autocast(self._settings.precision, self.model.device.type):
                loss = self._loss([[row.query for row in rows], lists], labels)
            self._optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self._weights, 1.0)
            self._optimizer.step()
            self._schedule.step()
            self._done += 1
            if progress is not None:
                progress(self._done, self._steps)

    def _list(self, row: RankedQuery) -> list[str]:
        """A helpful passage, then unhelpful ones of those that were found first."""
        helpful = self._rng.choice(np.flatnonzero(row.helps))
        hard = np.flatnonzero(~row.helps)[: self._settings.hard]
        drawn = self._rng.permutation(hard)[: self._settings.negatives]
        return [row.passages[place] for place in (helpful, *drawn)]

    def state(self) -> dict[str, Any]:
        return {name: value.clone() for name, value in self.model.state_dict().items()}

    def finish(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state)
        self.model.requires_grad_(True)
        self.model.eval()


def _weights(
    model: CrossEncoder, frozen_layers: int
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The weights to train: those of the upper layers, and those of the head, which are new."""
    body: list[nn.Parameter] = []
    head: list[nn.Parameter] = []
    for name, weight in model.named_parameters():
        layer = _LAYER.search(name)
        frozen = "embeddings" in name or (layer is not None and int(layer[1]) < frozen_layers)
        weight.requires_grad_(not frozen)
        if not frozen:
            (head if "classifier" in name else body).append(weight)
    return body, head


def load_cross_encoder(folder: Path, max_length: int) -> CrossEncoder:
    """A model from a folder: safetensors only, no remote code, nothing from a hub."""
    from sentence_transformers import CrossEncoder

    try:
        model: CrossEncoder = CrossEncoder(
            str(folder),
            num_labels=1,
            max_length=max_length,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ArtifactError(f"The model at {folder} cannot be loaded: {error}") from error
    return model
