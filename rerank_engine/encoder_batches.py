"""What goes to the encoder at once: windows that fit it, in batches of like length.

Nothing here needs torch; `rerank_engine.encoder` puts the batches through the model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rerank_engine.errors import EncoderError

TokenIds = NDArray[np.int32]
Tokenize = Callable[[Sequence[str]], list[TokenIds]]


@dataclass(frozen=True)
class Windows:
    """Pieces of texts that each fit the model; all are in the order of the texts.

    `pieces` are the strings, `ids` their token ids with the special ones, `owners` (n,) the
    number of the text each belongs to, `sizes` (n,) their tokens.
    """

    pieces: list[str]
    ids: list[TokenIds]
    owners: NDArray[np.int64]
    sizes: NDArray[np.int64]


def cut_windows(texts: Sequence[str], tokenize: Tokenize, limit: int | None) -> Windows:
    """The texts, those with more than `limit` tokens cut at spaces; joined, they are the text.

    Raises EncoderError where a single character has more tokens than the model takes.
    """
    pieces: list[str] = []
    ids: list[TokenIds] = []
    owners: list[int] = []
    for owner, (text, row) in enumerate(zip(texts, tokenize(texts), strict=True)):
        for piece, piece_ids in _fitting(text, row, tokenize, limit):
            pieces.append(piece)
            ids.append(piece_ids)
            owners.append(owner)
    sizes = np.array([len(row) for row in ids], dtype=np.int64)
    return Windows(pieces, ids, np.array(owners, dtype=np.int64), sizes)


def _fitting(
    text: str, ids: TokenIds, tokenize: Tokenize, limit: int | None
) -> list[tuple[str, TokenIds]]:
    if limit is None or len(ids) <= limit:
        return [(text, ids)]
    if len(text) < 2:
        raise EncoderError(
            f"The character {text!r} has {len(ids)} tokens, but the model takes {limit}."
        )
    halves = _halve(text)
    return [
        fitting
        for half, half_ids in zip(halves, tokenize(halves), strict=True)
        for fitting in _fitting(half, half_ids, tokenize, limit)
    ]


def _halve(text: str) -> list[str]:
    """Cut at the space nearest to the middle, or in the middle where there is none."""
    middle = len(text) // 2
    spaces = [match.start() for match in re.finditer(r"\s", text)]
    inner = [place for place in spaces if 0 < place < len(text) - 1]
    cut = min(inner, key=lambda place: abs(place - middle), default=middle)
    return [text[:cut], text[cut:]]


def like_length_batches(sizes: NDArray[np.int64], budget: int) -> list[NDArray[np.int64]]:
    """Every row number once, longest rows first, in batches of at most `budget` padded tokens.

    `sizes` (n,) are the tokens of the rows. The padded tokens of a batch are its rows times its
    longest row; a row that is longer than the budget by itself is a batch of its own. Longest
    first, so that memory peaks at the start.
    """
    order = np.argsort(-sizes, kind="stable")
    batches: list[NDArray[np.int64]] = []
    start = 0
    while start < len(order):
        rows = max(1, budget // max(1, int(sizes[order[start]])))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def padded(
    ids: Sequence[TokenIds], *, pad_id: int, side: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids and attention mask, both (rows, longest row), padded at `side`."""
    longest = max(len(row) for row in ids)
    values = np.full((len(ids), longest), pad_id, dtype=np.int64)
    mask = np.zeros_like(values)
    for number, row in enumerate(ids):
        place = slice(longest - len(row), longest) if side == "left" else slice(len(row))
        values[number, place] = row
        mask[number, place] = 1
    return values, mask


def pool_windows(vectors: NDArray[np.float32], windows: Windows, rows: int) -> NDArray[np.float32]:
    """Unit vectors (rows, d): the mean of a text's windows weighted by their tokens."""
    if len(windows.owners) == rows:  # one window each
        return vectors
    pooled = np.zeros((rows, vectors.shape[1]), dtype=np.float64)
    np.add.at(pooled, windows.owners, vectors.astype(np.float64) * windows.sizes[:, None])
    norms = np.linalg.norm(pooled, axis=1, keepdims=True)
    pooled /= np.maximum(norms, np.finfo(np.float64).tiny)
    return pooled.astype(np.float32)
