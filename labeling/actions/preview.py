"""What a policy would do at other thresholds: on the stream by its tallies, on *tune* by its rows.

Nothing is stored. Rows of *certify* and *test* are never looked at here: a threshold that was
chosen by looking at them could no longer be certified or tested on them.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.core.cache import cache
from django.db.models import Max, Sum
from numpy.typing import NDArray

from labeling.actions.opinion import opinion
from labeling.actions.scored import scored_items
from labeling.actions.tally import Group, Taken, runs_of, scoring_of, taken, without_threshold
from labeling.models import (
    BenchmarkAnswer,
    BenchmarkItem,
    Outcome,
    Part,
    Policy,
    ReferenceOutcome,
    Run,
    Tally,
)
from labeling.statistics import tally
from labeling.statistics.intervals import Share, wilson


@dataclass(frozen=True)
class Stream:
    """Tasks outside the benchmark by group and confidence; `counts` has a row for each of `groups`.

    `never` counts tasks that no threshold accepts, by reason; `uncounted` those of runs that are
    under way or were not counted yet. `sampled_of` is the number of tasks of which these are a
    random sample; None where they are all that were counted.
    """

    groups: tuple[Group, ...]
    counts: tally.Counts
    never: Mapping[str, int]
    runs: int = 0
    counted_runs: int = 0
    uncounted: int = 0
    sampled_of: int | None = None

    @property
    def tasks(self) -> int:
        """How many tasks were counted."""
        return int(self.counts.sum()) + sum(self.never.values())


def stream_of(policy: Policy) -> Stream:
    """The tallies of the policy's runs, added up."""
    scoring = scoring_of(policy.rule)
    rows = Tally.objects.filter(run__configuration=policy.configuration_id, scoring=scoring)
    newest = rows.aggregate(newest=Max("pk"))["newest"] or 0
    groups, counts, never = _added_up(policy.configuration_id, scoring, newest, rows.count())
    runs = runs_of(policy).exclude(planned=0)
    counted = set(rows.values_list("run_id", flat=True))
    left = runs.exclude(pk__in=counted).aggregate(n=Sum("planned"))["n"] or 0
    return Stream(groups, counts, never, runs.count(), len(counted), left)


@functools.lru_cache(maxsize=32)
def _added_up(
    configuration_id: int, scoring: str, newest: int, rows: int
) -> tuple[tuple[Group, ...], tally.Counts, Mapping[str, int]]:
    """Kept in memory: a tally never changes, so number and newest id say which there are."""
    places: dict[Group, int] = {}
    parts: list[tuple[list[int], tally.Counts]] = []
    never: Counter[str] = Counter()
    found = Tally.objects.filter(
        run__configuration=configuration_id, scoring=scoring, pk__lte=newest
    )
    for one in found.iterator(chunk_size=200):
        at = [places.setdefault((side, label), len(places)) for side, label in one.groups]
        parts.append((at, tally.unpack(one.counts)))
        never.update(one.never)
    counts = np.zeros((len(places), tally.ALWAYS + 1), dtype=np.int64)
    for at, part in parts:
        counts[at] += part
    counts.setflags(write=False)
    return tuple(places), counts, never


@dataclass(frozen=True)
class Judged:
    """Rows of *tune* that some threshold would take: as what, from which step on, and was it right?

    `items` are the ids of their benchmark items; arrays of shape (n,); `rows` counts all scored
    rows of the part, `unscored` settled ones without verdicts of the policy's configuration.
    """

    items: Sequence[int]
    groups: Sequence[Group]
    steps: NDArray[np.intp]
    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]
    rows: int
    unscored: int


def judged(policy: Policy) -> Judged:
    """The rows of *tune* under the policy's way of scoring."""
    key = f"judged:{policy.configuration_id}:{scoring_of(policy.rule)}"
    found: Judged = kept(key, known_of(policy), lambda: _judge(policy))
    return found


def known_of(policy: Policy) -> tuple[object, ...]:
    """What changes when *tune* or its verdicts do."""
    items = BenchmarkItem.objects.filter(project=policy.project_id, part=Part.TUNE)
    settled = items.exclude(reference=ReferenceOutcome.OPEN).count()
    answers = BenchmarkAnswer.objects.filter(item__in=items).aggregate(newest=Max("pk"))["newest"]
    runs = Run.objects.filter(configuration=policy.configuration_id).aggregate(
        newest=Max("pk"), finished=Max("completed_at")
    )
    return answers, items.count(), settled, runs["newest"], runs["finished"]


def kept(key: str, known: tuple[object, ...], make: Callable[[], Any]) -> Any:
    """What `make` gives, kept for as long as `known` stays the same."""
    standing = cache.get(key)
    if standing is not None and standing[0] == known:
        return standing[1]
    found = make()
    cache.set(key, (known, found), timeout=3600)
    return found


def _judge(policy: Policy) -> Judged:
    scored, unscored = scored_items(policy.configuration, [Part.TUNE])
    question = str(policy.configuration.content["question"])
    trial = without_threshold(policy)
    items: list[int] = []
    rows: list[Taken] = []
    right: list[bool] = []
    for row in scored:
        found = opinion(trial, row.evidence, question=question)
        took = taken(found, trial.rule)
        if took is not None:
            items.append(row.item.pk)
            rows.append(took)
            holds = row.is_right(found.label_id)
            right.append(holds if found.outcome == Outcome.ACCEPT else not holds)
    return Judged(
        items=items,
        groups=[row.group for row in rows],
        steps=np.array([row.step for row in rows], np.intp),
        confidence=np.array([row.confidence for row in rows], float),
        right=np.array(right, bool),
        rows=len(scored),
        unscored=unscored,
    )


@dataclass(frozen=True)
class LabelRow:
    """One label at the thresholds looked at: on the stream, and on *tune*."""

    side: str
    label_id: int
    tasks: int
    taken: int
    right: Share


@dataclass(frozen=True)
class Point:
    """One threshold of the curve: share of the stream taken, and how often right on *tune*."""

    threshold: float
    coverage: float | None
    right: Share


@dataclass(frozen=True)
class Preview:
    """What would happen at the thresholds looked at."""

    thresholds: Mapping[str, float | None]
    taken: int
    coverage: Share
    right: Share
    labels: Sequence[LabelRow]
    curves: Mapping[str, Sequence[Point]]


SIDES = {"multiclass": Outcome.ACCEPT, "yes": Outcome.ACCEPT, "no": Outcome.REJECT}
"""By key of a rule's thresholds, the outcome that it opens."""
CURVE_POINTS = 100
BINS = 10


def preview(stream: Stream, rows: Judged, thresholds: Mapping[str, float | None]) -> Preview:
    """Exact on the stream for thresholds of the grid; a side whose threshold is None takes nothing.

    `thresholds` has the keys of the rule's: "multiclass", or "yes" and "no".
    """
    steps = _opened(thresholds)
    reached = tally.at_least(stream.counts)
    taken_rows = rows_taken(rows, thresholds)
    labels = _labels(stream, reached, rows, taken_rows, steps)
    took = sum(row.taken for row in labels)
    return Preview(
        thresholds=dict(thresholds),
        taken=took,
        coverage=wilson(took, stream.tasks),
        right=wilson(int(rows.right[taken_rows].sum()), int(taken_rows.sum())),
        labels=labels,
        curves={key: _curve(stream, reached, rows, str(SIDES[key])) for key in thresholds},
    )


def _opened(thresholds: Mapping[str, float | None]) -> dict[str, int]:
    """The first step that is taken, by side."""
    return {str(SIDES[key]): _step(value) for key, value in thresholds.items()}


def rows_taken(rows: Judged, thresholds: Mapping[str, float | None]) -> NDArray[np.bool_]:
    """Which of the rows are taken at these thresholds, shape (n,)."""
    steps = _opened(thresholds)
    opened = [steps.get(side, tally.ALWAYS) for side, _label in rows.groups]
    return np.asarray(rows.steps >= np.array(opened, np.intp))


def _step(threshold: float | None) -> int:
    """The first step that the threshold opens; without one, only what is taken at whatever one."""
    # A threshold between two steps is counted at the next: whoever is counted is surely taken.
    return tally.ALWAYS if threshold is None else math.ceil(threshold * tally.STEPS - 1e-9)


def _labels(
    stream: Stream,
    reached: tally.Counts,
    rows: Judged,
    taken_rows: NDArray[np.bool_],
    steps: Mapping[str, int],
) -> list[LabelRow]:
    """A row for each group of the stream or of *tune*, the likeliest to be wrong first."""
    judged_of: dict[Group, list[bool]] = {}
    for group, right, is_taken in zip(rows.groups, rows.right, taken_rows, strict=True):
        if is_taken:
            judged_of.setdefault(group, []).append(bool(right))
    places = {group: place for place, group in enumerate(stream.groups)}
    found = []
    for group in dict.fromkeys([*stream.groups, *rows.groups]):
        side, label_id = group
        row = reached[places[group]] if group in places else np.zeros(tally.ALWAYS + 1, np.int64)
        hits = judged_of.get(group, [])
        share = wilson(sum(hits), len(hits))
        found.append(
            LabelRow(side, label_id, int(row[0]), int(row[steps.get(side, tally.ALWAYS)]), share)
        )
    return sorted(found, key=lambda row: (-_wrong(row.right), -row.taken, row.label_id))


def _wrong(share: Share) -> int:
    return share.n - share.successes


def _curve(
    stream: Stream,
    reached: tally.Counts,
    rows: Judged,
    side: str,
) -> list[Point]:
    of_side = [place for place, group in enumerate(stream.groups) if group[0] == side]
    reached_by = reached[of_side].sum(axis=0)
    here = np.array([group[0] == side for group in rows.groups], bool)
    points = []
    for step in _curve_steps(reached_by if reached_by.any() else _reached(rows.steps[here])):
        chosen = here & (rows.steps >= step)
        coverage = float(reached_by[step]) / stream.tasks if stream.tasks else None
        right = wilson(int(rows.right[chosen].sum()), int(chosen.sum()))
        points.append(Point(float(tally.GRID[step]), coverage, right))
    return points


def _reached(steps: NDArray[np.intp]) -> tally.Counts:
    return tally.at_least(np.bincount(steps, minlength=tally.ALWAYS + 1).astype(np.int64))


def _curve_steps(reached: tally.Counts) -> list[int]:
    """Steps between which about the same number of tasks lies, the loosest first: confidences
    crowd near 1, where an even grid would show nothing."""
    on_grid = reached[: tally.STEPS + 1]
    whole = int(on_grid[0])
    if not whole:
        return [0]
    wanted = np.linspace(whole, 1, CURVE_POINTS)
    # They fall along the grid: the last step that still takes at least so many.
    steps = np.searchsorted(-on_grid, -wanted, side="right") - 1
    return sorted({int(step) for step in steps})


@dataclass(frozen=True)
class Bin:
    """Rows of *tune* of like confidence: its mean, and how many are right."""

    confidence: float
    right: Share


def reliability(rows: Judged) -> list[Bin]:
    """Up to ten bins with the same number of rows each, the least sure first."""
    order = np.argsort(rows.confidence, kind="stable")
    parts = np.array_split(order, min(BINS, len(order))) if len(order) else []
    return [
        Bin(float(rows.confidence[part].mean()), wilson(int(rows.right[part].sum()), len(part)))
        for part in parts
    ]
