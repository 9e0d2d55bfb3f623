"""An index of documents: BM25 and dense vectors over passages, fused, and reranked where asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerank_engine.artifacts import data_hash, read_artifact, write_artifact
from rerank_engine.errors import ArtifactError, RetrievalError
from rerank_engine.retrieval.bm25 import Bm25Index, TermCounts, best
from rerank_engine.retrieval.chunking import OVERLAP_WORDS, PASSAGE_WORDS
from rerank_engine.retrieval.dense import DenseIndex
from rerank_engine.retrieval.fusion import convex_combination
from rerank_engine.retrieval.passages import (
    Document,
    Passages,
    Progress,
    TextEncoder,
    make_passages,
    searched_texts,
)
from rerank_engine.retrieval.tokenize import TOKENS_VERSION

KIND = "document_index"
DOCUMENTS = "documents.json"
VOCABULARY = "vocabulary.json"
FOUND = 25
KEPT = 5
# Several passages of one document may fill a ranking, so each ranking is read deeper than k.
DEPTH = 4

Floats = NDArray[np.floating[Any]]
Reranker = Callable[[list[tuple[str, str]], NDArray[np.float64]], Floats]
"""Pairs of query and passage with its title, and their fused scores -> one score a pair, higher is
better."""


@dataclass(frozen=True)
class Hit:
    """The best passage of one document for a query.

    `passage` is `text[start:end]` of the document. `score` is the reranker's where one was used,
    else that of fusion: it orders the hits of one query and means nothing beyond. `rank` starts
    at 1.
    """

    document_id: str
    passage: str
    start: int
    end: int
    score: float
    rank: int


@dataclass(frozen=True)
class _Ranking:
    """Passages found for a query, best first: rows and scores, both (m,)."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]

    def first(self, keep: int) -> _Ranking:
        return _Ranking(self.rows[:keep], self.scores[:keep])

    def ordered_by(self, scores: NDArray[np.float64]) -> _Ranking:
        order = np.argsort(-scores, kind="stable")
        return _Ranking(self.rows[order], scores[order])


class DocumentIndex:
    """Searches documents by passage. Make one with `build` or `load`."""

    def __init__(
        self, documents: Sequence[Document], passages: Passages, encoder_fingerprint: str
    ) -> None:
        self.documents = list(documents)
        self.encoder_fingerprint = encoder_fingerprint
        self.content_hash = content_hash(documents, encoder_fingerprint)
        self.passages = passages
        self._bm25 = Bm25Index(passages.counts)
        self._dense = DenseIndex(passages.vectors)

    @classmethod
    def build(
        cls,
        documents: Sequence[Document],
        encoder: TextEncoder,
        *,
        previous: DocumentIndex | None = None,
        progress: Progress | None = None,
    ) -> DocumentIndex:
        """Cut the documents into passages and encode them, each with its title.

        What `previous` holds of the same text and from the same encoder is taken from it. Raises
        RetrievalError for no documents, an id used twice, or an empty document.
        """
        _check(documents)
        standing = None
        if previous is not None and previous.encoder_fingerprint == encoder.fingerprint:
            standing = (previous.documents, previous.passages)
        passages = make_passages(documents, encoder, standing, progress)
        return cls(documents, passages, encoder.fingerprint)

    @property
    def n_passages(self) -> int:
        return len(self.passages.spans)

    def search(
        self,
        queries: Sequence[str],
        query_vectors: Floats,
        *,
        k: int = FOUND,
        keep: int = KEPT,
        reranker: Reranker | None = None,
        least_similarity: float = -1.0,
        readable: NDArray[np.bool_] | None = None,
    ) -> list[list[Hit]]:
        """The best `keep` documents for each query, each with its best passage.

        BM25 and cosines of passages are fused; the best passages of the first `k` documents go to
        `reranker`, where one is given. `query_vectors` (q, d) come from the encoder of this index.
        Passages whose cosine is below `least_similarity` are left out. Where `readable` (q,) is
        false the encoder cannot read the query's script, so that its vector means nothing: words
        alone decide, and no threshold is asked. Raises RetrievalError.
        """
        vectors = np.asarray(query_vectors)
        if len(vectors) != len(queries):
            raise RetrievalError(f"{len(queries)} queries came with {len(vectors)} vectors.")
        if not 1 <= keep <= k:
            raise RetrievalError("Keep at least one document, and no more than k.")
        dense = self._dense.search(vectors, k * DEPTH)
        found = [
            self._words_alone(query, k)
            if readable is not None and not readable[row]
            else self._fuse(query, vectors[row], dense[row], k, least_similarity)
            for row, query in enumerate(queries)
        ]
        if reranker is not None:
            found = self._reranked(queries, found, reranker)
        return [self._hits(ranking.first(keep)) for ranking in found]

    def _fuse(
        self, query: str, vector: Floats, dense: NDArray[np.int64], k: int, least: float
    ) -> _Ranking:
        total, shares = self._bm25.scores(query)
        rows = np.union1d(best(total, shares, k * DEPTH), dense)
        cosines = self.passages.vectors[rows] @ np.asarray(vector, dtype=np.float32)
        scores = convex_combination(cosines, total[rows])
        similar = cosines >= least
        return self._ranking(rows[similar], scores[similar], k)

    def _words_alone(self, query: str, k: int) -> _Ranking:
        total, shares = self._bm25.scores(query)
        rows = best(total, shares, k * DEPTH)
        scores = convex_combination(np.zeros(len(rows)), total[rows], weight=1.0)
        return self._ranking(rows, scores, k)

    def _ranking(self, rows: NDArray[np.int64], scores: NDArray[np.float64], k: int) -> _Ranking:
        """The best passage of each of the first k documents, best first."""
        order = np.argsort(-scores, kind="stable")
        places = np.unique(self.passages.spans[rows[order], 0], return_index=True)[1]
        order = order[np.sort(places)[:k]]
        return _Ranking(rows[order], scores[order])

    def _reranked(
        self, queries: Sequence[str], found: list[_Ranking], reranker: Reranker
    ) -> list[_Ranking]:
        pairs = [
            (query, self.passages.texts[passage])
            for query, ranking in zip(queries, found, strict=True)
            for passage in ranking.rows
        ]
        if not pairs:
            return found
        fused = np.concatenate([ranking.scores for ranking in found])
        scores = np.asarray(reranker(pairs, fused), dtype=np.float64)
        if scores.shape != (len(pairs),) or not np.isfinite(scores).all():
            raise RetrievalError("The reranker must give one finite number a pair.")
        borders = np.cumsum([len(ranking.rows) for ranking in found])[:-1]
        return [
            ranking.ordered_by(own)
            for ranking, own in zip(found, np.split(scores, borders), strict=True)
        ]

    def _hits(self, ranking: _Ranking) -> list[Hit]:
        hits: list[Hit] = []
        for place, passage in enumerate(ranking.rows):
            row, start, end = (int(value) for value in self.passages.spans[passage])
            document = self.documents[row]
            hits.append(
                Hit(
                    document_id=document.id,
                    passage=document.text[start:end],
                    start=start,
                    end=end,
                    score=float(ranking.scores[place]),
                    rank=place + 1,
                )
            )
        return hits

    def save(self, folder: str | Path) -> Path:
        """Write the index as an artifact; returns the folder."""
        counts = self.passages.counts
        written = {
            DOCUMENTS: [asdict(document) for document in self.documents],
            VOCABULARY: counts.vocabulary,
        }
        return write_artifact(
            folder,
            kind=KIND,
            arrays={
                "spans": self.passages.spans,
                "vectors": self.passages.vectors,
                "terms": counts.terms,
                "counts": counts.counts,
                "offsets": counts.offsets,
            },
            extra_files={
                name: json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass")
                for name, content in written.items()
            },
            manifest={
                "data_hash": self.content_hash,
                "settings": index_settings(self.encoder_fingerprint),
            },
        )

    @classmethod
    def load(cls, folder: str | Path) -> DocumentIndex:
        """Read an index written by `save`; nothing is cut, encoded or counted again.

        Raises ArtifactError, also where this version would cut or count otherwise.
        """
        artifact = read_artifact(folder, kind=KIND)
        arrays = artifact.arrays
        try:
            documents = [Document(**fields) for fields in _read_json(artifact.files[DOCUMENTS])]
            fingerprint = artifact.settings["encoder"]
            if content_hash(documents, fingerprint) != artifact.data_hash:
                raise ArtifactError(
                    f"The index at {folder} was built by another version; rebuild it."
                )
            counts = TermCounts(
                _read_json(artifact.files[VOCABULARY]),
                arrays["terms"],
                arrays["counts"],
                arrays["offsets"],
            )
            texts = searched_texts(documents, arrays["spans"])
            passages = Passages(arrays["spans"], texts, arrays["vectors"], counts)
            return cls(documents, passages, fingerprint)
        except (KeyError, TypeError, IndexError, RetrievalError) as error:
            raise ArtifactError(f"The index at {folder} cannot be used: {error!r}.") from error


def _read_json(path: Path) -> Any:
    return json.loads(path.read_bytes().decode("utf-8", "surrogatepass"))


def index_settings(encoder_fingerprint: str) -> dict[str, Any]:
    """The settings stored with an index, as `artifacts.find_matching` wants them."""
    return {
        "encoder": encoder_fingerprint,
        "words": PASSAGE_WORDS,
        "overlap": OVERLAP_WORDS,
        "tokens_version": TOKENS_VERSION,
    }


def content_hash(documents: Sequence[Document], encoder_fingerprint: str) -> str:
    """Hash of the documents in order, of how they are cut and counted, and of the encoder."""
    fields = [value for d in documents for value in (d.id, d.title, d.text)]
    settings = json.dumps(index_settings(encoder_fingerprint), sort_keys=True)
    return data_hash(fields, settings)


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
