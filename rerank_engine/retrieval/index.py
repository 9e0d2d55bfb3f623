"""An index of documents: BM25 and dense vectors over passages, fused by rank."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rerank_engine.artifacts import data_hash, read_artifact, write_artifact
from rerank_engine.errors import ArtifactError, RetrievalError
from rerank_engine.retrieval.bm25 import Bm25Index
from rerank_engine.retrieval.chunking import OVERLAP_WORDS, PASSAGE_WORDS, split_passages
from rerank_engine.retrieval.dense import DenseIndex
from rerank_engine.retrieval.fusion import reciprocal_rank_fusion

KIND = "document_index"
DOCUMENTS = "documents.json"
# Several passages of one document may fill a ranking, so each ranking is read deeper than k.
DEPTH = 4

Reranker = Callable[[list[tuple[str, str]]], NDArray[np.floating[Any]]]
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
class Hit:
    """The best passage of one document for a query.

    `passage` is `text[start:end]` of the document. `score` is the reranker's where one was used,
    else that of rank fusion: it orders the hits of one query and means nothing beyond. `rank`
    starts at 1.
    """

    document_id: str
    passage: str
    start: int
    end: int
    score: float
    rank: int


class DocumentIndex:
    """Searches documents by passage. Make one with `build` or `load`."""

    def __init__(
        self,
        documents: Sequence[Document],
        spans: NDArray[np.int64],
        vectors: NDArray[np.float32],
        encoder_fingerprint: str,
    ) -> None:
        self.documents = list(documents)
        self.encoder_fingerprint = encoder_fingerprint
        self.content_hash = content_hash(documents, encoder_fingerprint)
        self._spans = spans
        self._searched = [_searched_text(self.documents[row[0]], row[1], row[2]) for row in spans]
        self._bm25 = Bm25Index(self._searched)
        self._dense = DenseIndex(vectors)

    @classmethod
    def build(
        cls,
        documents: Sequence[Document],
        encoder: TextEncoder,
        *,
        progress: Progress | None = None,
    ) -> DocumentIndex:
        """Cut the documents into passages and encode them, each with its title.

        Raises RetrievalError for no documents, an id used twice, or an empty document.
        """
        _check(documents)
        spans = _spans(documents)
        texts = [_searched_text(documents[row[0]], row[1], row[2]) for row in spans]
        return cls(documents, spans, encoder.encode(texts, progress=progress), encoder.fingerprint)

    @property
    def n_passages(self) -> int:
        return len(self._spans)

    def search(
        self,
        queries: Sequence[str],
        query_vectors: NDArray[np.floating[Any]],
        *,
        k: int = 25,
        keep: int = 5,
        reranker: Reranker | None = None,
    ) -> list[list[Hit]]:
        """The best `keep` documents for each query, each with its best passage.

        BM25 and dense rankings of passages are fused; the best passages of the first `k`
        documents go to `reranker` (pairs of query and passage with its title -> one score a
        pair, higher is better), where one is given. `query_vectors` (q, d) come from the encoder
        of this index. Raises RetrievalError.
        """
        vectors = np.asarray(query_vectors)
        if len(vectors) != len(queries):
            raise RetrievalError(f"{len(queries)} queries came with {len(vectors)} vectors.")
        if not 1 <= keep <= k:
            raise RetrievalError("Keep at least one document, and no more than k.")
        dense = self._dense.search(vectors, k * DEPTH)
        found = [self._fuse(query, dense[row], k) for row, query in enumerate(queries)]
        if reranker is not None:
            found = self._reranked(queries, found, reranker)
        return [self._hits(pairs[:keep]) for pairs in found]

    def _fuse(self, query: str, dense: NDArray[np.int64], k: int) -> list[tuple[int, float]]:
        lexical = self._bm25.search(query, k * DEPTH)
        seen: set[int] = set()
        best: list[tuple[int, float]] = []
        for passage, score in reciprocal_rank_fusion([lexical.tolist(), dense.tolist()]):
            document = int(self._spans[passage, 0])
            if document not in seen:
                seen.add(document)
                best.append((passage, score))
        return best[:k]

    def _reranked(
        self,
        queries: Sequence[str],
        found: list[list[tuple[int, float]]],
        reranker: Reranker,
    ) -> list[list[tuple[int, float]]]:
        pairs = [
            (query, self._searched[passage])
            for query, best in zip(queries, found, strict=True)
            for passage, _ in best
        ]
        scores = np.asarray(reranker(pairs) if pairs else [], dtype=np.float64)
        if scores.shape != (len(pairs),) or not np.isfinite(scores).all():
            raise RetrievalError("The reranker must give one finite number a pair.")
        result: list[list[tuple[int, float]]] = []
        start = 0
        for best in found:
            mine = scores[start : start + len(best)]
            order = np.argsort(-mine, kind="stable")
            result.append([(best[place][0], float(mine[place])) for place in order])
            start += len(best)
        return result

    def _hits(self, pairs: list[tuple[int, float]]) -> list[Hit]:
        hits: list[Hit] = []
        for rank, (passage, score) in enumerate(pairs, start=1):
            row, start, end = (int(value) for value in self._spans[passage])
            document = self.documents[row]
            hits.append(Hit(document.id, document.text[start:end], start, end, score, rank))
        return hits

    def save(self, folder: str | Path) -> Path:
        """Write the index as an artifact; returns the folder."""
        documents = json.dumps([asdict(d) for d in self.documents], ensure_ascii=False)
        return write_artifact(
            folder,
            kind=KIND,
            arrays={"spans": self._spans, "vectors": self._dense.vectors},
            extra_files={DOCUMENTS: documents.encode("utf-8", "surrogatepass")},
            manifest={
                "data_hash": self.content_hash,
                "settings": index_settings(self.encoder_fingerprint),
            },
        )

    @classmethod
    def load(cls, folder: str | Path) -> DocumentIndex:
        """Read an index written by `save`. Raises ArtifactError."""
        artifact = read_artifact(folder, kind=KIND)
        try:
            raw = artifact.files[DOCUMENTS].read_bytes().decode("utf-8", "surrogatepass")
            documents = [Document(**fields) for fields in json.loads(raw)]
            index = cls(
                documents,
                artifact.arrays["spans"],
                artifact.arrays["vectors"],
                artifact.settings["encoder"],
            )
        except (KeyError, TypeError, IndexError, RetrievalError) as error:
            raise ArtifactError(f"The index at {folder} cannot be used: {error!r}.") from error
        if index.content_hash != artifact.data_hash:
            raise ArtifactError(f"The index at {folder} was built by another version; rebuild it.")
        return index


def index_settings(encoder_fingerprint: str) -> dict[str, Any]:
    """The settings stored with an index, as `artifacts.find_matching` wants them."""
    return {"encoder": encoder_fingerprint, "words": PASSAGE_WORDS, "overlap": OVERLAP_WORDS}


def content_hash(documents: Sequence[Document], encoder_fingerprint: str) -> str:
    """Hash of the documents in order, of how they are cut and of the encoder."""
    fields = [value for d in documents for value in (d.id, d.title, d.text)]
    return data_hash(fields, encoder_fingerprint, PASSAGE_WORDS, OVERLAP_WORDS)


def _check(documents: Sequence[Document]) -> None:
    if not documents:
        raise RetrievalError("There are no documents to index.")
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            raise RetrievalError(f"Two documents have the id {document.id!r}.")
        if not (document.title.strip() or document.text.strip()):
            raise RetrievalError(f"Document {document.id!r} has neither title nor text.")
        seen.add(document.id)


def _spans(documents: Sequence[Document]) -> NDArray[np.int64]:
    """Rows (document, start, end); a document with a title alone has one empty passage."""
    rows: list[tuple[int, int, int]] = []
    for number, document in enumerate(documents):
        passages = split_passages(document.text)
        rows.extend((number, span.start, span.end) for span in passages)
        if not passages:
            rows.append((number, 0, 0))
    return np.array(rows, dtype=np.int64)


def _searched_text(document: Document, start: int, end: int) -> str:
    return f"{document.title}\n{document.text[start:end]}".strip()
