"""The settings of the kNN, fitted by leaving training rows out.

Each fitting row is asked as the pipeline would ask it, with the (up to) five labels nearest to
it as candidates, and no vote of its own or of rows with the same text. Three cases:

- *as is*: right is the true label if it is offered, else `unk`;
- *label withheld*: the true label is not offered though its rows vote: right is `unk`;
- *label unknown*: no row of the true label votes or is offered, as for a text that fits no
  label: right is `unk`. This is what fits how near a neighbour must be to count.

The settings minimise the mean negative log-likelihood, the two `unk` cases together weighted
`UNK_SHARE`: a stated assumption about how rare such tasks are, not something rows can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from llm_worker.errors import InvalidRequestError
from llm_worker.options import Floats
from llm_worker.types import FloatArray

UNK_SHARE = 0.1
OFFERED = 5
FIT_ROWS = 1500
MOST_NEIGHBOURS = 100
NEIGHBOURS = (5, 10, 20, 50, 100)
TEMPERATURES = (0.01, 0.014, 0.02, 0.028, 0.04, 0.056, 0.08, 0.11, 0.16, 0.25)
UNK_SIMILARITIES = tuple(round(0.05 * step, 2) for step in range(20))
FLOORS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
_ROWS_AT_ONCE = 256

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class KnnSettings:
    """k neighbours; temperature of their votes; cosine at which the pseudo-row for `unk`
    stands; share of the probability spread evenly over the options."""

    k: int
    temperature: float
    unk_similarity: float
    floor: float

    def __post_init__(self) -> None:
        if self.k < 1 or not self.temperature > 0.0 or not 0.0 < self.floor < 1.0:
            raise InvalidRequestError(f"These are no settings of a kNN: {self}.")
        if not -1.0 <= self.unk_similarity <= 1.0:
            raise InvalidRequestError(f"{self.unk_similarity} is not a cosine.")


class _Case(NamedTuple):
    """Rows asked in one way. similarities and labels (m, K), nearest first, -inf where there
    is none; offered (m, c) label ids, -1 where there are fewer; right (m,) the index of the
    right option, c for `unk`; weight: of the case in the mean."""

    similarities: FloatArray
    labels: Ids
    offered: Ids
    right: Ids
    weight: float


def fit_settings(rows: FloatArray, label_ids: Ids, texts: Ids) -> KnnSettings:
    """The settings of least leave-one-out NLL over a grid.

    `rows` (n, d) of unit length, `label_ids` (n,), `texts` (n,) equal for rows of one text.
    At most `FIT_ROWS` rows, evenly spread, are left out; all rows vote.
    """
    codes = np.unique(label_ids, return_inverse=True)[1].astype(np.int64)
    cases = _cases(rows, codes, texts)
    best, least = (0, 0.0, 0.0, 0.0), np.inf
    for k, temperature in product(NEIGHBOURS, TEMPERATURES):
        if k > NEIGHBOURS[0] and k > len(rows) - 1:
            continue
        votes = [(case, *_votes(case, k=k, temperature=temperature)) for case in cases]
        for similarity, floor in product(UNK_SIMILARITIES, FLOORS):
            loss = sum(
                case.weight * _nll(case, right, total, nearest, temperature, similarity, floor)
                for case, right, total, nearest in votes
            )
            if loss < least:
                best, least = (k, temperature, similarity, floor), loss
    return KnnSettings(*best)


def _cases(rows: FloatArray, codes: Ids, texts: Ids) -> list[_Case]:
    """The three cases of every fitting row."""
    count = len(rows)
    chosen = np.unique(np.linspace(0, count - 1, min(count, FIT_ROWS)).astype(np.int64))
    as_is: list[tuple[FloatArray, Ids]] = []
    unknown: list[tuple[FloatArray, Ids]] = []
    for start in range(0, len(chosen), _ROWS_AT_ONCE):
        block = chosen[start : start + _ROWS_AT_ONCE]
        similarities = rows[block] @ rows.T
        similarities[texts[block][:, None] == texts[None, :]] = -np.inf
        as_is.append(_nearest_labels(similarities, codes))
        similarities[codes[block][:, None] == codes[None, :]] = -np.inf
        unknown.append(_nearest_labels(similarities, codes))
    truth = codes[chosen]
    return [
        _case(*_joined(as_is), truth, withhold=False, weight=1.0 - UNK_SHARE),
        _case(*_joined(as_is), truth, withhold=True, weight=UNK_SHARE / 2.0),
        _case(*_joined(unknown), truth, withhold=False, weight=UNK_SHARE / 2.0),
    ]


def _nearest_labels(similarities: FloatArray, codes: Ids) -> tuple[FloatArray, Ids]:
    keep = min(MOST_NEIGHBOURS, similarities.shape[1])
    part = np.argpartition(-similarities, keep - 1, axis=1)[:, :keep]
    values = np.take_along_axis(similarities, part, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(values, order, axis=1), codes[np.take_along_axis(part, order, axis=1)]


def _joined(blocks: list[tuple[FloatArray, Ids]]) -> tuple[FloatArray, Ids]:
    return np.concatenate([b[0] for b in blocks]), np.concatenate([b[1] for b in blocks])


def _case(
    similarities: FloatArray, labels: Ids, truth: Ids, *, withhold: bool, weight: float
) -> _Case:
    offered = np.full((len(truth), OFFERED), -1, dtype=np.int64)
    right = np.full(len(truth), OFFERED, dtype=np.int64)
    for row, true in enumerate(truth):
        near = labels[row][np.isfinite(similarities[row])]
        distinct = [
            label for label in dict.fromkeys(near.tolist()) if label != true or not withhold
        ]
        distinct = distinct[:OFFERED]
        offered[row, : len(distinct)] = distinct
        if true in distinct:
            right[row] = distinct.index(true)
    return _Case(similarities, labels, offered, right, weight)


def _votes(case: _Case, *, k: int, temperature: float) -> tuple[Floats, Floats, Floats]:
    """Votes for the right label, for all labels, and the nearest cosine, shapes (m,).

    Votes are relative to that of the nearest row. For `unk` the right votes are those for
    labels that are not offered.
    """
    similarities, labels = case.similarities[:, :k].astype(np.float64), case.labels[:, :k]
    nearest = similarities[:, 0]
    weights = np.zeros_like(similarities)
    there = np.isfinite(similarities)
    gap = np.where(there, similarities - np.where(there[:, :1], nearest[:, None], 0.0), -np.inf)
    weights[there] = np.exp(gap[there] / temperature)
    known = case.right < OFFERED
    wanted = case.offered[np.arange(len(known)), np.minimum(case.right, OFFERED - 1)]
    for_label = (weights * (labels == wanted[:, None])).sum(axis=1)
    outside = ~(labels[:, :, None] == case.offered[:, None, :]).any(axis=2)
    for_unk = (weights * outside).sum(axis=1)
    return np.where(known, for_label, for_unk), weights.sum(axis=1), nearest


def _nll(
    case: _Case,
    right: Floats,
    total: Floats,
    nearest: Floats,
    temperature: float,
    unk_similarity: float,
    floor: float,
) -> float:
    """Mean negative log-likelihood of the right options of a case."""
    # Where nothing is near (no row left), the pseudo-row alone votes.
    exponent = np.where(np.isfinite(nearest), (unk_similarity - nearest) / temperature, 0.0)
    pseudo = np.exp(np.minimum(exponent, 500.0))
    unk = case.right == OFFERED
    share = (right + np.where(unk, pseudo, 0.0)) / (total + pseudo)
    options = (case.offered >= 0).sum(axis=1) + 1
    return float(-np.log((1.0 - floor) * share + floor / options).mean())
