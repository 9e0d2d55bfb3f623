"""How good answers are against the experts, as the paper counts (Tsymbalov 2025, section 3.4.2).

`docs/concepts/metrics.md` writes out what counts where for every pair of expert and answer.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from labeling.statistics.bootstrap import columns_over_tasks, over_tasks, ratio
from labeling.statistics.intervals import Share, wilson

Floats = NDArray[np.float64]

LABEL, UNK, CONF, DEFERRED = "label", "unk", "conf", "deferred"
EXPERT_SAYS = frozenset({LABEL, UNK, CONF})
MAY_SAY = frozenset({LABEL, UNK, CONF, DEFERRED})
YES_NO = ("yes", "no")


@dataclass(frozen=True)
class Said:
    """What an expert or somebody else said: a label, `unk`, `conf` with its labels, or (machines
    only) nothing, which is `deferred`."""

    outcome: str
    label: Hashable = None
    conf: frozenset[Hashable] = frozenset()


@dataclass(frozen=True)
class Pair:
    """An expert's answer and another one to the same task."""

    task: Hashable
    expert: Said
    answer: Said

    @property
    def right(self) -> bool:
        """A label is right if it is the expert's, or among those of the expert's `conf`."""
        if self.answer.outcome != LABEL:
            return False
        if self.expert.outcome == LABEL:
            return self.answer.label == self.expert.label
        return self.expert.outcome == CONF and self.answer.label in self.expert.conf


@dataclass(frozen=True)
class AnswerMetrics:
    """The paper's figures; each is a share with its interval.

    coverage            answers that are a label              / all       (`conf` counts as `unk`)
    coverage_with_conf  answers that are a label or `conf`    / all
    accuracy            right                                 / answers that are a label
    accuracy_conf_wrong right                                 / answers that are a label or `conf`
    total_accuracy      right                                 / all       = accuracy * coverage
    """

    n: int
    tasks: int
    coverage: Share
    coverage_with_conf: Share
    accuracy: Share
    accuracy_conf_wrong: Share
    total_accuracy: Share


def answer_metrics(pairs: Iterable[Pair], *, seed: int = 0) -> AnswerMetrics:
    """All figures of these answers. Intervals are Wilson's where each task was answered once, else
    by bootstrap over tasks, since answers to one task are not independent of each other.

    Raises ValueError for an outcome that is none.
    """
    rows = list(pairs)
    for row in rows:
        if row.expert.outcome not in EXPERT_SAYS or row.answer.outcome not in MAY_SAY:
            raise ValueError(f"{row.expert.outcome} against {row.answer.outcome} has no meaning.")
    right = np.array([row.right for row in rows], dtype=bool)
    label = np.array([row.answer.outcome == LABEL for row in rows], dtype=bool)
    conf = np.array([row.answer.outcome == CONF for row in rows], dtype=bool)
    every = np.ones(len(rows), dtype=bool)
    groups = _places([row.task for row in rows])

    shares = _shares(
        _by_task(groups, [label, label | conf, right, right, right]),
        _by_task(groups, [every, every, label, label | conf, every]),
        len(rows),
        seed,
    )
    return AnswerMetrics(len(rows), int(groups.max(initial=-1)) + 1, *shares)


def _places(names: Sequence[Hashable]) -> NDArray[np.int64]:
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names], dtype=np.int64)


def _by_task(groups: NDArray[np.int64], counted: Sequence[NDArray[np.bool_]]) -> Floats:
    """Shape (tasks, columns): how many rows of each task each column counts."""
    tasks = int(groups.max(initial=-1)) + 1
    columns = [np.bincount(groups, weights=column, minlength=tasks) for column in counted]
    return np.array(columns, dtype=float).T.reshape(tasks, len(counted))


def _shares(above: Floats, below: Floats, rows: int, seed: int) -> list[Share]:
    """Column by column `above` out of `below`, both of shape (tasks, columns): Wilson's interval
    where `rows` says that each task has one row, else by bootstrap over tasks."""
    found = [
        wilson(round(over), round(under))
        for over, under in zip(above.sum(axis=0), below.sum(axis=0), strict=True)
    ]
    if len(above) == rows:
        return found
    intervals = columns_over_tasks(
        lambda weights: ratio(weights @ above, weights @ below), len(above), seed=seed
    )
    for at, share in enumerate(found):
        bounds = intervals[at]
        if share.successes in (0, share.n) and share.n:
            # All or none: no draw would differ. Wilson over tasks says how little that proves.
            told = int((below[:, at] > 0).sum())
            bound = wilson(told if share.successes else 0, told)
            found[at] = replace(share, low=bound.low, high=bound.high)
        else:
            found[at] = replace(share, low=bounds.low, high=bounds.high)
    return found


@dataclass(frozen=True)
class Estimate:
    """A figure that is no share, with its bootstrap interval over `n` tasks; None: not defined."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class LabelMetrics:
    """One label among the answered tasks. `precision`: right among the answers that are this label;
    `recall`: answered with it among those the experts gave it to; `f1` their harmonic mean."""

    label: Hashable
    precision: Share
    recall: Share
    f1: float


@dataclass(frozen=True)
class ByLabel:
    """Every label that an expert or an answer named, and macro F1: the plain mean of their F1."""

    labels: tuple[LabelMetrics, ...]
    macro_f1: Estimate


def by_label(pairs: Iterable[Pair], *, seed: int = 0) -> ByLabel:
    """Precision, recall and F1 of each label over the pairs whose answer is a label.

    Where the expert said `unk`, the label answered is wrong and no label is missed. Where the
    expert said `conf`, an answer among the expert's labels is right for the label answered, and
    another one is wrong without a label being missed. Labels that nobody named are
    left out.
    """
    rows = [row for row in pairs if row.answer.outcome == LABEL]
    said = [row.answer.label for row in rows]
    true = [_true_label(row) for row in rows]
    place = {name: at for at, name in enumerate(_named(said, true))}
    tasks = _places([row.task for row in rows])
    right = np.array([row.right for row in rows], dtype=bool)
    answered = _table(tasks, said, place)
    wanted = _table(tasks, true, place)
    hits = _table(tasks[right], [row.answer.label for row in rows if row.right], place, len(wanted))
    precision = _shares(hits, answered, len(rows), seed)
    recall = _shares(hits, wanted, len(rows), seed)
    every = np.ones((1, len(hits)))
    f1 = _f1(hits, answered, wanted, every)[0]
    found = (
        LabelMetrics(name, precision[at], recall[at], float(f1[at])) for name, at in place.items()
    )
    return ByLabel(tuple(found), _macro_f1(hits, answered, wanted, f1, seed))


def _true_label(pair: Pair) -> Hashable:
    """The label whose recall the pair belongs to; None for none."""
    if pair.expert.outcome == LABEL:
        return pair.expert.label
    return pair.answer.label if pair.right else None


def _named(said: Sequence[Hashable], true: Sequence[Hashable]) -> list[Hashable]:
    return sorted({*said, *(name for name in true if name is not None)}, key=str)


def _table(
    tasks: NDArray[np.int64],
    names: Sequence[Hashable],
    place: Mapping[Hashable, int],
    many: int | None = None,
) -> Floats:
    """Shape (tasks, labels): how often each label was named for each task."""
    table = np.zeros((int(tasks.max(initial=-1)) + 1 if many is None else many, len(place)))
    for task, name in zip(tasks, names, strict=True):
        if name in place:
            table[task, place[name]] += 1
    return table


def _f1(hits: Floats, answered: Floats, wanted: Floats, weights: Floats) -> Floats:
    return ratio(2 * (weights @ hits), weights @ answered + weights @ wanted)


def _macro_f1(hits: Floats, answered: Floats, wanted: Floats, f1: Floats, seed: int) -> Estimate:
    """The mean of F1 over labels. In a draw of tasks those labels count that occur in it."""
    if not hits.size:
        return Estimate(None, None, None, 0)

    def macro(weights: Floats) -> Floats:
        scores = _f1(hits, answered, wanted, weights)
        occurs = np.isfinite(scores)
        return ratio(np.where(occurs, scores, 0.0).sum(axis=1), occurs.sum(axis=1) * 1.0)

    interval = over_tasks(macro, len(hits), seed=seed)
    return Estimate(float(f1.mean()), interval.low, interval.high, len(hits))


@dataclass(frozen=True)
class SameData:
    """People on just the tasks that the machine answered (Tsymbalov 2025, table 6.10), and how much
    more accurate the machine is there, with an interval over tasks (paired)."""

    people: AnswerMetrics
    machine: AnswerMetrics
    gain: Estimate


def same_data(people: Iterable[Pair], machine: Iterable[Pair], *, seed: int = 0) -> SameData:
    """Compare the accuracy of people and machine on the tasks where both gave a label."""
    answered = {row.task: row for row in machine if row.answer.outcome == LABEL}
    theirs = [row for row in people if row.task in answered]
    tasks = list(dict.fromkeys(row.task for row in theirs if row.answer.outcome == LABEL))
    place = {task: at for at, task in enumerate(tasks)}
    right, given, ours = (np.zeros(len(tasks)) for _ in range(3))
    for row in theirs:
        if row.answer.outcome == LABEL:
            right[place[row.task]] += row.right
            given[place[row.task]] += 1
    for task, at in place.items():
        ours[at] = answered[task].right

    def gain(weights: Floats) -> Floats:
        return ratio(weights @ ours, weights.sum(axis=1)) - ratio(weights @ right, weights @ given)

    value: float | None = None
    low = high = None
    if tasks:
        value = float(gain(np.ones((1, len(tasks))))[0])
        interval = over_tasks(gain, len(tasks), seed=seed)
        low, high = interval.low, interval.high
    told = {row.task for row in theirs}
    return SameData(
        answer_metrics(theirs, seed=seed),
        answer_metrics([row for task, row in answered.items() if task in told], seed=seed),
        Estimate(value, low, high, len(tasks)),
    )


def yes_or_no(task: Hashable, expert: Said, asked: Hashable, answer: str) -> Pair:
    """An answer "yes", "no", `unk` or `deferred` to "does `asked` hold?" as a pair of the labels
    "yes" and "no", so that `by_label` gives precision and recall of both.

    The expert's *yes* is `asked` itself or a `conf` that names it; anything else is *no*, `unk`
    too, since accepting the label there would be an error.
    """
    holds = expert.label == asked if expert.outcome == LABEL else asked in expert.conf
    said = Said(LABEL, answer) if answer in YES_NO else Said(answer)
    return Pair(task, Said(LABEL, "yes" if holds else "no"), said)
