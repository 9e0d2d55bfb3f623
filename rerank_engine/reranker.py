"""Our reranker: a semantic map, labeled texts to compare with, and a pool fitted per classifier.

Hard rows get the pool of all views; the others the classifier alone at its fitted temperature,
which keeps the order of their labels. So everything that leaves is one kind of score: a
probability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerank_engine.artifacts import read_artifact, write_artifact
from rerank_engine.errors import ArtifactError, ScoresError
from rerank_engine.pool import CLASSIFIER, LogLinearPool, PoolFit, fit_pool
from rerank_engine.precision import FLOAT32
from rerank_engine.semantic_map import SemanticMap
from rerank_engine.views import classifier_view, neighbours_view, similarity_view

KIND = "reranker"
SIMILARITY = "similarity"
NEIGHBOURS = "neighbours"
# What may be pooled, the simplest first: the first is "do not rerank".
VIEW_SETS = (
    (CLASSIFIER,),
    (CLASSIFIER, SIMILARITY),
    (CLASSIFIER, NEIGHBOURS),
    (CLASSIFIER, SIMILARITY, NEIGHBOURS),
)
FloatArray = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class RerankFit:
    """What was fitted for one classifier: the pool for hard rows, and for the others the
    classifier's temperature (a pool of one view)."""

    hard: LogLinearPool
    easy: LogLinearPool
    rows: int
    cross_validated: dict[str, float]


@dataclass(frozen=True)
class Reranker:
    """`example_vectors` (m, d) and `example_codes` (m,) are the labeled texts in the map's space;
    `fits` are the fitted pools by the name of the classifier they were fitted for."""

    map: SemanticMap
    example_vectors: NDArray[np.float32]
    example_codes: NDArray[np.int64]
    fits: Mapping[str, RerankFit]

    def views(self, log_scores: FloatArray, vectors: FloatArray) -> dict[str, NDArray[np.float64]]:
        """All views of rows: log-scores (n, C), vectors (n, d) of the map's encoder."""
        n_labels = len(self.map.label_keys)
        if np.ndim(log_scores) != 2 or np.shape(log_scores)[1] != n_labels:
            raise ScoresError(f"Scores {np.shape(log_scores)} do not fit {n_labels} labels.")
        if len(vectors) != len(log_scores):
            raise ScoresError(f"{len(log_scores)} rows of scores came with {len(vectors)} vectors.")
        return {
            CLASSIFIER: classifier_view(log_scores),
            SIMILARITY: similarity_view(vectors, self.map.label_vectors),
            NEIGHBOURS: neighbours_view(
                vectors, self.example_vectors, self.example_codes, n_labels
            ),
        }

    def fit(
        self, log_scores: FloatArray, vectors: FloatArray, codes: NDArray[np.integer[Any]]
    ) -> tuple[RerankFit, NDArray[np.float64]]:
        """Fit the pools on rows that trained neither classifier nor map; `codes` (n,) are true.

        Returns the fit and what the pool says of each row when fitted without it, (n, C), as if
        every row were hard; NaN where the true label's score is unknown. Raises TrainingDataError
        for too few rows, ScoresError for shapes that do not fit.
        """
        views = self.views(log_scores, vectors)
        found: PoolFit = fit_pool(views, codes, sets=VIEW_SETS)
        easy = fit_pool(views, codes, sets=VIEW_SETS[:1]).pool
        fit = RerankFit(found.pool, easy, len(log_scores), found.cross_validated)
        return fit, found.held_out

    def rerank(
        self,
        log_scores: FloatArray,
        vectors: FloatArray,
        hard: NDArray[np.bool_],
        *,
        fit: RerankFit,
    ) -> NDArray[np.float64]:
        """Probabilities (n, C) of all rows.

        `vectors` (h, d) are those of the h hard rows, in their order: no other needs one. Scores
        that are unknown (NaN) stay 0. Raises ScoresError.
        """
        chosen = np.asarray(hard, dtype=bool)
        if chosen.shape != np.shape(log_scores)[:1]:
            raise ScoresError("`hard` needs one flag a row.")
        scores = np.asarray(log_scores, dtype=np.float64)
        probabilities = fit.easy.combine({CLASSIFIER: classifier_view(scores)})
        if chosen.any():
            probabilities[chosen] = fit.hard.combine(self.views(scores[chosen], vectors))
        return probabilities

    def save(self, folder: str | Path, *, data_hash: str) -> Path:
        """Write everything but the map, which has a folder of its own; returns the folder."""
        fits = {
            name: {
                "hard": fit.hard.weights,
                "easy": fit.easy.weights,
                "rows": fit.rows,
                "cross_validated": fit.cross_validated,
            }
            for name, fit in self.fits.items()
        }
        return write_artifact(
            folder,
            kind=KIND,
            arrays={
                "example_vectors": self.example_vectors,
                "example_codes": self.example_codes,
            },
            manifest={
                "data_hash": data_hash,
                "settings": {"encoder": self.map.encoder.fingerprint, "fits": fits},
            },
        )

    @classmethod
    def load(
        cls,
        folder: str | Path,
        map_folder: str | Path,
        *,
        label_keys: Sequence[str],
        precision: str = FLOAT32,
    ) -> Reranker:
        """Read a reranker and its map, whose encoder gets this `precision`. Raises ArtifactError,
        also where they do not belong together or were made for another label set or with another
        precision."""
        artifact = read_artifact(folder, kind=KIND)
        semantic_map = SemanticMap.load(map_folder, label_keys=label_keys, precision=precision)
        if artifact.settings["encoder"] != semantic_map.encoder.fingerprint:
            raise ArtifactError(
                f"The reranker at {folder} belongs to another semantic map, or to another "
                "precision: train it again."
            )
        fits = {
            name: RerankFit(
                LogLinearPool(fit["hard"]),
                LogLinearPool(fit["easy"]),
                fit["rows"],
                fit["cross_validated"],
            )
            for name, fit in artifact.settings["fits"].items()
        }
        return cls(
            semantic_map,
            artifact.arrays["example_vectors"],
            artifact.arrays["example_codes"],
            fits,
        )
