"""The models of `bench.certify`: trained once, on a fixed random part; what they say of the rest.

The part is cut again. Three quarters (*learn*) train the semantic map and, for the other quarter
(*fit*), a classifier and a kNN; on *fit* the reranker's pool and the correctness scorer are fitted.
Then the classifier and the kNN are trained on the whole part. Nothing of the rest, the population,
is looked at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.common import Row, say, ticker, timed
from labeling.rules import text_hash
from labeling.statistics.scorer import Signs, features, fit_scorer
from llm_worker.clients.knn import KnnValidator, train_knn
from llm_worker.types import Candidate, ValidationRequest
from rerank_engine.classifier import out_of_fold_logits
from rerank_engine.encoder import BUILTIN, Encoder, model_folder
from rerank_engine.lrsl import top_candidates
from rerank_engine.reranker import Reranker
from rerank_engine.semantic_map import (
    MapRows,
    SemanticMap,
    confused_labels,
    save_semantic_map,
    train_semantic_map,
)
from rerank_engine.tuning import TuneReport

Array = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

OOS = "oos"
CANDIDATES = 5
CONFUSED = 5
FIT_SHARE = 0.25
# Of the logistic regression; chosen so that it is as accurate as that of the first trial.
STRENGTH = 10.0
VERSION = 1


@dataclass(frozen=True)
class Population:
    """What the models say of the rows that trained nothing: for each way of scoring the label it
    would give, its score, and whether accepting it would be an error. All of shape (n,)."""

    texts: list[str]
    truth: list[str]
    labels: dict[str, list[str]]
    scores: dict[str, Floats]
    wrong: dict[str, Flags]
    seconds: dict[str, float]
    trained_on: int


def without_copies(rows: Sequence[Row]) -> list[Row]:
    """The first of every normalised text: a copy is no further row."""
    seen: set[str] = set()
    kept = []
    for row in rows:
        digest = text_hash(row["text"])
        if digest not in seen and row["text"].strip():
            seen.add(digest)
            kept.append(row)
    return kept


def population(
    rows: list[Row], *, train_rows: int, tuned_map: bool, seed: int, cache: Path
) -> Population:
    """Train on `train_rows` of the rows, drawn at random, and score the others; kept in `cache`."""
    content = json.dumps([VERSION, rows, train_rows, seed]).encode()
    place = cache / (hashlib.sha256(content).hexdigest()[:24] + ("" if tuned_map else "-untuned"))
    order = np.random.default_rng(seed).permutation(len(rows))
    models = _Models([rows[i] for i in order[:train_rows]], tuned_map, seed, place)
    stored = place / "population.npz"
    if not stored.exists():
        models.score([rows[i] for i in order[train_rows:]], stored)
    rest = [rows[i] for i in order[train_rows:]]
    return _read(stored, models.labels, rest, models.seconds, train_rows)


def _read(
    stored: Path, labels: list[str], rest: list[Row], seconds: dict[str, float], trained_on: int
) -> Population:
    truth = [row["category"] for row in rest]
    with np.load(stored) as arrays:
        scores = {name: arrays[f"{name}_score"] for name in ("classifier", "reranked", "scorer")}
        codes = {name: arrays[f"{name}_code"] for name in scores}
    given = {name: [labels[code] for code in codes[name]] for name in scores}
    wrong = {
        name: np.array([a != b for a, b in zip(given[name], truth, strict=True)], bool)
        for name in scores
    }
    texts = [row["text"] for row in rest]
    return Population(texts, truth, given, scores, wrong, seconds, trained_on)


@dataclass(frozen=True)
class _Scored:
    """Rows as the models see them: logits of the classifier (n, C), vectors of the plain encoder
    and of the map (n, d)."""

    logits: Floats
    plain: NDArray[np.float32]
    mapped: NDArray[np.float32]


class _Models:
    def __init__(self, part: list[Row], tuned_map: bool, seed: int, place: Path) -> None:
        self.seconds: dict[str, float] = {}
        self.seed, self.place, self.tuned_map = seed, place, tuned_map
        # Text that fits no label cannot train a classifier over the labels.
        self.part = [row for row in part if row["category"] != OOS]
        self.outside = [row for row in part if row["category"] == OOS]
        self.labels = sorted({row["category"] for row in self.part})
        codes = {label: code for code, label in enumerate(self.labels)}
        self.codes = np.array([codes[row["category"]] for row in self.part], dtype=np.int64)
        self.texts = [row["text"] for row in self.part]

    def score(self, rest: list[Row], stored: Path) -> None:
        self.encoder = Encoder.load(BUILTIN)
        with timed(self.seconds, "encode the part"):
            plain = self.encoder.encode(self.texts, progress=ticker("encode"))
        learn = np.arange(len(self.texts)) < int((1 - FIT_SHARE) * len(self.texts))
        self.map = self._map(plain, learn)
        with timed(self.seconds, "encode with the map"):
            mapped = plain
            if self.tuned_map:
                mapped = self.map.encoder.encode(self.texts, progress=ticker("encode"))
            unfit = [row["text"] for row in self.outside]
            outside_vectors = self._vectors(unfit)
        with timed(self.seconds, "fit reranker and scorer"):
            first = self._trained(plain[learn], mapped[learn], self.codes[learn])
            held = _Scored(first.logits(plain[~learn]), plain[~learn], mapped[~learn])
            fit, held_out = first.reranker.fit(held.logits, held.mapped, self.codes[~learn])
            rows = first.rows(held, held_out)
            right = [row.label == str(c) for row, c in zip(rows, self.codes[~learn], strict=True)]
            if unfit:
                outside = _Scored(first.logits(outside_vectors[0]), *outside_vectors)
                everywhere = np.ones(len(unfit), bool)
                pooled = first.reranker.rerank(outside.logits, outside.mapped, everywhere, fit=fit)
                rows += first.rows(outside, pooled)
                right += [False] * len(unfit)
            scorer = fit_scorer([features(row) for row in rows], np.array(right, bool))
        with timed(self.seconds, "score the population"):
            last = self._trained(plain, mapped, self.codes)
            vectors = self._vectors([row["text"] for row in rest])
            seen = _Scored(last.logits(vectors[0]), *vectors)
            everywhere = np.ones(len(rest), bool)
            pooled = last.reranker.rerank(seen.logits, seen.mapped, everywhere, fit=fit)
            rows = last.rows(seen, pooled)
            own = np.exp(seen.logits - np.logaddexp.reduce(seen.logits, axis=1)[:, None])
            by_scorer = (
                np.array([scorer.probability(features(row)) for row in rows])
                if scorer
                else pooled.max(axis=1)
            )
        if scorer:
            say(f"scorer: {json.dumps(scorer.as_json())}")
        best = pooled.argmax(axis=1)
        self.place.mkdir(parents=True, exist_ok=True)
        np.savez(
            stored,
            classifier_score=own.max(axis=1),
            classifier_code=own.argmax(axis=1),
            reranked_score=pooled.max(axis=1),
            reranked_code=best,
            scorer_score=by_scorer,
            scorer_code=best,
        )

    def _vectors(self, texts: list[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if not texts:
            nothing = np.zeros((0, self.encoder.dimension), np.float32)
            return nothing, nothing
        plain = self.encoder.encode(texts, progress=ticker("encode"))
        if not self.tuned_map:
            return plain, plain
        return plain, self.map.encoder.encode(texts, progress=ticker("encode with the map"))

    def _map(self, plain: NDArray[np.float32], learn: Flags) -> SemanticMap:
        place = self.place / "map"
        label_texts = [" ".join(label.replace("_", " ").split()) for label in self.labels]
        if not self.tuned_map:
            vectors = self.encoder.encode(label_texts)
            return SemanticMap(self.encoder, tuple(self.labels), vectors, TuneReport())
        if not place.exists():
            with timed(self.seconds, "out of fold"):
                logits = out_of_fold_logits(
                    plain[learn], self.codes[learn], n_classes=len(self.labels), seed=self.seed
                )
            with timed(self.seconds, "train the semantic map"):
                texts = [text for text, chosen in zip(self.texts, learn, strict=True) if chosen]
                confused = confused_labels(logits, self.codes[learn], k=CONFUSED)
                model, outcome = train_semantic_map(
                    MapRows(texts, self.codes[learn], confused),
                    label_texts,
                    base=model_folder(BUILTIN),
                    seed=self.seed,
                    progress=ticker("train the map"),
                )
            save_semantic_map(
                place,
                model,
                outcome,
                label_keys=self.labels,
                label_texts=label_texts,
                data_hash="",
            )
        return SemanticMap.load(place, label_keys=self.labels)

    def _trained(
        self, plain: NDArray[np.float32], mapped: NDArray[np.float32], codes: Array
    ) -> _Trained:
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=STRENGTH, max_iter=500).fit(plain, codes)
        weights = np.full((len(self.labels), plain.shape[1]), 0.0)
        bias = np.full(len(self.labels), -20.0)
        weights[model.classes_], bias[model.classes_] = model.coef_, model.intercept_
        knn = train_knn(plain, codes)
        return _Trained(weights, bias, knn, Reranker(self.map, mapped, codes, {}), self.labels)


@dataclass(frozen=True)
class _Trained:
    """A classifier, a kNN validator and a reranker that know the same rows."""

    weights: Floats
    bias: Floats
    knn: KnnValidator
    reranker: Reranker
    labels: list[str]

    def logits(self, plain: NDArray[np.float32]) -> Floats:
        return np.asarray(plain @ self.weights.T + self.bias, dtype=np.float64)

    def rows(self, seen: _Scored, pooled: Floats) -> list[Signs]:
        """What the product would know of each row: candidates, the kNN's verdict on them, and the
        reranker's distribution over them."""
        before = np.exp(seen.logits - np.logaddexp.reduce(seen.logits, axis=1)[:, None])
        top = top_candidates(pooled, min(CANDIDATES, len(self.labels)))
        cosine = seen.mapped @ self.reranker.map.label_vectors.T
        requests = [
            ValidationRequest(
                number,
                "a text",
                "multiclass",
                tuple(Candidate(int(code), self.labels[code], "") for code in top[number]),
                text_vector=seen.plain[number],
            )
            for number in range(len(top))
        ]
        answers, failures = self.knn.validate(requests)
        verdicts = {answer.task_id: answer.probabilities for answer in answers}
        say(f"  kNN: {len(answers)} answers, {len(failures)} failures")
        found = []
        for number, codes in enumerate(top):
            told = verdicts.get(number)
            found.append(
                Signs(
                    label=str(codes[0]),
                    pooled={str(code): float(pooled[number, code]) for code in codes},
                    verdicts=[dict(zip(told.options, told.probabilities, strict=True))]
                    if told
                    else [],
                    candidates=[
                        (
                            str(code),
                            float(pooled[number, code]),
                            float(before[number, code]),
                            float(cosine[number, code]),
                        )
                        for code in codes
                    ],
                )
            )
        return found
