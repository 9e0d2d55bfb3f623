"""The encoder against plain `SentenceTransformer.encode`, in the same run.

`python -m bench.encoder --data train.csv test.csv --json` starts one process for each way, which
encode the same texts in turns, so that whatever else the machine does hits both: one text, 32
texts, 10,000 texts. Ratios are of neighbouring turns. Wall seconds are what a person waits, CPU
seconds what the machine works; on a busy machine the latter tell more. Texts whose vectors are
stored already are counted apart. Without --data it takes the texts of the demo project.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.common import Row, read_rows, report, say

PLAIN, OURS, NARROW = "plain", "ours", "ours in bfloat16"
SIZES = {1: 20, 32: 10}
"""How many turns a number of texts gets; the largest number gets --repeats."""
WARM_UP = ["My card was swallowed by the machine.", "how do I top up?"]
Turn = tuple[float, float]
"""Wall seconds and CPU seconds of one call."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.encoder", description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", help="CSVs with text and category")
    parser.add_argument("--texts", type=int, default=10_000, help="how many at most")
    parser.add_argument("--repeats", type=int, default=3, help="turns with all texts")
    parser.add_argument("--seed", type=int, default=0, help="seed of the texts drawn")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    rows = [row for path in options.data for row in read_rows(path)] if options.data else _demo()
    random.Random(options.seed).shuffle(rows)
    report(measure(rows[: options.texts], options.repeats, options.seed), as_json=options.json)


def _demo() -> list[Row]:
    from labeling.demo import data

    keys = {card["key"] for card in data.labels()}
    return [
        {"text": text.text, "category": text.label} for text in data.texts() if text.label in keys
    ]


def measure(rows: list[Row], repeats: int, seed: int) -> dict[str, Any]:
    """All figures: the ways one against the other, then the store of vectors."""
    texts = [row["text"] for row in rows]
    labels = sorted({row["category"] for row in rows})
    with workers() as (ways, about):
        sizes = {
            str(size): against(ways, texts, size, turns, seed)
            for size, turns in (SIZES | {len(texts): repeats}).items()
        }
        label_texts = [label.replace("_", " ") for label in labels]
        vectors = {name: way.last for name, way in ways.items()}
        for way in ways.values():
            way.encode(label_texts)
        named = {name: way.last for name, way in ways.items()}
        memory = {name: way.peak_memory_mb() for name, way in ways.items()}
    chosen = {name: (vectors[name] @ named[name].T).argmax(axis=1) for name in ways}
    others = [name for name in ways if name != PLAIN]
    return {
        "texts": len(texts),
        "distinct_texts": len(set(texts)),
        **about,
        "sizes": sizes,
        "peak_memory_mb": memory,
        "lowest_cosine": {
            name: float((vectors[name] * vectors[PLAIN]).sum(axis=1, dtype=np.float64).min())
            for name in others
        },
        "labels": len(labels),
        "labels_different": {name: int((chosen[name] != chosen[PLAIN]).sum()) for name in others},
        "classifier": classified(vectors, rows, labels, seed),
        "stored": stored(texts, vectors[OURS]),
    }


def classified(
    vectors: dict[str, NDArray[np.float32]], rows: list[Row], labels: list[str], seed: int
) -> dict[str, Any]:
    """What a classifier says, trained on the plain vectors of half of the texts, of the others:
    how many it has right with the vectors of each way, and how many labels differ."""
    from rerank_engine.classifier import train_classifier

    place = {label: code for code, label in enumerate(labels)}
    codes = np.array([place[row["category"]] for row in rows])
    half = len(rows) // 2
    say("training a classifier ...")
    head = train_classifier(vectors[PLAIN][:half], codes[:half], n_classes=len(labels), seed=seed)
    said = {name: head.logits(values[half:]).argmax(axis=1) for name, values in vectors.items()}
    return {
        "texts": len(rows) - half,
        "right": {name: int((each == codes[half:]).sum()) for name, each in said.items()},
        "labels_different": {
            name: int((each != said[PLAIN]).sum()) for name, each in said.items() if name != PLAIN
        },
    }


class Way:
    """A process that encodes texts in one way."""

    def __init__(self, name: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._link, far = context.Pipe()
        self._process = context.Process(target=_serve, args=(name, far), daemon=True)
        self._process.start()
        far.close()
        self.about: dict[str, Any] = self._link.recv()
        self.last: NDArray[np.float32] = np.zeros((0, 0), dtype=np.float32)

    def encode(self, texts: Sequence[str]) -> Turn:
        """Encode, keep the vectors as `last`, and say how long it took."""
        self._link.send(list(texts))
        turn: Turn
        self.last, turn = self._link.recv()
        return turn

    def peak_memory_mb(self) -> float:
        self._link.send(None)
        peak: float = self._link.recv()
        return peak

    def stop(self) -> None:
        self._link.close()
        self._process.join()


def _serve(name: str, link: Connection) -> None:
    encode, about = _loaded(name)
    encode(WARM_UP)
    link.send(about)
    with suppress(EOFError):  # the other end is closed
        while (texts := link.recv()) is not None:
            wall, cpu = time.perf_counter(), time.process_time()
            vectors = encode(texts)
            link.send((vectors, (time.perf_counter() - wall, time.process_time() - cpu)))
        link.send(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1))


def _loaded(name: str) -> tuple[Any, dict[str, Any]]:
    """The function that encodes in this way, and what it runs on."""
    import torch

    from rerank_engine.encoder import Encoder, model_folder
    from rerank_engine.precision import BFLOAT16, FLOAT32

    about = {
        "threads": torch.get_num_threads(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
    }
    if name != PLAIN:
        encoder = Encoder.load(device="cpu", precision=BFLOAT16 if name == NARROW else FLOAT32)
        return encoder.encode, about | {"precision": encoder.precision}
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(model_folder()), device="cpu", local_files_only=True)
    return lambda texts: plain.encode(
        texts, normalize_embeddings=True, show_progress_bar=False
    ), about


@contextmanager
def workers() -> Iterator[tuple[dict[str, Way], dict[str, Any]]]:
    """The ways by name, bfloat16 among them where it is native, and what they run on."""
    ways: dict[str, Way] = {}
    try:
        for name in (PLAIN, OURS, NARROW):
            say(f"loading: {name} ...")
            ways[name] = Way(name)
        if ways[NARROW].about["precision"] == ways[OURS].about["precision"]:
            say("This processor has no bfloat16 of its own, so that is left out.")
            ways.pop(NARROW).stop()
        about = {key: ways[PLAIN].about[key] for key in ("threads", "processor", "machine")}
        yield ways, about
    finally:
        for way in ways.values():
            way.stop()


def against(
    ways: dict[str, Way], texts: list[str], size: int, turns: int, seed: int
) -> dict[str, Any]:
    """Texts a second of each way, and its ratio to the plain one turn by turn."""
    rng = random.Random(seed)
    spent: dict[str, list[Turn]] = {name: [] for name in ways}
    for number in range(turns):
        batch = texts if size >= len(texts) else rng.sample(texts, size)
        # Who goes first alternates: what the machine does else may come and go.
        for name in list(ways) if number % 2 else list(reversed(ways)):
            spent[name].append(ways[name].encode(batch))
            if size > max(SIZES):
                say(f"  {len(batch)} texts, {name}: {spent[name][-1][0]:.1f} s")
    return {
        name: {
            "texts_per_second": round(size / statistics.median(wall for wall, _ in spent[name]), 1),
            "texts_per_cpu_second": round(
                size / statistics.median(cpu for _, cpu in spent[name]), 1
            ),
        }
        | ({} if name == PLAIN else _ratios(spent[PLAIN], spent[name]))
        for name in ways
    }


def _ratios(plain: list[Turn], other: list[Turn]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for what, place in (("ratio", 0), ("cpu_ratio", 1)):
        ratios = [a[place] / b[place] for a, b in zip(plain, other, strict=True)]
        found[what] = {
            "median": round(statistics.median(ratios), 2),
            "lowest": round(min(ratios), 2),
            "highest": round(max(ratios), 2),
        }
    return found


def stored(texts: list[str], vectors: NDArray[np.float32]) -> dict[str, Any]:
    """Texts a second where all vectors stand in the database already (SQLite, in a new folder)."""
    from bench.site import Site

    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as folder:
        site = Site(Path(folder))
        site.manage("migrate", "--verbosity=0")
        import django

        django.setup()
        from labeling import scores
        from labeling.models import Embedding
        from llm_worker.pipeline import cores, embeddings

        found = dict(zip(map(embeddings.key, texts), vectors, strict=True))
        fingerprint = cores.encoder().fingerprint
        Embedding.objects.bulk_create(
            (
                Embedding(text_hash=digest, encoder=fingerprint, vector=scores.pack(vector))
                for digest, vector in found.items()
            ),
            batch_size=embeddings.LOOKUP,
            ignore_conflicts=True,
        )
        started = time.perf_counter()
        again = embeddings.vectors(texts)
        seconds = time.perf_counter() - started
    return {
        "texts_per_second": round(len(texts) / seconds, 1),
        "equal": bool((again == np.stack([found[embeddings.key(text)] for text in texts])).all()),
    }


if __name__ == "__main__":
    main()
