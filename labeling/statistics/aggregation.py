"""One label for a task from what several workers said, and how far each worker can be relied on."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labeling.statistics.intervals import Share, wilson
from labeling.statistics.ratings import Ratings

Floats = NDArray[np.float64]

# Below this a probability counts as this: one worker's "never" must not rule a label out.
LEAST = 1e-10


class NoRatings(ValueError):
    """There is nothing to aggregate."""


def majority(counts: Floats) -> list[tuple[int, ...]]:
    """For each row of `counts` (tasks, labels) the labels with the most votes: one, or those that
    tie; none where nobody voted."""
    best = counts.max(axis=1, keepdims=True, initial=0.0)
    tied = (counts == best) & (best > 0)
    return [tuple(np.flatnonzero(row).tolist()) for row in tied]


def majority_share(votes: Sequence[Sequence[Hashable]], gold: Sequence[Hashable]) -> list[float]:
    """For each task how far the majority found its gold label: 1 or 0, or where labels tie one
    over their number if the gold one is among them."""
    return [1 / len(tied) if true in tied else 0.0 for tied, true in zip(votes, gold, strict=True)]


@dataclass(frozen=True)
class Consensus:
    """What an aggregation came to.

    `posterior` has shape (tasks, labels), rows sum to 1. `confusion` has shape (workers, true
    label, said label). `reliability` has shape (workers,): the probability that the worker's next
    label is right. `rounds` says after how many rounds it stopped, `converged` whether by itself.
    """

    posterior: Floats
    confusion: Floats
    reliability: Floats
    rounds: int
    converged: bool

    def best(self) -> NDArray[np.int64]:
        """The most probable label of each task; the first of those that tie."""
        labels: NDArray[np.int64] = self.posterior.argmax(axis=1)
        return labels


def dawid_skene(
    ratings: Ratings,
    *,
    prior: Floats | None = None,
    one_coin: bool = False,
    most_rounds: int = 200,
    tolerance: float = 1e-7,
) -> Consensus:
    """Dawid and Skene 1979 by expectation maximisation, started from the shares of the votes.

    Each worker has a confusion matrix; with `one_coin` only an accuracy, the rest spread evenly
    over the other labels (Zhang et al. 2016), which is what few labels and many classes can bear.
    `prior`, shape (tasks, labels), says how probable each label is before anybody looked, from a
    calibrated classifier say; without it all tasks share one, estimated along the way. Stops when
    no posterior moves by more than `tolerance`. Raises NoRatings for no ratings, ValueError for a
    prior of another shape or one that is no distribution.
    """
    if not len(ratings.task):
        raise NoRatings("There are no labels to aggregate.")
    votes = ratings.counts()
    fixed = None if prior is None else _checked_prior(prior, votes.shape)
    posterior = votes / votes.sum(axis=1, keepdims=True)
    if fixed is not None:
        # The classifier breaks ties of the first round too.
        posterior = _normalised(np.log(posterior + LEAST) + np.log(fixed))
    said = _observed(ratings)
    moved, rounds = np.inf, 0
    while rounds < most_rounds and moved > tolerance:
        confusion = _one_coin(ratings, posterior) if one_coin else _confusion(said, posterior)
        shared = posterior.mean(axis=0)[None, :]
        log_prior = np.log(np.maximum(shared if fixed is None else fixed, LEAST))
        likelihood = np.broadcast_to(log_prior, votes.shape).copy()
        with np.errstate(divide="ignore"):
            steps = np.log(confusion)[ratings.worker, :, ratings.label]
        np.add.at(likelihood, ratings.task, steps)
        updated = _normalised(likelihood)
        moved = float(np.abs(updated - posterior).max())
        posterior, rounds = updated, rounds + 1
    confusion = _one_coin(ratings, posterior) if one_coin else _confusion(said, posterior)
    share = posterior.mean(axis=0)
    reliability = np.einsum("wkk,k->w", confusion, share).clip(0.0, 1.0)
    return Consensus(posterior, confusion, reliability, rounds, moved <= tolerance)


@dataclass(frozen=True)
class _Said:
    """The ratings sorted into cells (worker, label): `cell` has shape (n,), `task` too."""

    cell: NDArray[np.int64]
    task: NDArray[np.int64]
    workers: int
    labels: int


def _observed(ratings: Ratings) -> _Said:
    labels = len(ratings.labels)
    return _Said(
        ratings.worker * labels + ratings.label, ratings.task, len(ratings.workers), labels
    )


def _confusion(said: _Said, posterior: Floats) -> Floats:
    """Shape (workers, true, said): expected counts, made shares of each worker and true label.

    What a worker was never seen to say stays 0; what was said at all is at least LEAST.
    """
    counts = np.zeros((said.workers * said.labels, said.labels))
    np.add.at(counts, said.cell, posterior[said.task])
    seen = np.zeros(len(counts), dtype=bool)
    seen[said.cell] = True
    counts[seen] = np.maximum(counts[seen], LEAST)
    table = counts.reshape(said.workers, said.labels, said.labels).transpose(0, 2, 1)
    totals: Floats = table.sum(axis=2, keepdims=True)
    confusion: Floats = table / totals
    return confusion


def _one_coin(ratings: Ratings, posterior: Floats) -> Floats:
    labels, workers = len(ratings.labels), len(ratings.workers)
    right = np.bincount(
        ratings.worker, weights=posterior[ratings.task, ratings.label], minlength=workers
    )
    given = np.bincount(ratings.worker, minlength=workers)
    skill = right / given
    wrong = (1 - skill) / max(labels - 1, 1)
    table = np.repeat(wrong[:, None, None], labels, axis=1).repeat(labels, axis=2)
    table[:, np.arange(labels), np.arange(labels)] = skill[:, None]
    clipped: Floats = table.clip(LEAST, 1.0 if labels == 1 else 1 - LEAST)
    return clipped


def _normalised(logs: Floats) -> Floats:
    scaled = np.exp(logs - logs.max(axis=1, keepdims=True))
    posterior: Floats = scaled / scaled.sum(axis=1, keepdims=True)
    return posterior


def _checked_prior(prior: Floats, shape: tuple[int, ...]) -> Floats:
    if prior.shape != shape:
        raise ValueError(f"A prior of shape {prior.shape} does not fit {shape} tasks and labels.")
    if not np.isfinite(prior).all() or (prior < 0).any() or not np.allclose(prior.sum(axis=1), 1):
        raise ValueError("Each row of the prior is a distribution over the labels.")
    return np.maximum(prior, LEAST)


@dataclass(frozen=True)
class Confused:
    """`times` the experts said `true` and the answer was `said`; `share` is among all tasks that
    the experts called `true` and that were answered."""

    true: Hashable
    said: Hashable
    times: int
    share: Share


def confusion_pairs(pairs: Iterable[tuple[Hashable, Hashable]], *, most: int) -> list[Confused]:
    """The most frequent mistakes among (true, said) pairs, at most `most`, the commonest first."""
    every = list(pairs)
    totals = Counter(true for true, _said in every)
    wrong = Counter((true, said) for true, said in every if true != said)
    ranked = sorted(wrong.items(), key=lambda pair: (-pair[1], str(pair[0])))[:most]
    return [
        Confused(true, said, times, wilson(times, totals[true])) for (true, said), times in ranked
    ]


def consistency(answers: Mapping[Hashable, Sequence[Hashable]]) -> Share:
    """How often somebody says the same again.

    `answers` holds for each text that one person was given more than once the answers in order;
    each answer after the first is compared with the one before it.
    """
    pairs = [
        (before, after) for said in answers.values() for before, after in itertools.pairwise(said)
    ]
    return wilson(sum(before == after for before, after in pairs), len(pairs))
