"""Documents, queries and relevance judgements from files."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rerank_engine.retrieval.passages import Document


@dataclass(frozen=True)
class Collection:
    """q queries with the ids of their relevant documents; queries of one `groups` entry are
    linked by relevant documents that they share."""

    documents: list[Document]
    queries: list[str]
    relevant: list[frozenset[str]]
    groups: list[str]


def read_collection(docs: Path, queries: Path, qrels: Path) -> Collection:
    """Read the three files; queries without a relevant document are left out.

    Ends the program in words where a file cannot be read.
    """
    documents = [
        Document(_text(row, "id", docs), str(row.get("title") or ""), _text(row, "text", docs))
        for row in _json_lines(docs)
    ]
    judged = _judgements(qrels, {document.id for document in documents})
    asked = [
        (_text(row, "text", queries), judged[row["id"]])
        for row in _json_lines(queries)
        if row.get("id") in judged
    ]
    if not asked:
        raise SystemExit(f"No query of {queries} has a relevant document in {qrels}.")
    relevant = [frozenset(ids) for _query, ids in asked]
    return Collection(documents, [query for query, _ids in asked], relevant, linked(relevant))


def linked(relevant: list[frozenset[str]]) -> list[str]:
    """A name for each query, the same for queries linked by relevant documents, also in steps."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    places = {name: place for place, name in enumerate(sorted(set().union(*relevant)))}
    pairs = [(row, places[name]) for row, ids in enumerate(relevant) for name in sorted(ids)]
    rows, columns = np.array(pairs).T
    size = len(relevant) + len(places)
    edges = (np.ones(len(pairs)), (rows, len(relevant) + columns))
    codes = connected_components(coo_matrix(edges, shape=(size, size)), directed=False)[1]
    return [f"group {code}" for code in codes[: len(relevant)]]


def _judgements(path: Path, known: set[str]) -> dict[str, set[str]]:
    judged: dict[str, set[str]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            for row in csv.DictReader(handle, delimiter="\t"):
                if float(row["relevance"]) > 0 and row["doc_id"] in known:
                    judged.setdefault(row["query_id"], set()).add(row["doc_id"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise SystemExit(
            f"{path} needs the columns query_id, doc_id and relevance: {error!r}"
        ) from error
    return judged


def _json_lines(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8") as handle:
            rows = [json.loads(line) for line in handle if line.strip()]
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path} cannot be read: {error}") from error
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise SystemExit(f"{path} needs one JSON object a line.")
    return rows


def _text(row: dict[str, Any], name: str, path: Path) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise SystemExit(f"{path} has a row without {name}.")
    return value
