"""A validator that reads the text and one label together and says whether the label holds.

For a multiclass question the options are softmax([s_1 .. s_c, unk_logit] / temperature) over the
logits s of the candidates; for a binary one P(yes) = sigmoid((s + shift) / temperature). The
four numbers are fitted on training rows that were held out (`cross_encoder_fit`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy.typing as npt

from llm_worker.clients import artifacts
from llm_worker.clients.cross_encoder_fit import (
    CrossEncoderSettings,
    PairRows,
    fit_settings,
    split_rows,
    train_network,
)
from llm_worker.clients.pair_network import (
    MAX_LABEL_TOKENS,
    MAX_TEXT_TOKENS,
    PairNetwork,
    TokenGroup,
)
from llm_worker.errors import ArtifactError
from llm_worker.options import Floats, binary_distribution, sigmoid, unk_distribution
from llm_worker.types import Candidate, ValidationRequest, ValidationResult
from llm_worker.validators import Answers

KIND = "cross_encoder"
ROUTE = "cross_encoder_logits"
_REQUESTS_AT_ONCE = 256


class CrossEncoderValidator:
    """A trained `PairNetwork` and its calibration."""

    def __init__(self, network: PairNetwork, settings: CrossEncoderSettings) -> None:
        self._network = network
        self.settings = settings
        arrays = {name: tensor.numpy() for name, tensor in network.state().items()}
        self.artifact_hash = artifacts.content_hash(arrays, asdict(settings))

    def validate(self, requests: Sequence[ValidationRequest]) -> Answers:
        """Answer every request; fails only as a whole, with `ValidatorUnavailableError`."""
        results: list[ValidationResult] = []
        for start in range(0, len(requests), _REQUESTS_AT_ONCE):
            results.extend(self._answer(requests[start : start + _REQUESTS_AT_ONCE]))
        return results, []

    def save(self, folder: Path) -> None:
        """Write the artifact to `folder`, replacing what stood there at once."""
        settings = {**asdict(self.settings), "artifact_hash": self.artifact_hash}
        with artifacts.new_artifact(folder, kind=KIND, settings=settings) as aside:
            self._network.save(aside)

    @classmethod
    def load(cls, folder: Path) -> CrossEncoderValidator:
        """Read a saved artifact. Raises `ArtifactError` if it is missing or damaged."""
        stored = artifacts.read_settings(folder, kind=KIND)
        try:
            stored_hash = stored.pop("artifact_hash")
            settings = CrossEncoderSettings(**stored)
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"The settings in {folder} cannot be read: {error}") from error
        loaded = cls(PairNetwork.load(folder), settings)
        if loaded.artifact_hash != stored_hash:
            raise ArtifactError(f"The cross-encoder in {folder} was changed after it was saved.")
        return loaded

    def _answer(self, requests: Sequence[ValidationRequest]) -> Iterator[ValidationResult]:
        started = time.perf_counter()
        texts, cut = self._network.tokenize(
            [request.text for request in requests], at_most=MAX_TEXT_TOKENS
        )
        asked = [_asked(request) for request in requests]
        names = sorted({candidate.text for group in asked for candidate in group})
        tokens = self._network.tokenize(names, at_most=MAX_LABEL_TOKENS)[0]
        labels = dict(zip(names, tokens, strict=True))
        groups = [
            TokenGroup(text, tuple(labels[candidate.text] for candidate in group))
            for text, group in zip(texts, asked, strict=True)
        ]
        scores = self._network.score(groups)
        milliseconds = (time.perf_counter() - started) * 1000.0 / len(requests)
        for request, own, group, was_cut in zip(requests, scores, groups, cut, strict=True):
            yield self._result(request, own, group, was_cut, milliseconds)

    def _result(
        self,
        request: ValidationRequest,
        scores: Floats,
        group: TokenGroup,
        was_cut: bool,
        milliseconds: float,
    ) -> ValidationResult:
        settings = self.settings
        if request.question == "binary":
            logit = (float(scores[0]) + settings.binary_shift) / settings.binary_temperature
            answer = binary_distribution(sigmoid(logit))
        else:
            answer = unk_distribution(
                request.options,
                scores,
                unk_logit=settings.unk_logit,
                temperature=settings.temperature,
            )
        return ValidationResult(
            task_id=request.task_id,
            question=request.question,
            probabilities=answer,
            latency_ms=milliseconds,
            tokens=group.length,
            prompt_hash=request.prompt_hash(self.artifact_hash),
            route=ROUTE,
            text_was_cut=was_cut,
        )


def train_cross_encoder(
    texts: Sequence[str],
    label_ids: npt.ArrayLike,
    label_texts: Mapping[int, str],
    negatives: npt.ArrayLike,
    *,
    base_model_path: Path,
    seed: int,
    max_pairs: int = 12_000,
    epochs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> CrossEncoderValidator:
    """Fine-tune the encoder at `base_model_path` on (text, label) pairs and calibrate it.

    `label_ids`, shape (n,), name the true label of each text; `negatives`, shape (n, m), labels
    it is confused with, best out of fold, -1 where a row has fewer. `label_texts` gives what the
    encoder reads of a label: use `Candidate.text`, as answering does. An epoch reads at most
    `max_pairs` pairs; rows beyond that, or a tenth of all rows, are held out for calibration.
    `progress` is told the pairs read so far and the pairs in all. The same seed, rows and number
    of threads give the same weights on a CPU.

    Raises `TrainingDataError` for rows that cannot train, `ArtifactError` without an encoder.
    """
    import torch

    rows = PairRows.checked(texts, label_ids, label_texts, negatives)
    train, held_out = split_rows(rows, max_pairs=max_pairs, seed=seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = PairNetwork.from_encoder(base_model_path)
        train_network(network, train, epochs=epochs, seed=seed, progress=progress)
    return CrossEncoderValidator(network, fit_settings(network, held_out))


def _asked(request: ValidationRequest) -> tuple[Candidate, ...]:
    return (request.asked,) if request.question == "binary" else request.candidates
