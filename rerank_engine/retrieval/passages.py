"""The passages of documents with their vectors and words; what did not change is not made again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rerank_engine.retrieval.bm25 import TermCounts
from rerank_engine.retrieval.chunking import split_passages

Progress = Callable[[int, int], None]


class TextEncoder(Protocol):
    """What the index needs of an encoder; `rerank_engine.encoder.Encoder` has it."""

    @property
    def fingerprint(self) -> str: ...

    def encode(
        self, texts: Sequence[str], *, progress: Progress | None = None
    ) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class Document:
    """A document of the knowledge base; `title` may be empty, `text` too, not both."""

    id: str
    title: str
    text: str


@dataclass(frozen=True)
class Passages:
    """n passages of documents.

    `spans` (n, 3) holds document number, start and end in its text; `texts` what is searched,
    each with the document's title; `vectors` (n, d) and `counts` are made of those.
    """

    spans: NDArray[np.int64]
    texts: list[str]
    vectors: NDArray[np.float32]
    counts: TermCounts


def make_passages(
    documents: Sequence[Document],
    encoder: TextEncoder,
    previous: tuple[Sequence[Document], Passages] | None = None,
    progress: Progress | None = None,
) -> Passages:
    """Cut, encode and count, but for what `previous` (documents and their passages) has already.

    A document of known title and text is not cut again; a passage of known text, whichever
    document it stands in, keeps its vector and its words. The vectors of `previous` must be from
    the same encoder.
    """
    spans = _cut(documents, previous)
    texts = searched_texts(documents, spans)
    place: dict[str, int] = {}
    if previous is not None:
        place = {text: row for row, text in enumerate(previous[1].texts)}
    rows = {number: place[text] for number, text in enumerate(texts) if text in place}
    known = previous[1] if previous is not None else None
    counts = TermCounts.of(texts, known.counts if known else None, rows)
    new = [number for number in range(len(texts)) if number not in rows]
    made = encoder.encode([texts[number] for number in new], progress=progress)
    if known is None or not rows:
        return Passages(spans, texts, made, counts)
    vectors = np.empty((len(texts), known.vectors.shape[1]), dtype=np.float32)
    vectors[list(rows)] = known.vectors[list(rows.values())]
    vectors[new] = made
    return Passages(spans, texts, vectors, counts)


def searched_texts(documents: Sequence[Document], spans: NDArray[np.int64]) -> list[str]:
    """What is searched of each passage: the title of its document, and its text."""
    return [
        searched_text(documents[number].title, documents[number].text[start:end])
        for number, start, end in spans.tolist()
    ]


def searched_text(title: str, passage: str) -> str:
    """What encoder, BM25 and cross-encoder read of a passage of a document with this title."""
    return f"{title}\n{passage}".strip()


def _cut(
    documents: Sequence[Document], previous: tuple[Sequence[Document], Passages] | None
) -> NDArray[np.int64]:
    """Rows (document, start, end); a document with a title alone has one empty passage."""
    known: dict[str, list[tuple[int, int]]] = {}
    if previous is not None:
        before, passages = previous
        for number, start, end in passages.spans.tolist():
            known.setdefault(before[number].text, []).append((start, end))
        # Two documents of the same text have its passages twice.
        known = {text: sorted(set(places)) for text, places in known.items()}
    rows: list[tuple[int, int, int]] = []
    for number, document in enumerate(documents):
        places = known.get(document.text)
        if places is None:
            places = [(span.start, span.end) for span in split_passages(document.text)] or [(0, 0)]
        rows.extend((number, start, end) for start, end in places)
    return np.array(rows, dtype=np.int64)
