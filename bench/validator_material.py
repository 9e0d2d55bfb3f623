"""What `bench.validators` asks about: tasks, label cards, documents, local models."""

from __future__ import annotations

import argparse
import functools
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.common import Row, read_rows, say
from llm_worker.clients.cross_encoder import train_cross_encoder
from llm_worker.clients.knn import train_knn
from llm_worker.types import NO, UNK, YES, Candidate, Document, Question, ValidationRequest
from llm_worker.validators import Validator
from rerank_engine.classifier import train_classifier
from rerank_engine.encoder import Encoder, model_folder
from rerank_engine.retrieval.index import DocumentIndex
from rerank_engine.retrieval.passages import Document as Indexed

NEAREST, CROSS_ENCODER = "nearest texts", "cross-encoder"
CANDIDATES = 5
EXAMPLES = 3
NEGATIVES = 8
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Task:
    """A text with its candidates, best first, the documents found for it, and its true label."""

    number: int
    text: str
    vector: Floats
    candidates: tuple[int, ...]
    truth: int
    documents: tuple[Document, ...]

    def right(self, question: Question) -> str:
        """The option that is right."""
        if question == "binary":
            return YES if self.candidates[0] == self.truth else NO
        return str(self.truth) if self.truth in self.candidates else UNK


@dataclass(frozen=True)
class Material:
    """`tune` and `test` come from the test file and were seen by no model; `spare` texts were."""

    names: Sequence[str]
    cards: Mapping[int, Candidate]
    tune: Sequence[Task]
    test: Sequence[Task]
    spare: Sequence[Task]
    train_rows: int
    local: Callable[[], Mapping[str, Validator]]
    """Trains the local validators, when it is first called."""

    def requests(
        self, tasks: Sequence[Task], question: Question, *, look_alikes: bool, documents: bool
    ) -> list[ValidationRequest]:
        found = []
        for task in tasks:
            cards = [self.cards[label] for label in task.candidates]
            if not look_alikes:
                cards = [replace(card, counter_examples=()) for card in cards]
            asked = task.candidates[0] if question == "binary" else None
            found.append(
                ValidationRequest(
                    task.number,
                    task.text,
                    question,
                    tuple(cards),
                    asked,
                    task.vector,
                    task.documents if documents else (),
                )
            )
        return found


def make_material(options: argparse.Namespace) -> Material:
    """Everything but an LLM, from `per_label` texts a label of train.csv."""
    known, asked = (read_rows(options.data / f"{name}.csv") for name in ("train", "test"))
    rng = random.Random(options.seed)
    rng.shuffle(known)
    rng.shuffle(asked)
    names = sorted({row["category"] for row in known})
    place = {name: number for number, name in enumerate(names)}
    rows = _some_of_each(known, options.per_label)
    say(f"encoding {len(rows)} texts to train on ...")
    encoder = Encoder.load()
    texts = [row["text"] for row in rows]
    labels = np.array([place[row["category"]] for row in rows], dtype=np.int64)
    vectors = encoder.encode(texts)
    say("training the classifier ...")
    classifier = train_classifier(vectors, labels, n_classes=len(names), seed=options.seed)
    cards = _cards(names, texts, labels, vectors)

    def train() -> dict[str, Validator]:
        say("training the local validators ...")
        ranked = np.argsort(-classifier.logits(vectors), axis=1)[:, : NEGATIVES + 1]
        confused = [
            [label for label in row if label != true][:NEGATIVES]
            for row, true in zip(ranked, labels, strict=True)
        ]
        cross_encoder = train_cross_encoder(
            texts,
            labels,
            {number: card.text for number, card in cards.items()},
            np.array(confused),
            base_model_path=model_folder(),
            seed=options.seed,
            max_pairs=options.pairs,
        )
        hashes = [text.casefold() for text in texts]
        knn = train_knn(vectors, labels, text_hashes=hashes)
        return {NEAREST: knn, CROSS_ENCODER: cross_encoder}

    index = _index(options.documents, encoder)
    titles = {document.id: document.title for document in index.documents} if index else {}
    read = {row["text"].strip().casefold() for row in rows}
    fresh = [row for row in asked if row["text"].strip().casefold() not in read]

    def tasks(rows: Sequence[Row], start: int) -> list[Task]:
        queries = [row["text"] for row in rows]
        encoded = encoder.encode(queries)
        ranked = np.argsort(-classifier.logits(encoded), axis=1)[:, :CANDIDATES]
        hits = index.search(queries, encoded) if index else [[] for _ in rows]
        return [
            Task(
                number=start + at,
                text=row["text"],
                vector=encoded[at],
                candidates=tuple(int(label) for label in ranked[at]),
                truth=place[row["category"]],
                documents=tuple(
                    Document(hit.document_id, titles[hit.document_id], hit.passage)
                    for hit in hits[at]
                ),
            )
            for at, row in enumerate(rows)
        ]

    tune, rest = fresh[: options.tasks], fresh[options.tasks : 2 * options.tasks]
    return Material(
        names=names,
        cards=cards,
        tune=tasks(tune, 0),
        test=tasks(rest, 100_000),
        spare=tasks(rows[:30], 200_000),
        train_rows=len(rows),
        local=functools.cache(train),
    )


def _some_of_each(rows: Sequence[Row], most: int) -> list[Row]:
    taken: dict[str, int] = {}
    kept = []
    for row in rows:
        taken[row["category"]] = taken.get(row["category"], 0) + 1
        if taken[row["category"]] <= most:
            kept.append(row)
    return kept


def _cards(
    names: Sequence[str], texts: Sequence[str], labels: NDArray[np.int64], vectors: Floats
) -> dict[int, Candidate]:
    """The data set has names only. Examples are the label's own texts nearest to their mean,
    look-alikes those of other labels nearest to it."""
    cards = {}
    for number, name in enumerate(names):
        own = labels == number
        order = np.argsort(-(vectors @ vectors[own].mean(axis=0)), kind="stable")
        fits = [texts[at] for at in order if own[at]][:EXAMPLES]
        alike = [texts[at] for at in order if not own[at]][:EXAMPLES]
        cards[number] = Candidate(number, name.replace("_", " "), "", tuple(fits), tuple(alike))
    return cards


def _index(path: Path | None, encoder: Encoder) -> DocumentIndex | None:
    if path is None:
        return None
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    documents = [Indexed(row["id"], row.get("title", ""), row.get("text", "")) for row in rows]
    return DocumentIndex.build(documents, encoder)
