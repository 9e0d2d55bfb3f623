from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from rerank_engine.encoder import Encoder, model_folder
from rerank_engine.errors import ArtifactError, RetrievalError
from rerank_engine.retrieval.bm25 import Bm25Index, TermCounts, best
from rerank_engine.retrieval.chunking import split_passages
from rerank_engine.retrieval.dense import DenseIndex
from rerank_engine.retrieval.fusion import convex_combination, reciprocal_rank_fusion
from rerank_engine.retrieval.index import DOCUMENTS, DocumentIndex
from rerank_engine.retrieval.passages import Document
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


def test_terms_are_stems_of_latin_and_cyrillic_words_and_pairs_of_cjk() -> None:
    assert tokenize("Don’t pay £5, ÄRGER!") == ["don't", "pay", "5", "ärger"]
    assert tokenize("paying payments PAYS") == ["pay", "payment", "pay"]
    assert tokenize("Где Моя карта?") == ["где", "мо", "карт"]
    assert tokenize("карту картой") == ["карт", "карт"]
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


def test_passages_end_with_their_paragraph_where_they_are_half_full() -> None:
    paragraph = " ".join(f"Sentence {number} has six words." for number in range(3))
    text = "\n\n".join([paragraph] * 5)
    spans = split_passages(text, words=50, overlap=10)
    assert {text[span.start : span.end] for span in spans[:2]} == {f"{paragraph}\n\n{paragraph}"}
    assert all(a.end < b.start for a, b in pairwise(spans))


def test_long_words_and_marks_count_so_that_a_passage_fits_an_encoder(encoder: Encoder) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(model_folder()), device="cpu", local_files_only=True)
    texts = [
        "See https://example.com/a/very/long/address?with=parts&and=more now. " * 40,
        "if (a[0] == b->c) { return x += 1; } " * 60,
        "Internationalisation and telecommunications are incomprehensible words. " * 60,
    ]
    for text in texts:
        for span in split_passages(text):
            tokens = model.tokenizer(text[span.start : span.end])["input_ids"]
            assert len(tokens) <= (model.max_seq_length or 0), text


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
    mine = Bm25Index(TermCounts.of(corpus))
    for _ in range(20):
        query = " ".join(rng.choice(words, 4)) + " absent"
        expected = library.get_scores(tokenize(query))
        scores, shares = mine.scores(query)
        np.testing.assert_allclose(scores, expected, atol=1e-9)
        held = {i for i, t in enumerate(corpus) if set(tokenize(t)) & set(tokenize(query))}
        assert set(np.flatnonzero(shares)) == held
        order = sorted(held, key=lambda row: (-scores[row], row))[:10]
        assert best(scores, shares, 10).tolist() == order
    assert best(*mine.scores("absent"), 5).tolist() == []


def test_dense_search_equals_sorting_all_inner_products() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(50, 8)).astype(np.float32)
    queries = rng.normal(size=(7, 8))
    expected = np.argsort(-(queries @ vectors.T), axis=1)[:, :5]
    np.testing.assert_array_equal(DenseIndex(vectors).search(queries, 5), expected)
    assert DenseIndex(vectors).search(queries, 999).shape == (7, 50)
    with pytest.raises(RetrievalError, match="8 dimensions"):
        DenseIndex(vectors).search(queries[:, :3], 5)


def test_fusion_adds_cosine_and_scaled_bm25() -> None:
    cosines, lexical = np.array([0.5, 0.9, 0.1]), np.array([4.0, 0.0, 8.0])
    fused = convex_combination(cosines, lexical, weight=0.25)
    np.testing.assert_allclose(fused, [0.375 + 0.125, 0.675, 0.075 + 0.25])
    np.testing.assert_allclose(
        convex_combination(cosines, np.zeros(3), weight=0.25), 0.75 * cosines
    )


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

    def by_length(
        pairs: list[tuple[str, str]], fused: np.ndarray[Any, np.dtype[np.float64]]
    ) -> np.ndarray[Any, np.dtype[np.float64]]:
        seen.extend(pairs)
        assert all((np.diff(part) <= 0).all() for part in np.split(fused, 2))
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


class CountingEncoder:
    """The encoder, noting what it was asked for."""

    def __init__(self, encoder: Encoder, fingerprint: str = "") -> None:
        self._encoder = encoder
        self.fingerprint = fingerprint or encoder.fingerprint
        self.asked: list[str] = []

    def encode(
        self, texts: Sequence[str], *, progress: Callable[[int, int], None] | None = None
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        self.asked += texts
        return self._encoder.encode(texts, progress=progress)


def same(one: DocumentIndex, other: DocumentIndex) -> None:
    """Both hold the same passages, vectors and words."""
    np.testing.assert_array_equal(one.passages.spans, other.passages.spans)
    np.testing.assert_allclose(one.passages.vectors, other.passages.vectors, atol=1e-5)
    assert one.passages.texts == other.passages.texts
    mine, theirs = (
        [
            sorted(
                (counts.vocabulary[term], count)
                for term, count in zip(counts.terms[part], counts.counts[part], strict=True)
            )
            for part in (slice(*pair) for pair in pairwise(counts.offsets))
        ]
        for counts in (one.passages.counts, other.passages.counts)
    )
    assert mine == theirs
    assert sorted(one.passages.counts.vocabulary) == sorted(other.passages.counts.vocabulary)


def test_what_did_not_change_is_neither_encoded_nor_tokenised_again(
    encoder: Encoder, index: DocumentIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, fee, *rest = DOCUMENTS_OF_A_BANK
    changed = [
        Document("fee", fee.title, fee.text + " Weekends are dearer."),
        *rest[1:],
        Document("card-again", card.title, card.text),
        card,
        Document("new", "Opening hours", "We are open on Mondays."),
    ]
    counting = CountingEncoder(encoder)
    tokenised: list[str] = []

    def noting(text: str) -> list[str]:
        tokenised.append(text)
        return tokenize(text)

    monkeypatch.setattr("rerank_engine.retrieval.bm25.tokenize", noting)
    before = DocumentIndex.load(index.save(tmp_path / "index"))
    assert tokenised == []
    after = DocumentIndex.build(changed, counting, previous=before)
    new = [
        "Fees abroad\nPaying abroad is free. Cash machines abroad cost 2 %. Weekends are dearer.",
        "Opening hours\nWe are open on Mondays.",
    ]
    assert counting.asked == tokenised == new
    same(after, DocumentIndex.build(changed, encoder))


def test_vectors_of_another_encoder_are_not_kept(encoder: Encoder, index: DocumentIndex) -> None:
    other = CountingEncoder(encoder, fingerprint="another")
    DocumentIndex.build(DOCUMENTS_OF_A_BANK, other, previous=index)
    assert len(other.asked) == index.n_passages


def test_a_text_that_the_encoder_cannot_read_is_searched_by_its_words(
    index: DocumentIndex, encoder: Encoder
) -> None:
    queries = ["перевод на карту", "stolen card", "ничего такого"]
    readable = ~encoder.unsupported_script(queries)
    assert readable.tolist() == [False, True, False]
    words, both, none = index.search(queries, encoder.encode(queries), readable=readable)
    assert [hit.document_id for hit in words] == ["ru"]
    assert len(both) == 5
    assert none == []


def test_documents_below_the_threshold_are_left_out(index: DocumentIndex, encoder: Encoder) -> None:
    query = "my card was stolen"
    vector = encoder.encode([query])
    cosines = (index.passages.vectors @ vector[0]).tolist()
    near = sum(cosine >= 0.4 for cosine in cosines)
    assert 0 < near < len(cosines)
    [hits] = index.search([query], vector, keep=25, least_similarity=0.4)
    assert len(hits) == near
    assert index.search([query], vector, least_similarity=1.0) == [[]]


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
        index.search(["a"], encoder.encode(["a"]), reranker=lambda pairs, fused: np.zeros(1))
