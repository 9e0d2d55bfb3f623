"""What it costs to change a large document index.

`python -m bench.document_index --passages N --json` makes N passages of made-up words whose
frequencies fall as in a language, and times: counting the words of all of them, the statistics of
BM25 from counted words, an index rebuilt after one document in a hundred changed, saving it,
loading it, and a search. The vectors are random: embedding is what an unchanged passage is spared.
Seconds are of the processor, which on an idle machine are those of the clock.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.common import report, say
from rerank_engine.retrieval.bm25 import Bm25Index, TermCounts
from rerank_engine.retrieval.index import DocumentIndex
from rerank_engine.retrieval.passages import Document, Progress

WIDTH = 384
VOCABULARY = 50_000
WORDS = (40, 130)
CHANGED_EVERY = 100
QUERIES = 50
QUERY_WORDS = 12


class RandomEncoder:
    """Vectors that mean nothing, at once; counts the texts it was given."""

    fingerprint = "random"

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.encoded = 0

    def encode(
        self, texts: Sequence[str], *, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        self.encoded += len(texts)
        vectors = self._rng.standard_normal((len(texts), WIDTH), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.document_index", description=__doc__)
    parser.add_argument("--passages", type=int, default=100_000, help="size of the index")
    parser.add_argument("--seed", type=int, default=0, help="seed of the words and vectors")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as folder:
        result = measure(options.passages, options.seed, Path(folder))
    report(result, as_json=options.json)


def measure(passages: int, seed: int, folder: Path) -> dict[str, Any]:
    """Times of one index of `passages` documents of one passage each."""
    rng = np.random.default_rng(seed)
    documents = [
        Document(str(number), f"Title {number}", text)
        for number, text in enumerate(_texts(rng, passages))
    ]
    encoder = RandomEncoder(seed)
    seconds: dict[str, float] = {}
    with worked(seconds, "build from nothing"):
        index = DocumentIndex.build(documents, encoder)
    counts = index.passages.counts
    with worked(seconds, "of that: count words"):
        TermCounts.of(index.passages.texts)
    with worked(seconds, "of that: bm25 from counted words"):
        Bm25Index(counts)
    changed = [
        Document(d.id, d.title, f"{d.text} again") if number % CHANGED_EVERY == 0 else d
        for number, d in enumerate(documents)
    ]
    encoder.encoded = 0
    with worked(seconds, "rebuild with one in a hundred changed"):
        index = DocumentIndex.build(changed, encoder, previous=index)
    with worked(seconds, "save"):
        index.save(folder / "index")
    with worked(seconds, "load"):
        index = DocumentIndex.load(folder / "index")
    return {
        "passages": index.n_passages,
        "terms": len(index.passages.counts.terms),
        "encoded_again": encoder.encoded,
        "seconds": seconds,
        "search_ms": _search_ms(index, rng, encoder),
    }


@contextmanager
def worked(seconds: dict[str, float], what: str) -> Iterator[None]:
    """Note the processor's seconds of the block under `what`, and say that it goes on."""
    say(f"{what} ...")
    started = time.process_time()
    yield
    seconds[what] = round(time.process_time() - started, 2)


def _texts(rng: np.random.Generator, number: int) -> list[str]:
    """Texts of words drawn with a probability falling as 1 over their rank."""
    names = np.array([_letters(rank) for rank in range(VOCABULARY)])
    shares = 1 / np.arange(1, VOCABULARY + 1)
    sizes = rng.integers(*WORDS, number)
    drawn = rng.choice(names, sizes.sum(), p=shares / shares.sum())
    return [" ".join(part) for part in np.split(drawn, np.cumsum(sizes)[:-1])]


def _letters(number: int) -> str:
    word = ""
    while number or not word:
        number, letter = divmod(number, 26)
        word += chr(ord("a") + letter)
    return word


def _search_ms(index: DocumentIndex, rng: np.random.Generator, encoder: RandomEncoder) -> float:
    """Milliseconds of one query of a dozen words, on average."""
    queries = _texts(rng, QUERIES)
    queries = [" ".join(query.split()[:QUERY_WORDS]) for query in queries]
    vectors = encoder.encode(queries)
    say("search ...")
    started = time.process_time()
    index.search(queries, vectors)
    return round((time.process_time() - started) * 1000 / QUERIES, 2)


if __name__ == "__main__":
    main()
