"""Named errors of the rerank engine; every message is a plain sentence for a person to read."""

from __future__ import annotations


class RerankEngineError(Exception):
    """Base of every error the rerank engine raises on purpose."""


class ArtifactError(RerankEngineError):
    """A saved artifact is missing, damaged, of another kind, or of a format not read here."""


class EncoderError(RerankEngineError):
    """An encoder cannot be loaded, is not the one expected, or was given something to refuse."""


class TrainingDataError(RerankEngineError, ValueError):
    """The rows given cannot train or fit what was asked for."""


class ScoresError(RerankEngineError, ValueError):
    """Scores, vectors or settings do not fit each other or cannot be computed with."""


class NothingMisclassifiedError(RerankEngineError):
    """No row is misclassified, so the threshold of eq. 7 does not exist: do not rerank."""


class RetrievalError(RerankEngineError, ValueError):
    """Documents, queries or query vectors cannot be indexed or searched."""
