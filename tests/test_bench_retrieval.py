"""The benchmark of document search: what it reads, how it cuts, and what it prints."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import retrieval
from bench.retrieval_data import linked, read_collection

DOCS = [
    {"id": "c1", "title": "Lost card", "text": "Freeze it in the app."},
    {"id": "c2", "title": "Lost card", "text": "Order a new card by phone."},
    {"id": "f1", "title": "Fees abroad", "text": "Cash machines abroad cost two percent."},
]
QUERIES = [
    {"id": "q1", "text": "my card is lost"},
    {"id": "q2", "text": "I cannot find my card"},
    {"id": "q3", "text": "what does cash cost abroad"},
    {"id": "q4", "text": "nobody judged this one"},
]
QRELS = [("q1", "c1", 1), ("q1", "c2", 1), ("q2", "c2", 1), ("q3", "f1", 1), ("q3", "c1", 0)]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / name for name in ("docs.jsonl", "queries.jsonl", "qrels.tsv")]
    for path, rows in zip(paths, (DOCS, QUERIES), strict=False):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = ["query_id\tdoc_id\trelevance", *("\t".join(map(str, row)) for row in QRELS)]
    paths[2].write_text("\n".join(lines) + "\n")
    return paths


def test_judged_queries_are_read_and_grouped_by_what_they_share(files: list[Path]) -> None:
    data = read_collection(*files)
    assert data.queries == [query["text"] for query in QUERIES[:3]]
    assert data.relevant == [{"c1", "c2"}, {"c2"}, {"f1"}]
    assert data.groups[0] == data.groups[1] != data.groups[2]


def test_queries_are_linked_in_steps() -> None:
    sets = [frozenset("ab"), frozenset("x"), frozenset("bc"), frozenset("c"), frozenset("xy")]
    names = linked(sets)
    assert names[0] == names[2] == names[3]
    assert names[1] == names[4] != names[0]


@pytest.mark.parametrize(
    ("number", "content", "sentence"),
    [
        (0, "no json\n", "cannot be read"),
        (0, "[1]\n", "one JSON object a line"),
        (1, '{"id": "q1"}\n', "without text"),
        (2, "a\tb\n1\t2\n", "query_id, doc_id and relevance"),
        (2, "query_id\tdoc_id\trelevance\nq1\tother\t1\n", "No query"),
    ],
)
def test_bad_files_are_named(files: list[Path], number: int, content: str, sentence: str) -> None:
    files[number].write_text(content)
    with pytest.raises(SystemExit, match=sentence):
        read_collection(*files)


def test_one_json_object_has_the_stable_keys(
    files: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("--docs", "--queries", "--qrels")
    arguments = [str(word) for pair in zip(names, files, strict=True) for word in pair]
    words = ["bench.retrieval", *arguments, "--reranked", "0", "--json"]
    monkeypatch.setattr(sys, "argv", words)
    retrieval.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    for stage in ("bm25", "dense", "fused", "fused_by_rank"):
        for target in (result, result["answers_only"]):
            figures = target[stage]
            assert {"recall@5", "mrr@10", "ndcg@10"} <= figures.keys()
            assert figures["recall@25"] >= figures["recall@5"] > 0
    assert result["dense"]["recall@5"] == 1.0  # three documents
    assert (result["queries"], result["documents"], result["groups"]) == (3, 3, 2)
