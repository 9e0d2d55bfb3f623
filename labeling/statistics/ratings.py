"""Who called which task what: the table that agreement and aggregation are computed from."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Row = tuple[Hashable, Hashable, Hashable]
"""Task, worker, label. `unk` and `conf` are labels like any other here."""


class NothingToCompare(ValueError):
    """No task has labels of two workers, so there is no agreement to speak of."""


class OneLabelOnly(ValueError):
    """Everybody used the same single label: chance alone would agree always, and a coefficient
    that corrects for chance is 0/0."""


@dataclass(frozen=True)
class Repeats:
    """Rows whose worker had labeled the task already; `same` of them with the first label."""

    rows: int
    same: int


@dataclass(frozen=True)
class Ratings:
    """One label for each pair of task and worker that was seen.

    `task`, `worker`, `label` have shape (n,) and hold places in `tasks`, `workers`, `labels`.
    A worker who labeled a task again is counted once, with the first label; see `repeats`.
    """

    tasks: tuple[Hashable, ...]
    workers: tuple[Hashable, ...]
    labels: tuple[Hashable, ...]
    task: NDArray[np.int64]
    worker: NDArray[np.int64]
    label: NDArray[np.int64]
    repeats: Repeats

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Ratings:
        """Rows in the order they were given. Tasks, workers and labels keep their first order."""
        first: dict[tuple[Hashable, Hashable], Hashable] = {}
        repeated = same = 0
        for task, worker, label in rows:
            if (task, worker) in first:
                repeated += 1
                same += first[task, worker] == label
            else:
                first[task, worker] = label
        tasks = {task: place for place, task in enumerate(dict.fromkeys(t for t, _w in first))}
        workers = {who: place for place, who in enumerate(dict.fromkeys(w for _t, w in first))}
        labels = {name: place for place, name in enumerate(dict.fromkeys(first.values()))}
        return cls(
            tuple(tasks),
            tuple(workers),
            tuple(labels),
            np.array([tasks[task] for task, _worker in first], dtype=np.int64),
            np.array([workers[worker] for _task, worker in first], dtype=np.int64),
            np.array([labels[label] for label in first.values()], dtype=np.int64),
            Repeats(repeated, same),
        )

    def rows(self) -> list[Row]:
        """The rows that are counted."""
        return [
            (self.tasks[task], self.workers[worker], self.labels[label])
            for task, worker, label in zip(self.task, self.worker, self.label, strict=True)
        ]

    def without(self, labels: Collection[Hashable]) -> Ratings:
        """The same without the ratings that chose one of `labels` (`conf` and `unk`, say)."""
        kept = Ratings.of(row for row in self.rows() if row[2] not in labels)
        return Ratings(
            kept.tasks, kept.workers, kept.labels, kept.task, kept.worker, kept.label, self.repeats
        )

    def counts(self) -> NDArray[np.float64]:
        """How many workers gave each label to each task: shape (tasks, labels)."""
        table = np.zeros((len(self.tasks), len(self.labels)))
        np.add.at(table, (self.task, self.label), 1.0)
        return table
