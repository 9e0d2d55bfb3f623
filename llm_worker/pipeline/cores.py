"""What a worker process keeps in memory between jobs: the encoder and loaded artifacts."""

from __future__ import annotations

import functools
from pathlib import Path

from django.conf import settings

from labeling.models import Artifact, Validator
from llm_worker.clients.cross_encoder import CrossEncoderValidator
from llm_worker.clients.knn import KnnValidator
from llm_worker.pipeline import llm_client
from llm_worker.validators import Validator as ValidatorCore
from rerank_engine.classifier import HeadClassifier
from rerank_engine.encoder import Encoder
from rerank_engine.reranker import Reranker
from rerank_engine.retrieval.cross_encoder import DocumentReranker
from rerank_engine.retrieval.index import DocumentIndex
from rerank_engine.tuned_classifier import TunedClassifier


@functools.lru_cache(maxsize=1)
def encoder() -> Encoder:
    """The encoder of the setting ENCODER, loaded once a process."""
    return Encoder.load(settings.ENCODER, precision=settings.ENCODER_PRECISION)


def folder_at(path: str) -> Path:
    """The folder of an artifact stored at `path`, which is relative to the artifacts folder."""
    return Path(settings.ARTIFACTS_DIR) / path


def artifact_folder(artifact: Artifact) -> Path:
    return folder_at(artifact.path)


# The digest is part of the key, so a newer version is never mistaken for a cached one.


@functools.lru_cache(maxsize=4)
def _classifier(folder: Path, digest: str) -> HeadClassifier:
    return HeadClassifier.load(folder, encoder_fingerprint=encoder().fingerprint)


@functools.lru_cache(maxsize=2)
def _tuned_classifier(folder: Path, digest: str) -> TunedClassifier:
    return TunedClassifier.load(folder, precision=settings.ENCODER_PRECISION)


def classifier(artifact: Artifact) -> HeadClassifier | TunedClassifier:
    """The embedded classifier: a head on the encoder in use, or one with an encoder of its own."""
    if artifact.info["fine_tuned"]:
        return _tuned_classifier(artifact_folder(artifact), artifact.digest)
    return _classifier(artifact_folder(artifact), artifact.digest)


@functools.lru_cache(maxsize=2)
def _reranker(folder: Path, digest: str, map_folder: Path, label_keys: tuple[str, ...]) -> Reranker:
    return Reranker.load(
        folder, map_folder, label_keys=label_keys, precision=settings.ENCODER_PRECISION
    )


def reranker(artifact: Artifact) -> Reranker:
    keys = tuple(str(pk) for pk in artifact.info["label_ids"])
    map_folder = folder_at(artifact.info["map"])
    return _reranker(artifact_folder(artifact), artifact.digest, map_folder, keys)


@functools.lru_cache(maxsize=4)
def _document_index(folder: Path, digest: str) -> DocumentIndex:
    return DocumentIndex.load(folder)


def document_index(artifact: Artifact) -> DocumentIndex:
    return _document_index(artifact_folder(artifact), artifact.digest)


@functools.lru_cache(maxsize=2)
def _document_reranker(folder: Path, digest: str) -> DocumentReranker:
    return DocumentReranker.load(folder)


def document_reranker(artifact: Artifact) -> DocumentReranker:
    return _document_reranker(artifact_folder(artifact), artifact.digest)


@functools.lru_cache(maxsize=4)
def _knn(folder: Path, digest: str) -> KnnValidator:
    return KnnValidator.load(folder)


@functools.lru_cache(maxsize=4)
def _cross_encoder(folder: Path, digest: str) -> CrossEncoderValidator:
    return CrossEncoderValidator.load(folder)


class UnknownValidator(Exception):
    """No client here can ask this validator."""


def validator(row: Validator) -> ValidatorCore:
    """The client behind a validator row. Raises UnknownValidator for a kind without one."""
    if row.artifact is not None and row.kind == Validator.Kind.KNN:
        return _knn(artifact_folder(row.artifact), row.artifact.digest)
    if row.artifact is not None and row.kind == Validator.Kind.CROSS_ENCODER:
        return _cross_encoder(artifact_folder(row.artifact), row.artifact.digest)
    if row.kind == Validator.Kind.LLM and row.settings.get("client") in llm_client.CLIENTS:
        return llm_client.GuardedClient(row)
    raise UnknownValidator(f"This worker has no client for {row} of kind {row.kind}.")
