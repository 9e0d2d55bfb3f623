"""Finding documents, stage by stage, against relevance judgements.

`python -m bench.retrieval --docs docs.jsonl --queries queries.jsonl --qrels qrels.tsv --json`
indexes the documents twice, with their titles and without, and measures BM25, dense vectors, their
fusion, and the fusion reranked by a cross-encoder. The cross-encoder never saw the queries it is
measured on, nor any that share a relevant document with them: queries are cut into as many folds
as asked for, by groups of such queries. Intervals are of 95 %, by bootstrap over the groups.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.common import report, say, ticker
from bench.retrieval_data import Collection, read_collection
from rerank_engine.encoder import BUILTIN, Encoder, model_folder
from rerank_engine.retrieval.bm25 import Bm25Index, best
from rerank_engine.retrieval.cross_encoder import (
    DocumentReranker,
    RankedQuery,
    RerankerSettings,
    ranked_queries,
    train_document_reranker,
)
from rerank_engine.retrieval.dense import DenseIndex
from rerank_engine.retrieval.fusion import reciprocal_rank_fusion
from rerank_engine.retrieval.index import FOUND, DocumentIndex
from rerank_engine.retrieval.metrics import (
    bootstrap_interval,
    ndcg_at,
    recall_at,
    reciprocal_rank_at,
)

DEPTH = 100
CANDIDATES = 5
Ranking = list[str]
Values = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Found:
    """Document ids found by one stage for each of the queries `rows`, best first."""

    rows: NDArray[np.int64]
    rankings: list[Ranking]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.retrieval", description=__doc__)
    parser.add_argument("--docs", type=Path, required=True, help="JSONL: id, text, maybe title")
    parser.add_argument("--queries", type=Path, required=True, help="JSONL: id, text")
    parser.add_argument(
        "--qrels", type=Path, required=True, help="TSV: query_id, doc_id, relevance"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the cut and the trainings")
    parser.add_argument("--folds", type=int, default=2, help="trainings of the cross-encoder")
    parser.add_argument(
        "--reranked",
        type=int,
        default=200,
        help="queries that are reranked, drawn at random; with 0 no cross-encoder is trained",
    )
    parser.add_argument("--epochs", type=int, default=RerankerSettings.epochs, help="of a training")
    parser.add_argument("--encoder", default=BUILTIN, help="folder of another encoder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    report(measure(options), as_json=options.json)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All stages, on the documents with their titles (the stable keys) and without."""
    started = time.monotonic()
    data = read_collection(options.docs, options.queries, options.qrels)
    encoder = Encoder.load(options.encoder)
    vectors = encoder.encode(data.queries, progress=ticker("encode queries"))
    result = _target(data, vectors, encoder, options)
    if any(document.title for document in data.documents):
        say("The same without titles ...")
        bare = replace(data, documents=[replace(d, title="") for d in data.documents])
        result["answers_only"] = _target(bare, vectors, encoder, options)
        result["per_label"] = _per_label(bare, data, vectors, encoder, options.seed)
    result["queries"] = len(data.queries)
    result["documents"] = len(data.documents)
    result["groups"] = len(set(data.groups))
    result["seconds"] = round(time.monotonic() - started, 1)
    return result


def _target(
    data: Collection, vectors: NDArray[np.float32], encoder: Encoder, options: argparse.Namespace
) -> dict[str, Any]:
    index = DocumentIndex.build(data.documents, encoder, progress=ticker("encode passages"))
    fused = ranked_queries(index, data.queries, vectors, data.relevant, groups=data.groups)
    found = _first_stages(index, data, vectors)
    result: dict[str, Any] = {
        name: _figures(data, each, options.seed) for name, each in found.items()
    }
    result["gain_of_fusion"] = _gain(data, found["dense"], found["fused"], options.seed)
    if not options.reranked:
        return result
    reranked, trained = _cross_encoder(index, data, vectors, fused, options)
    result["reranked"] = _figures(data, reranked, options.seed)
    same = Found(reranked.rows, [found["fused"].rankings[row] for row in reranked.rows])
    result["fused_on_reranked"] = _figures(data, same, options.seed)
    result["gain_of_reranking"] = _gain(data, same, reranked, options.seed)
    result["trained"] = trained
    return result


def _first_stages(
    index: DocumentIndex, data: Collection, vectors: NDArray[np.float32]
) -> dict[str, Found]:
    """Rankings of documents, each by its best passage, of every stage before the cross-encoder."""
    bm25, dense = Bm25Index(index.passages.counts), DenseIndex(index.passages.vectors)
    by_words = [best(*bm25.scores(query), DEPTH).tolist() for query in data.queries]
    by_vectors = dense.search(vectors, DEPTH).tolist()
    by_ranks = [
        [row for row, _score in reciprocal_rank_fusion(pair)]
        for pair in zip(by_words, by_vectors, strict=True)
    ]
    hits = index.search(data.queries, vectors, k=FOUND, keep=FOUND)
    every = np.arange(len(data.queries))
    numbers = index.passages.spans[:, 0]
    return {
        "bm25": Found(every, [_documents(data, numbers[rows]) for rows in by_words]),
        "dense": Found(every, [_documents(data, numbers[rows]) for rows in by_vectors]),
        "fused_by_rank": Found(every, [_documents(data, numbers[rows]) for rows in by_ranks]),
        "fused": Found(every, [[hit.document_id for hit in found] for found in hits]),
    }


def _documents(data: Collection, numbers: NDArray[np.int64]) -> Ranking:
    return list(dict.fromkeys(data.documents[number].id for number in numbers))


def _cross_encoder(
    index: DocumentIndex,
    data: Collection,
    vectors: NDArray[np.float32],
    fused: Sequence[RankedQuery],
    options: argparse.Namespace,
) -> tuple[Found, list[dict[str, Any]]]:
    """Rankings of a sample of the queries, each by a cross-encoder trained on other groups."""
    rng = np.random.default_rng(options.seed)
    names = sorted(set(data.groups))
    fold_of = dict(zip(names, rng.permutation(len(names)) % options.folds, strict=True))
    folds = np.array([fold_of[group] for group in data.groups])
    sample = np.sort(rng.permutation(len(data.queries))[: options.reranked])
    rankings: dict[int, Ranking] = {}
    trained: list[dict[str, Any]] = []
    for fold in range(options.folds):
        started = time.monotonic()
        rows = [row for row, own in zip(fused, folds, strict=True) if own != fold]
        reranker = train_document_reranker(
            rows,
            base=model_folder(options.encoder),
            seed=options.seed,
            settings=RerankerSettings(epochs=options.epochs),
            progress=ticker(f"train on all folds but {fold + 1}"),
        )
        seconds = time.monotonic() - started
        trained.append(_training(reranker, seconds))
        say(f"rerank fold {fold + 1} ...")
        own = sample[folds[sample] == fold]
        queries = [data.queries[row] for row in own]
        hits = index.search(queries, vectors[own], k=FOUND, keep=FOUND, reranker=reranker)
        for row, found in zip(own, hits, strict=True):
            rankings[int(row)] = [hit.document_id for hit in found]
    return Found(sample, [rankings[int(row)] for row in sample]), trained


def _training(reranker: DocumentReranker, seconds: float) -> dict[str, Any]:
    told = reranker.report
    return {
        "queries": told.queries,
        "held_out": told.held_out,
        "ndcg_fused": told.fused,
        "ndcg_by_epoch": told.by_epoch,
        "gain": [told.gain, told.low, told.high],
        "weight": reranker.weight,
        "seconds": round(seconds, 1),
    }


def _per_label(
    bare: Collection,
    data: Collection,
    vectors: NDArray[np.float32],
    encoder: Encoder,
    seed: int,
) -> dict[str, Any]:
    """Answers looked up by the five titles most like the query, as if titles were label names.

    The best answer of each title, then the second of each, and so on; no answer is compared with
    the query itself.
    """
    titles = sorted({document.title for document in data.documents})
    named = encoder.encode(titles)
    index = DocumentIndex.build(bare.documents, encoder)
    hits = index.search(titles, named, k=FOUND, keep=FOUND)
    nearest = np.argsort(-(vectors @ named.T), axis=1, kind="stable")[:, :CANDIDATES]
    rankings = [
        list(
            dict.fromkeys(
                hit.document_id
                for place in zip_longest(*(hits[title] for title in titles_of))
                for hit in place
                if hit is not None
            )
        )
        for titles_of in nearest
    ]
    return _figures(bare, Found(np.arange(len(rankings)), rankings), seed)


def _values(data: Collection, found: Found) -> Values:
    judged = [
        (np.array([doc in data.relevant[row] for doc in ranking], dtype=bool), data.relevant[row])
        for row, ranking in zip(found.rows, found.rankings, strict=True)
    ]
    return {
        "recall@5": np.array([recall_at(5, hits, len(all_)) for hits, all_ in judged]),
        "recall@25": np.array([recall_at(25, hits, len(all_)) for hits, all_ in judged]),
        "mrr@10": np.array([reciprocal_rank_at(10, hits) for hits, _all in judged]),
        "ndcg@10": np.array([ndcg_at(10, hits, len(all_)) for hits, all_ in judged]),
    }


def _figures(data: Collection, found: Found, seed: int) -> dict[str, Any]:
    values = _values(data, found)
    figures: dict[str, Any] = {name: round(float(each.mean()), 4) for name, each in values.items()}
    figures["queries"] = len(found.rows)
    figures["intervals"] = {
        name: _interval(each, data, found.rows, seed) for name, each in values.items()
    }
    return figures


def _gain(data: Collection, before: Found, after: Found, seed: int) -> dict[str, Any]:
    """Mean difference on the same queries, with its interval."""
    old, new = _values(data, before), _values(data, after)
    return {
        name: [
            round(float((new[name] - old[name]).mean()), 4),
            *_interval(new[name] - old[name], data, after.rows, seed),
        ]
        for name in old
    }


def _interval(
    values: NDArray[np.float64], data: Collection, rows: NDArray[np.int64], seed: int
) -> list[float]:
    groups = [data.groups[row] for row in rows]
    return [round(bound, 4) for bound in bootstrap_interval(values, groups, seed=seed)]


if __name__ == "__main__":
    main()
