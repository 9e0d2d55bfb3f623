"""A validator that lets the nearest labeled texts vote.

Each of the k nearest training rows votes for its label with weight exp(cosine / temperature);
one pseudo-row votes for `unk` with weight exp(unk_similarity / temperature), so that `unk` wins
where nothing labeled is near. Votes for labels that are not offered count as `unk` too. A small
floor, shared evenly by the options, keeps a label without neighbours from probability 0.

The four numbers are fitted by `knn_fit.fit_settings`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llm_worker.clients import artifacts
from llm_worker.clients.knn_fit import KnnSettings, fit_settings
from llm_worker.errors import ArtifactError, TrainingDataError
from llm_worker.options import Floats, binary_distribution, distribution
from llm_worker.types import (
    FloatArray,
    ValidationFailure,
    ValidationRequest,
    ValidationResult,
)
from llm_worker.validators import Answers

KIND = "knn"
ROUTE = "knn_votes"
NO_VECTOR = "no_text_vector"
NO_ROWS = "label_without_rows"
_ARRAYS = "rows.npz"
_BLOCK = 512
_LENGTH_TOLERANCE = 1e-3

Ids = npt.NDArray[np.int64]


class KnnValidator:
    """Labeled vectors (n, d) of unit length, their label ids (n,), and the fitted settings."""

    def __init__(self, vectors: FloatArray, label_ids: Ids, settings: KnnSettings) -> None:
        self._vectors = vectors
        self._label_ids = label_ids
        self._known = frozenset(label_ids.tolist())
        self.settings = settings
        arrays: dict[str, npt.NDArray[Any]] = {"vectors": vectors, "label_ids": label_ids}
        self.artifact_hash = artifacts.content_hash(arrays, asdict(settings))

    def validate(self, requests: Sequence[ValidationRequest]) -> Answers:
        """Answer every request that brings a vector and asks about a label with rows."""
        results: list[ValidationResult] = []
        failures: list[ValidationFailure] = []
        answerable: list[ValidationRequest] = []
        for request in requests:
            failure = self._refusal(request)
            if failure is None:
                answerable.append(request)
            else:
                failures.append(failure)
        for start in range(0, len(answerable), _BLOCK):
            results.extend(self._answer(answerable[start : start + _BLOCK]))
        return results, failures

    def save(self, folder: Path) -> None:
        """Write the artifact to `folder`, replacing what stood there at once."""
        settings = {**asdict(self.settings), "artifact_hash": self.artifact_hash}
        with artifacts.new_artifact(folder, kind=KIND, settings=settings) as aside:
            np.savez(aside / _ARRAYS, vectors=self._vectors, label_ids=self._label_ids)

    @classmethod
    def load(cls, folder: Path) -> KnnValidator:
        """Read a saved artifact. Raises `ArtifactError` if it is missing or damaged."""
        stored = artifacts.read_settings(folder, kind=KIND)
        try:
            stored_hash = stored.pop("artifact_hash")
            with np.load(folder / _ARRAYS, allow_pickle=False) as rows:
                loaded = cls(rows["vectors"], rows["label_ids"], KnnSettings(**stored))
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise ArtifactError(f"The kNN in {folder} cannot be read: {error}") from error
        if loaded.artifact_hash != stored_hash:
            raise ArtifactError(f"The kNN in {folder} was changed after it was saved.")
        return loaded

    def _refusal(self, request: ValidationRequest) -> ValidationFailure | None:
        vector = request.text_vector
        if vector is None or vector.shape != self._vectors.shape[1:]:
            wanted = self._vectors.shape[1]
            sentence = f"The kNN needs the text as a vector of {wanted} numbers and got none such."
            return ValidationFailure(request.task_id, NO_VECTOR, sentence)
        asked = [request.asked] if request.question == "binary" else request.candidates
        if all(candidate.label_id not in self._known for candidate in asked):
            names = ", ".join(candidate.name for candidate in asked)
            sentence = f"The kNN was trained on no text labeled {names}."
            return ValidationFailure(request.task_id, NO_ROWS, sentence)
        return None

    def _answer(self, requests: Sequence[ValidationRequest]) -> Iterator[ValidationResult]:
        started = time.perf_counter()
        queries = np.stack([_unit(request) for request in requests])
        similarities, neighbours = nearest(queries, self._vectors, k=self.settings.k)
        labels = self._label_ids[neighbours]
        weights = self._weights(similarities)
        milliseconds = (time.perf_counter() - started) * 1000.0 / len(requests)
        for row, request in enumerate(requests):
            yield self._result(request, labels[row], weights[row], milliseconds)

    def _weights(self, similarities: FloatArray) -> Floats:
        """Votes (m, k) as shares of all votes, the pseudo-row's included."""
        settings = self.settings
        top = np.maximum(similarities[:, :1], settings.unk_similarity)
        votes = np.exp((similarities - top) / settings.temperature, dtype=np.float64)
        pseudo = np.exp((settings.unk_similarity - top) / settings.temperature)
        return np.asarray(votes / (votes.sum(axis=1, keepdims=True) + pseudo))

    def _result(
        self, request: ValidationRequest, labels: Ids, weights: Floats, milliseconds: float
    ) -> ValidationResult:
        floor = self.settings.floor
        if request.question == "binary":
            voted = float(weights[labels == request.asked_label_id].sum())
            answer = binary_distribution((1.0 - floor) * min(voted, 1.0) + floor / 2.0)
        else:
            shares = [float(weights[labels == c.label_id].sum()) for c in request.candidates]
            votes = np.array([*shares, max(0.0, 1.0 - sum(shares))])
            answer = distribution(request.options, (1.0 - floor) * votes + floor / votes.size)
        return ValidationResult(
            task_id=request.task_id,
            question=request.question,
            probabilities=answer,
            latency_ms=milliseconds,
            tokens=0,
            prompt_hash=request.prompt_hash(self.artifact_hash),
            route=ROUTE,
        )


def train_knn(
    vectors: FloatArray,
    label_ids: npt.ArrayLike,
    *,
    text_hashes: Sequence[str] | None = None,
) -> KnnValidator:
    """Fit a kNN on `vectors`, shape (n, d), unit length, labeled `label_ids`, shape (n,).

    `text_hashes`, one a row, name the normalised texts: rows of the same text are left out
    together when the settings are fitted. Without them only the row itself is left out.

    Raises `TrainingDataError` for rows that cannot be used or fewer than two labels.
    """
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    ids = np.asarray(label_ids, dtype=np.int64)
    if rows.ndim != 2 or ids.shape != rows.shape[:1]:
        raise TrainingDataError(
            f"Expected vectors (n, d) and n label ids, got {rows.shape} and {ids.shape}."
        )
    if len(np.unique(ids)) < 2:
        raise TrainingDataError("A kNN needs rows of at least two labels.")
    if not np.allclose(np.linalg.norm(rows, axis=1), 1.0, atol=_LENGTH_TOLERANCE):
        raise TrainingDataError("Every vector must be finite and of length 1.")
    texts = _as_groups(text_hashes, count=len(ids))
    return KnnValidator(rows, ids, fit_settings(rows, ids, texts))


def nearest(queries: FloatArray, rows: FloatArray, *, k: int) -> tuple[FloatArray, Ids]:
    """Cosine and index of the k nearest `rows` of each query, shapes (m, k), nearest first.

    Exact: one matrix product over all rows; ties go to the earlier row.
    """
    similarities = queries @ rows.T
    k = min(k, len(rows))
    part = np.sort(np.argpartition(-similarities, k - 1, axis=1)[:, :k], axis=1)
    values = np.take_along_axis(similarities, part, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(part, order, axis=1)


def _as_groups(text_hashes: Sequence[str] | None, *, count: int) -> Ids:
    """A number per row, the same for rows of the same text."""
    if text_hashes is None:
        return np.arange(count, dtype=np.int64)
    if len(text_hashes) != count:
        raise TrainingDataError(f"{count} rows came with {len(text_hashes)} text hashes.")
    return np.unique(np.asarray(text_hashes), return_inverse=True)[1].astype(np.int64)


def _unit(request: ValidationRequest) -> FloatArray:
    """The vector of a request at length 1, so that products with the rows are cosines."""
    vector = np.asarray(request.text_vector, dtype=np.float32)
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0.0 else vector
