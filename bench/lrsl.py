"""Reranking by label semantics against the classifier alone, on any CSV with text and category.

`python -m bench.lrsl --train A.csv --test B.csv --json` holds out 15 % of A for validation, trains
the classifier and the semantic map on the rest, and measures on B. With `--seeds N` it repeats all
of it and gives means with 95 % intervals. Each seed is a cell whose result is kept in `--cache`,
so a run that was cut off goes on where it stood.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.common import Row, read_rows, report, say, ticker, timed
from bench.lrsl_measure import compare, curve, summary
from rerank_engine.classifier import out_of_fold_logits, train_classifier
from rerank_engine.encoder import BUILTIN, Encoder, model_folder
from rerank_engine.errors import NothingMisclassifiedError
from rerank_engine.hard_samples import choose_k, fit_hard_threshold, top_k_variance
from rerank_engine.lrsl import MODES, rerank, softmax
from rerank_engine.reranker import Reranker
from rerank_engine.semantic_map import (
    MapRows,
    MapSettings,
    SemanticMap,
    confused_labels,
    save_semantic_map,
    train_semantic_map,
)
from rerank_engine.tuned_classifier import (
    TunedClassifier,
    TunedSettings,
    save_tuned_classifier,
    train_tuned_classifier,
)

# Raise it when the code of the engine changes what a cell would measure.
CELL_VERSION = 2
VALIDATION_SHARE = 0.15
CONFUSED = 5
Array = NDArray[Any]


@dataclass(frozen=True)
class Cell:
    """What one cached result depends on, besides the rows: `data` names where they come from."""

    data: str
    seed: int
    encoder: str
    classifier: str
    semantic_map: str
    rows: int | None


@dataclass(frozen=True)
class Data:
    """Texts and label codes of the three parts, and what is read of each label."""

    fit: tuple[list[str], Array]
    validation: tuple[list[str], Array]
    test: tuple[list[str], Array]
    labels: list[str]
    unknown_test_rows: int

    @property
    def label_texts(self) -> list[str]:
        return [" ".join(label.replace("_", " ").split()) or label for label in self.labels]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.lrsl", description=__doc__)
    parser.add_argument("--train", type=Path, required=True, help="CSV with text and category")
    parser.add_argument("--test", type=Path, required=True, help="CSV with text and category")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds")
    parser.add_argument("--encoder", default=BUILTIN, help="a sentence-transformers folder")
    parser.add_argument(
        "--classifier",
        choices=["frozen", "tuned"],
        default="frozen",
        help="a head on the frozen encoder, or the whole encoder fine-tuned",
    )
    parser.add_argument(
        "--map",
        choices=["confused", "no_confused", "untuned"],
        default="confused",
        help="the semantic map: as it should be, or without the confused labels, or not tuned",
    )
    parser.add_argument("--rows", type=int, help="train on this many rows of A, drawn at random")
    parser.add_argument("--cache", type=Path, default=Path("var/bench/lrsl"), help="folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    train, test = read_rows(options.train), read_rows(options.test)
    cells = []
    for seed in range(options.seed, options.seed + options.seeds):
        data = options.train.resolve().parent.name
        cell = Cell(data, seed, options.encoder, options.classifier, options.map, options.rows)
        cells.append(cached(cell, train, test, options.cache))
    report(summary(cells), as_json=options.json)


def cached(cell: Cell, train: list[Row], test: list[Row], cache: Path) -> dict[str, Any]:
    """The stored result of a cell, or a new one; the key covers the data and the settings."""
    folder = cache / _key(asdict(cell), asdict(TunedSettings()), train, test)
    place = folder / "result.json"
    if place.is_file():
        say(f"seed {cell.seed}: found at {place}")
        stored: dict[str, Any] = json.loads(place.read_text())
        return stored
    folder.mkdir(parents=True, exist_ok=True)
    say(f"seed {cell.seed} ({cell.classifier} classifier, map: {cell.semantic_map})")
    # The map is the same whichever classifier's scores it reranks.
    shared = {**asdict(cell), "classifier": ""}
    map_folder = cache / "maps" / _key(shared, train)
    result = measure(cell, split(train, test, cell), folder, map_folder)
    aside = place.with_suffix(".part")
    aside.write_text(json.dumps(result))
    aside.replace(place)
    return result


def _key(*parts: Any) -> str:
    content = [CELL_VERSION, asdict(MapSettings()), CONFUSED, VALIDATION_SHARE, *parts]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def split(train: list[Row], test: list[Row], cell: Cell) -> Data:
    """A random 15 % of the training rows for validation; test rows of labels that training lacks
    cannot be right and are left out, counted."""
    rows = [row for row in train if row["text"].strip()]
    random.Random(cell.seed).shuffle(rows)
    rows = rows[: cell.rows]
    labels = sorted({row["category"] for row in rows})
    place = {label: code for code, label in enumerate(labels)}
    known = [row for row in test if row["category"] in place]
    held = int(VALIDATION_SHARE * len(rows))

    def part(chosen: Sequence[Row]) -> tuple[list[str], Array]:
        codes = np.array([place[row["category"]] for row in chosen], dtype=np.int64)
        return [row["text"] for row in chosen], codes

    return Data(part(rows[held:]), part(rows[:held]), part(known), labels, len(test) - len(known))


def measure(cell: Cell, data: Data, folder: Path, map_folder: Path) -> dict[str, Any]:
    """Train everything, rerank the test rows every way, and compare."""
    seconds: dict[str, float] = {}
    semantic_map = map_of(cell, data, map_folder, seconds)
    logits = classify(cell, data, folder, seconds)
    vectors = {}
    for name in ("fit", "validation", "test"):
        with timed(seconds, f"encode {name} with the map"):
            vectors[name] = semantic_map.encoder.encode(
                getattr(data, name)[0], progress=ticker(f"encode {name}")
            )
    codes, truth = data.validation[1], data.test[1]
    k = choose_k(logits["validation"], codes)
    threshold = hardness(logits["validation"], codes, k)
    hard = top_k_variance(logits["test"], k) < threshold
    found = {"origin": softmax(logits["test"])}
    with timed(seconds, "rerank"):
        for mode in MODES:
            found[mode] = rerank(
                logits["test"], vectors["test"], semantic_map.label_vectors, mode=mode, hard=hard
            )
    # The similarity of the paper's tables 4 and 5 decides every row, easy ones too.
    found["similarity"] = rerank(
        logits["test"], vectors["test"], semantic_map.label_vectors, mode="similarity"
    )
    with timed(seconds, "fit the pool and rerank"):
        reranker = Reranker(semantic_map, vectors["fit"], data.fit[1], {})
        fit, _held_out = reranker.fit(logits["validation"], vectors["validation"], codes)
        found["ours"] = reranker.rerank(logits["test"], vectors["test"][hard], hard, fit=fit)
        everywhere = np.ones(len(hard), dtype=bool)
        found["ours_all"] = reranker.rerank(logits["test"], vectors["test"], everywhere, fit=fit)
    return {
        "cell": asdict(cell),
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "rows": {name: len(getattr(data, name)[0]) for name in ("fit", "validation", "test")},
        "labels": len(data.labels),
        "unknown_test_rows": data.unknown_test_rows,
        **compare(found, truth, hard),
        "hard_share": float(hard.mean()),
        "hard_k": k,
        "hard_threshold": threshold,
        "pool": {"exponents": fit.hard.weights, "cross_validated_nll": fit.cross_validated},
        "map_losses": semantic_map.report.losses,
        "curve": curve(
            top_k_variance(logits["test"], k),
            found["origin"],
            {
                "paper": rerank(logits["test"], vectors["test"], semantic_map.label_vectors),
                "ours": found["ours_all"],
            },
            truth,
        ),
        "seconds": seconds,
    }


def hardness(logits: Array, codes: Array, k: int) -> float:
    """The threshold of eq. 7; where no validation row is wrong one that makes no row hard."""
    try:
        return fit_hard_threshold(logits, codes, k=k).threshold
    except NothingMisclassifiedError as nothing:
        say(str(nothing))
        return -1.0


def classify(
    cell: Cell, data: Data, folder: Path, seconds: dict[str, float]
) -> dict[str, NDArray[np.float32]]:
    """Logits of validation and test rows."""
    if cell.classifier == "tuned":
        return tuned_logits(cell, data, folder, seconds)
    encoder = Encoder.load(cell.encoder)
    with timed(seconds, "encode"):
        vectors = {
            name: encoder.encode(getattr(data, name)[0], progress=ticker(f"encode {name}"))
            for name in ("fit", "validation", "test")
        }
    with timed(seconds, "train classifier"):
        head = train_classifier(
            vectors["fit"], data.fit[1], n_classes=len(data.labels), seed=cell.seed
        )
    return {name: head.logits(vectors[name]) for name in ("validation", "test")}


def confused(cell: Cell, data: Data, seconds: dict[str, float]) -> NDArray[np.integer[Any]]:
    """The labels each row to train on is confused with, by heads that did not see it.

    They are heads on the frozen encoder for both classifiers: five fine-tunings only to learn
    which labels are confused would cost more than all the rest.
    """
    if cell.semantic_map == "no_confused":
        return np.zeros((len(data.fit[1]), 0), dtype=np.int64)
    with timed(seconds, "out of fold"):
        logits = out_of_fold_logits(
            Encoder.load(cell.encoder).encode(data.fit[0], progress=ticker("encode fit")),
            data.fit[1],
            n_classes=len(data.labels),
            seed=cell.seed,
            progress=ticker("fold"),
        )
    return confused_labels(logits, data.fit[1], k=CONFUSED)


def tuned_logits(
    cell: Cell, data: Data, folder: Path, seconds: dict[str, float]
) -> dict[str, NDArray[np.float32]]:
    settings = TunedSettings()
    place = folder / "classifier"
    if not place.exists():
        with timed(seconds, "fine-tune classifier"):
            model, head, outcome = train_tuned_classifier(
                *data.fit,
                n_classes=len(data.labels),
                base=model_folder(cell.encoder),
                validation=data.validation,
                seed=cell.seed,
                settings=settings,
                checkpoint=folder / "classifier.safetensors",
                progress=ticker("fine-tune classifier"),
            )
        save_tuned_classifier(place, model, head, outcome, data_hash="", settings=settings)
    classifier = TunedClassifier.load(place)
    encode = classifier.encoder.encode
    return {
        name: classifier.logits(encode(getattr(data, name)[0], progress=ticker(f"encode {name}")))
        for name in ("validation", "test")
    }


def map_of(cell: Cell, data: Data, folder: Path, seconds: dict[str, float]) -> SemanticMap:
    """The semantic map of the cell; a trained one is kept in `folder`."""
    base = model_folder(cell.encoder)
    if cell.semantic_map == "untuned":
        encoder = Encoder.load(base)
        from rerank_engine.tuning import TuneReport

        return SemanticMap(
            encoder, tuple(data.labels), encoder.encode(data.label_texts), TuneReport()
        )
    settings = MapSettings(use_confused=cell.semantic_map == "confused")
    place = folder / "map"
    if not place.exists():
        rows = MapRows(*data.fit, confused(cell, data, seconds))
        with timed(seconds, "train map"):
            model, outcome = train_semantic_map(
                rows,
                data.label_texts,
                base=base,
                validation=data.validation,
                seed=cell.seed,
                settings=settings,
                checkpoint=folder / "map.safetensors",
                progress=ticker("train map"),
            )
        save_semantic_map(
            place,
            model,
            outcome,
            label_keys=data.labels,
            label_texts=data.label_texts,
            data_hash="",
            settings=settings,
        )
    return SemanticMap.load(place, label_keys=data.labels)


if __name__ == "__main__":
    main()
