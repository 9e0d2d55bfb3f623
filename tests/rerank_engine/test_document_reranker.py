"""The trained reranker of documents, and the measures it is judged by."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_engine.encoder import Encoder, model_folder
from rerank_engine.errors import ArtifactError, TrainingDataError
from rerank_engine.retrieval.cross_encoder import (
    DocumentReranker,
    RankedQuery,
    RerankerSettings,
    ranked_queries,
    train_document_reranker,
)
from rerank_engine.retrieval.index import DocumentIndex
from rerank_engine.retrieval.metrics import (
    bootstrap_interval,
    ndcg_at,
    recall_at,
    reciprocal_rank_at,
)
from rerank_engine.retrieval.passages import Document

THINGS = ["card", "loan", "transfer", "refund", "account", "password", "fee", "limit"]
VERBS = ["lost", "closed", "late", "wrong", "blocked", "missing"]
QUICK = RerankerSettings(epochs=1, queries_at_once=4, negatives=3, max_length=64, frozen_layers=4)


@pytest.fixture(scope="module")
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def rows(*, useful: bool = True) -> list[RankedQuery]:
    """Queries about a thing; the passage about it stands last but one in the fused order."""
    found: list[RankedQuery] = []
    for verb in VERBS:
        for place, thing in enumerate(THINGS):
            others = [other for other in THINGS if other != thing][place % 3 :][:4]
            passages = [f"All about your {other}." for other in [*others[:3], thing, *others[3:]]]
            helps = np.array([thing in passage for passage in passages])
            scores = np.linspace(0.6, 0.5, len(passages))
            if not useful:
                helps, scores = np.roll(helps, -3), scores
            found.append(
                RankedQuery(f"my {thing} is {verb}", passages, scores, helps, verb + thing)
            )
    return found


@pytest.fixture(scope="module")
def trained(one_thread: None) -> DocumentReranker:
    return train_document_reranker(rows(), base=model_folder(), seed=1, settings=QUICK)


def test_training_reports_what_it_gained_on_held_out_queries(trained: DocumentReranker) -> None:
    report = trained.report
    assert report.queries == len(rows())
    assert report.held_out == round(QUICK.held_out_share * len(rows()))
    assert report.fused == pytest.approx(1 / math.log2(5))  # the fourth place, for every query
    assert len(report.by_epoch) == 1
    assert report.low <= report.gain <= report.high
    assert report.gain == pytest.approx(max(0.0, report.by_epoch[0] - report.fused))


def test_the_same_seed_trains_the_same_weights(trained: DocumentReranker) -> None:
    again = train_document_reranker(rows(), base=model_folder(), seed=1, settings=QUICK)
    assert again.report == trained.report
    assert again.weight == trained.weight
    pairs = [("my card is lost", "All about your card."), ("my card is lost", "Fees.")]
    fused = np.array([0.5, 0.5])
    np.testing.assert_array_equal(again(pairs, fused), trained(pairs, fused))


def test_what_was_trained_is_read_again_and_damage_is_noticed(
    trained: DocumentReranker, tmp_path: Path
) -> None:
    folder = trained.save(tmp_path / "reranker", data_hash="abc")
    again = DocumentReranker.load(folder)
    pairs = [("my fee is wrong", "All about your fee."), ("my fee is wrong", "Loans.")]
    fused = np.array([0.4, 0.6])
    np.testing.assert_allclose(again(pairs, fused), trained(pairs, fused), atol=1e-6)
    assert (again.report, again.settings) == (trained.report, trained.settings)
    weights = folder / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match="damaged"):
        DocumentReranker.load(folder)


def test_where_the_search_is_right_already_nothing_is_added(one_thread: None) -> None:
    reranker = train_document_reranker(
        rows(useful=False), base=model_folder(), seed=0, settings=QUICK
    )
    assert reranker.report.fused == 1.0
    assert (reranker.weight, reranker.report.gain) == (0.0, 0.0)
    assert not reranker.report.earns_its_place
    fused = np.array([0.1, 0.7])
    assert reranker([("a", "b"), ("a", "c")], fused) is fused


def test_rows_that_cannot_train_are_refused(one_thread: None) -> None:
    [row, *_] = rows()
    with pytest.raises(TrainingDataError, match="two groups"):
        train_document_reranker([row, row], base=model_folder(), seed=0)
    useless = RankedQuery("q", row.passages, row.fused, np.zeros(5, dtype=bool), "other")
    with pytest.raises(TrainingDataError, match="one that does not"):
        train_document_reranker([row, useless], base=model_folder(), seed=0)


def test_hard_negatives_are_what_the_search_finds_first(encoder: Encoder) -> None:
    documents = [Document(thing, f"Your {thing}", f"How to close it: {thing}.") for thing in THINGS]
    index = DocumentIndex.build(documents, encoder)
    queries = ["close my card", "close my loan"]
    found = ranked_queries(
        index,
        queries,
        encoder.encode(queries),
        [{"card"}, {"loan"}],
        groups=["a", "b"],
        unknown=[{"fee"}, set()],
        depth=6,
    )
    assert [len(row.passages) for row in found] == [5, 6]  # nobody knows about the fee
    assert not any("fee" in passage for passage in found[0].passages)
    assert all((np.diff(row.fused) <= 0).all() for row in found)
    for row, thing in zip(found, ("card", "loan"), strict=True):
        expected = [passage.startswith(f"Your {thing}\n") for passage in row.passages]
        assert row.helps.tolist() == expected


@given(st.lists(st.booleans(), max_size=30), st.integers(0, 5))
def test_measures_equal_their_definitions(places: list[bool], missing: int) -> None:
    total = sum(places) + missing
    relevant = np.array(places, dtype=bool)
    first = next((place for place, hit in enumerate(places[:10], 1) if hit), None)
    assert reciprocal_rank_at(10, relevant) == (1 / first if first else 0.0)
    if total:
        gained = sum(1 / math.log2(1 + place) for place, hit in enumerate(places[:10], 1) if hit)
        ideal = sum(1 / math.log2(1 + place) for place in range(1, min(total, 10) + 1))
        assert ndcg_at(10, relevant, total) == pytest.approx(gained / ideal)
        assert recall_at(5, relevant, total) == sum(places[:5]) / total


def test_an_interval_is_over_groups_not_rows() -> None:
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(size=20), 50)
    alike = bootstrap_interval(values, [f"g{row // 50}" for row in range(1000)], seed=0)
    apart = bootstrap_interval(values, [f"g{row}" for row in range(1000)], seed=0)
    assert alike[0] < values.mean() < alike[1]
    assert alike[1] - alike[0] > 4 * (apart[1] - apart[0])
