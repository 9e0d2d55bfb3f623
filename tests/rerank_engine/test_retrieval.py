from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from rerank_engine.encoder import Encoder
from rerank_engine.errors import ArtifactError, RetrievalError
from rerank_engine.retrieval.bm25 import Bm25Index
from rerank_engine.retrieval.chunking import split_passages
from rerank_engine.retrieval.dense import DenseIndex
from rerank_engine.retrieval.fusion import reciprocal_rank_fusion
from rerank_engine.retrieval.index import DOCUMENTS, Document, DocumentIndex
from rerank_engine.retrieval.tokenize import tokenize

DOCUMENTS_OF_A_BANK = [
    Document("card", "Lost or stolen card", "Freeze the card in the app. Order a new one there."),
    Document("fee", "Fees abroad", "Paying abroad is free. Cash machines abroad cost 2 %."),
    Document("topup", "Top up by transfer", "Transfers arrive within two working days."),
    Document("title", "Exchange rates are set by the networks", ""),
    Document("ru", "Перевод", "Перевод на карту идёт до трёх дней. Комиссии нет."),
    Document("zh", "", "银行卡丢失后请立即冻结。新卡三天内寄出。"),
]


@pytest.fixture(scope="module")
def index(encoder: Encoder) -> DocumentIndex:
    return DocumentIndex.build(DOCUMENTS_OF_A_BANK, encoder)


def test_terms_are_words_of_latin_and_cyrillic_and_pairs_of_cjk() -> None:
    assert tokenize("Don’t pay £5, ÄRGER!") == ["don't", "pay", "5", "ärger"]
    assert tokenize("Где Моя карта?") == ["где", "моя", "карта"]
    assert tokenize("银行卡 ok") == ["银", "行", "卡", "银行", "行卡", "ok"]
    assert tokenize("ＡＴＭ") == ["atm"]
    assert tokenize("... _ !") == []


def test_passages_end_with_sentences_and_overlap_by_whole_ones() -> None:
    sentences = [f"Sentence {number} has exactly six words." for number in range(40)]
    text = " ".join(sentences)
    spans = split_passages(text, words=30, overlap=12)
    passages = [text[span.start : span.end] for span in spans]
    assert all(p.startswith("Sentence") and p.endswith("words.") for p in passages)
    assert all(span.words <= 30 for span in spans)
    assert all(b.start < a.end for a, b in pairwise(spans))
    assert all(any(sentence in p for p in passages) for sentence in sentences)


@given(
    st.lists(st.sampled_from(["word", "слово", "卡", ".", "。", "\n", " ", "? ", "e"]), max_size=80)
)
def test_passages_cover_every_word_and_keep_to_their_size(parts: list[str]) -> None:
    text = "".join(parts)
    spans = split_passages(text, words=7, overlap=3)
    covered = {place for span in spans for place in range(span.start, span.end)}
    assert all(text[place].isspace() or place in covered for place in range(len(text)))
    assert all(0 < span.words <= 7 for span in spans)
    assert all(a.start < b.start and a.end < b.end for a, b in pairwise(spans))
    assert all(text[s.start : s.end] == text[s.start : s.end].strip() for s in spans)


def test_chinese_is_cut_without_spaces() -> None:
    text = "银行卡丢失后请立即冻结。" * 30
    spans = split_passages(text)
    assert len(spans) > 2
    assert all(text[span.start : span.end].endswith("。") for span in spans)


def test_bm25_scores_and_order_equal_the_library() -> None:
    rng = np.random.default_rng(0)
    words = [f"w{number}" for number in range(30)]
    weights = 1 / np.arange(1, 31)
    corpus = [
        " ".join(rng.choice(words, rng.integers(1, 25), p=weights / weights.sum()))
        for _ in range(80)
    ]
    library = BM25Okapi([tokenize(text) for text in corpus])
    mine = Bm25Index(corpus)
    for _ in range(20):
        query = " ".join(rng.choice(words, 4)) + " absent"
        expected = library.get_scores(tokenize(query))
        scores, shares = mine.scores(query)
        np.testing.assert_allclose(scores, expected, atol=1e-9)
        held = {i for i, t in enumerate(corpus) if set(tokenize(t)) & set(tokenize(query))}
        assert set(np.flatnonzero(shares)) == held
        order = sorted(held, key=lambda row: (-scores[row], row))[:10]
        assert mine.search(query, 10).tolist() == order
    assert mine.search("absent", 5).tolist() == []


def test_dense_search_equals_sorting_all_inner_products() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(50, 8)).astype(np.float32)
    queries = rng.normal(size=(7, 8))
    expected = np.argsort(-(queries @ vectors.T), axis=1)[:, :5]
    np.testing.assert_array_equal(DenseIndex(vectors).search(queries, 5), expected)
    assert DenseIndex(vectors).search(queries, 999).shape == (7, 50)
    with pytest.raises(RetrievalError, match="8 dimensions"):
        DenseIndex(vectors).search(queries[:, :3], 5)


def test_fusion_sums_reciprocal_ranks() -> None:
    fused = reciprocal_rank_fusion([[3, 1, 2], [1, 4]])
    assert [item for item, _ in fused] == [1, 3, 4, 2]
    assert dict(fused) == pytest.approx({1: 1 / 62 + 1 / 61, 3: 1 / 61, 4: 1 / 62, 2: 1 / 63})


@pytest.mark.parametrize(
    ("query", "document"),
    [
        ("my card was stolen", "card"),
        ("does it cost anything to use an ATM in another country", "fee"),
        ("what decides the exchange rate", "title"),
        ("сколько идёт перевод", "ru"),
        ("卡丢失", "zh"),
    ],
)
def test_the_fitting_document_is_found_with_its_place(
    index: DocumentIndex, encoder: Encoder, query: str, document: str
) -> None:
    [hits] = index.search([query], encoder.encode([query]))
    assert hits[0].document_id == document
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
    assert len({hit.document_id for hit in hits}) == 5
    texts = {d.id: d.text for d in DOCUMENTS_OF_A_BANK}
    assert all(texts[hit.document_id][hit.start : hit.end] == hit.passage for hit in hits)


def test_the_best_passage_stands_for_its_document(encoder: Encoder) -> None:
    filler = "Our branches are open from nine to five on every working day of the week. " * 12
    long = Document("long", "About us", filler + "Stolen cards are blocked at once. " + filler)
    index = DocumentIndex.build([long, *DOCUMENTS_OF_A_BANK], encoder)
    assert index.n_passages > len(index.documents)
    [hits] = index.search(["stolen cards blocked"], encoder.encode(["stolen cards blocked"]))
    [mine] = [hit for hit in hits if hit.document_id == "long"]
    assert "Stolen cards are blocked at once." in mine.passage


def test_a_reranker_sees_query_and_titled_passage_and_decides_the_order(
    index: DocumentIndex, encoder: Encoder
) -> None:
    seen: list[tuple[str, str]] = []

    def by_length(pairs: list[tuple[str, str]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        seen.extend(pairs)
        return np.array([len(passage) for _, passage in pairs], dtype=np.float64)

    queries = ["stolen card", "fees abroad"]
    found = index.search(queries, encoder.encode(queries), k=4, keep=2, reranker=by_length)
    assert [query for query, _ in seen] == ["stolen card"] * 4 + ["fees abroad"] * 4
    assert any(passage.startswith("Lost or stolen card\nFreeze") for _, passage in seen)
    for start, hits in zip((0, 4), found, strict=True):
        lengths = sorted((len(passage) for _, passage in seen[start : start + 4]), reverse=True)
        assert [hit.score for hit in hits] == lengths[:2]


def test_a_saved_index_finds_the_same_and_a_broken_one_is_refused(
    index: DocumentIndex, encoder: Encoder, tmp_path: Path
) -> None:
    folder = index.save(tmp_path / "index")
    again = DocumentIndex.load(folder)
    vectors = encoder.encode(["stolen card"])
    assert again.search(["stolen card"], vectors) == index.search(["stolen card"], vectors)
    assert again.content_hash == index.content_hash
    raw = (folder / DOCUMENTS).read_bytes()
    (folder / DOCUMENTS).write_bytes(raw.replace(b"Freeze", b"Freexe"))
    with pytest.raises(ArtifactError, match="damaged"):
        DocumentIndex.load(folder)


def test_the_content_hash_follows_the_documents(encoder: Encoder, index: DocumentIndex) -> None:
    changed = [*DOCUMENTS_OF_A_BANK[:-1], Document("zh", "", "银行卡。")]
    assert DocumentIndex.build(changed, encoder).content_hash != index.content_hash


def test_what_cannot_be_indexed_or_searched_is_refused_in_words(
    encoder: Encoder, index: DocumentIndex
) -> None:
    with pytest.raises(RetrievalError, match="no documents"):
        DocumentIndex.build([], encoder)
    with pytest.raises(RetrievalError, match="Two documents have the id 'a'"):
        DocumentIndex.build([Document("a", "x", ""), Document("a", "y", "")], encoder)
    with pytest.raises(RetrievalError, match="neither title nor text"):
        DocumentIndex.build([Document("a", " ", "\n")], encoder)
    with pytest.raises(RetrievalError, match="2 queries came with 1 vectors"):
        index.search(["a", "b"], encoder.encode(["a"]))
    with pytest.raises(RetrievalError, match="one finite number a pair"):
        index.search(["a"], encoder.encode(["a"]), reranker=lambda pairs: np.zeros(1))
