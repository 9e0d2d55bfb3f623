"""The verdicts of many tasks as arrays, so that other weights can be tried on all of them at once.

What `statistics.pooling` does for one task is done here for every row; a test holds them together.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeling.statistics.pooling import LINEAR, LOG_LINEAR, MEAN, Distribution, raised

UNK, YES, NO, NOTHING = 0, -1, -2, -3
"""Codes of options that are no label id; `NOTHING` fills up a row with fewer options."""
_NAMED = {"unk": UNK, "yes": YES, "no": NO}


@dataclass(frozen=True)
class VerdictTable:
    """n tasks, V validators, at most M options a task.

    `validators` (V,) ids; `options` (n, M) label ids or codes, in the order in which ties are
    settled; `shares` (n, V, M) probabilities; `mass` (n, V) on the options; `asked` (n,) the label
    a binary question asks for, else 0.
    """

    validators: NDArray[np.int64]
    options: NDArray[np.int64]
    shares: NDArray[np.float64]
    mass: NDArray[np.float64]
    asked: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.options)


@dataclass(frozen=True)
class TaskVerdicts:
    """One task's verdicts, one for each validator of the table and in its order."""

    said: Sequence[Distribution]
    mass: Sequence[float]
    asked: int = 0


def table_of(validators: Sequence[int], tasks: Sequence[TaskVerdicts]) -> VerdictTable:
    """Arrays of these verdicts. Raises ValueError where a task has not one of each validator."""
    named = [sorted({name for verdict in task.said for name in verdict}) for task in tasks]
    widest = max((len(names) for names in named), default=2)
    options = np.full((len(tasks), widest), NOTHING, dtype=np.int64)
    shares = np.zeros((len(tasks), len(validators), widest))
    mass = np.ones((len(tasks), len(validators)))
    for row, (task, names) in enumerate(zip(tasks, named, strict=True)):
        if len(task.said) != len(validators) or len(task.mass) != len(validators):
            raise ValueError("Every task needs one verdict of each validator.")
        options[row, : len(names)] = [_NAMED.get(name) or _label(name) for name in names]
        for place, verdict in enumerate(task.said):
            shares[row, place, : len(names)] = [verdict.get(name, 0.0) for name in names]
        mass[row] = task.mass
    asked = np.array([task.asked for task in tasks], dtype=np.int64)
    return VerdictTable(np.array(validators, np.int64), options, shares, mass, asked)


def _label(name: str) -> int:
    return UNK if name == "unk" else int(name)


def pooled(table: VerdictTable, rule: Mapping[str, Any]) -> NDArray[np.float64]:
    """What the verdicts come to under a rule's pool and weights: shape (n, M), each row sums to 1
    (0 where a row has no such option). See `pooling.pool`."""
    kind = rule.get("pool", MEAN)
    weights = np.ones(len(table.validators))
    if kind in (LINEAR, LOG_LINEAR):
        weights = np.array([float(rule["weights"][str(one)]) for one in table.validators])
    if not len(weights) or (weights < 0).any() or not weights.sum() > 0:
        raise ValueError("Each validator needs a weight that is not negative, and one above 0.")
    weights = weights / weights.sum()
    if kind != LOG_LINEAR:
        return np.asarray(np.einsum("nvm,v->nm", table.shares, weights))
    there = table.options != NOTHING
    counts = there.sum(axis=1)[:, None, None]
    # `raised` mixes with a uniform distribution over the options that the row has.
    logs = np.log(raised(table.shares, float(rule["floor"]), counts))  # type: ignore[arg-type]
    scores = np.einsum("nvm,v->nm", logs, weights) / float(rule["temperature"])
    scores = np.where(there, scores, -np.inf)
    unscaled = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(unscaled / unscaled.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Choices:
    """What each row comes to without a threshold: `label` (n,), `rejects` (n,) for a confident
    *no*, `confidence` (n,), and `open` (n,): False where no threshold takes the row."""

    label: NDArray[np.int64]
    rejects: NDArray[np.bool_]
    confidence: NDArray[np.float64]
    open: NDArray[np.bool_]


def choices(table: VerdictTable, rule: Mapping[str, Any]) -> Choices:
    """The best option of every row under `rule`; ties go to the first, and of *yes* and *no* to
    *yes*. A row where a validator gave less than the rule's "least_mass" is taken by no threshold.
    """
    shares = pooled(table, rule)
    # The first of equals is the one that sorts first, but "no" sorts before "yes".
    ranked = np.where(table.options == YES, shares + 1e-15, shares)
    best = ranked.argmax(axis=1)
    rows = np.arange(len(table))
    option = table.options[rows, best]
    low = table.mass.min(axis=1) < float(rule.get("least_mass") or 0.0)
    label = np.where((option == YES) | (option == NO), table.asked, option)
    confidence = np.clip(shares[rows, best], 0.0, 1.0)
    return Choices(label, option == NO, confidence, (option != UNK) & ~low)


def pack(table: VerdictTable) -> bytes:
    """The table in a few bytes, for `unpack`."""
    packed = io.BytesIO()
    np.savez_compressed(packed, **{one.name: getattr(table, one.name) for one in fields(table)})
    return packed.getvalue()


def unpack(packed: bytes | memoryview) -> VerdictTable:
    """The table behind `packed`. Raises ValueError for bytes that `pack` did not write."""
    try:
        with np.load(io.BytesIO(bytes(packed)), allow_pickle=False) as arrays:
            return VerdictTable(**{one.name: arrays[one.name] for one in fields(VerdictTable)})
    except (OSError, KeyError, ValueError, EOFError) as error:
        raise ValueError(f"These are no packed verdicts: {error}") from error
