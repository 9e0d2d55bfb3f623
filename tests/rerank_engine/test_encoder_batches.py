from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_engine.encoder import Encoder
from rerank_engine.encoder_batches import (
    TokenIds,
    cut_windows,
    like_length_batches,
    padded,
    pool_windows,
)
from rerank_engine.errors import EncoderError


def by_character(texts: Sequence[str]) -> list[TokenIds]:
    """One token a character, between two special ones."""
    return [np.array([1, *(ord(char) for char in text), 2], dtype=np.int32) for text in texts]


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 600))
def test_every_row_comes_once_longest_first_and_within_the_budget(
    sizes: list[int], budget: int
) -> None:
    tokens = np.array(sizes, dtype=np.int64)
    batches = like_length_batches(tokens, budget)
    order = np.concatenate([*batches, np.array([], dtype=np.int64)])
    assert sorted(order.tolist()) == list(range(len(sizes)))
    assert (np.diff(tokens[order]) <= 0).all()
    for batch in batches:
        assert len(batch) == 1 or len(batch) * tokens[batch].max() <= budget


def test_batches_are_filled() -> None:
    batches = like_length_batches(np.array([2, 8, 2, 4, 4, 2]), 8)
    assert [batch.tolist() for batch in batches] == [[1], [3, 4], [0, 2, 5]]


@given(st.lists(st.text("ab \n", max_size=40), max_size=6), st.integers(3, 20))
def test_windows_fit_and_lose_nothing(texts: list[str], limit: int) -> None:
    windows = cut_windows(texts, by_character, limit)
    for number, text in enumerate(texts):
        mine = np.flatnonzero(windows.owners == number)
        assert "".join(windows.pieces[row] for row in mine) == text
        assert len(mine)
    assert (windows.sizes <= limit).all()
    assert windows.sizes.tolist() == [len(piece) + 2 for piece in windows.pieces]


@pytest.mark.parametrize("text", ["word " * 2000, "卡" * 1500, "!?" * 700, "я" * 900])
def test_windows_fit_the_built_in_model(encoder: Encoder, text: str) -> None:
    limit = encoder._model.max_seq_length
    windows = cut_windows([text, "short"], encoder._token_ids, limit)
    assert "".join(windows.pieces[:-1]) == text
    assert windows.owners.tolist() == [0] * (len(windows.pieces) - 1) + [1]
    assert windows.sizes.max() <= limit


def test_a_long_text_is_cut_at_the_space_nearest_to_its_middle() -> None:
    assert cut_windows(["lost my card"], by_character, 11).pieces == ["lost my", " card"]


def test_a_text_is_whole_where_the_model_has_no_limit() -> None:
    assert cut_windows(["a" * 5000], by_character, None).pieces == ["a" * 5000]


def test_a_character_with_more_tokens_than_the_model_takes_is_named() -> None:
    with pytest.raises(EncoderError, match="'a' has 3 tokens, but the model takes 2"):
        cut_windows(["a"], by_character, 2)


@pytest.mark.parametrize(
    ("side", "values", "mask"),
    [
        ("right", [[1, 97, 2, 9], [1, 97, 98, 2]], [[1, 1, 1, 0], [1, 1, 1, 1]]),
        ("left", [[9, 1, 97, 2], [1, 97, 98, 2]], [[0, 1, 1, 1], [1, 1, 1, 1]]),
    ],
)
def test_short_rows_are_padded_at_the_side_of_the_model(
    side: str, values: list[list[int]], mask: list[list[int]]
) -> None:
    made = padded(by_character(["a", "ab"]), pad_id=9, side=side)
    assert [array.tolist() for array in made] == [values, mask]


def test_windows_are_pooled_by_their_tokens_and_the_mean_has_length_one() -> None:
    windows = cut_windows(["aaaa bb", "c"], by_character, 7)
    assert windows.pieces == ["aaaa", " bb", "c"]
    pooled = pool_windows(np.array([[1, 0], [0, 1], [0, 1]], dtype=np.float32), windows, 2)
    np.testing.assert_allclose(pooled, [np.array([6, 5]) / np.hypot(6, 5), [0, 1]], atol=1e-6)
    assert pooled.dtype == np.float32
