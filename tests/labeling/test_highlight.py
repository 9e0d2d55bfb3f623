"""Words of the text are marked in the passages found for it."""

from __future__ import annotations

import pytest

from labeling.highlight import from_first_hit, marked, stem
from rerank_engine.retrieval.tokenize import tokenize


def hits(passage: str, text: str) -> list[str]:
    pieces = marked(passage, text)
    assert "".join(piece.text for piece in pieces) == passage
    return [piece.text for piece in pieces if piece.hit]


@pytest.mark.parametrize(
    ("passage", "text", "found"),
    [
        ("Phones see the card.", "my phone sees no card", ["Phones see", "card"]),
        ("The end of it", "the end is in it", ["end"]),
        ("Проверьте симки и сеть.", "симка не видит сети", ["симки", "сеть"]),
        ("客户的退款进度如何", "退款进度", ["退款进度"]),
        ("卡坏了。我的卡", "我的卡坏了", ["卡坏了", "我的卡"]),
        ("<b>card</b>", "card", ["card"]),
        ("ＣＡＲＤ", "card", ["ＣＡＲＤ"]),
        ("nothing here", "", []),
        ("", "card", []),
    ],
)
def test_words_are_marked_by_their_stems(passage: str, text: str, found: list[str]) -> None:
    assert hits(passage, text) == found


@pytest.mark.parametrize(
    "text", ["Charged CHARGES charging", "симки симкой", "don’t won't", "Straße"]
)
def test_stems_are_those_of_the_document_search(text: str) -> None:
    assert [stem(word) for word in text.casefold().split()] == tokenize(text)


def test_a_passage_begins_near_its_first_hit_where_that_stands_far_inside() -> None:
    start = "".join(piece.text for piece in from_first_hit(marked("word " * 60 + "card.", "card")))
    assert start.startswith("… word")
    assert start.endswith("card.")
    assert len(start) < 60
    near = marked("a card " + "word " * 60, "card")
    assert from_first_hit(near) == near
