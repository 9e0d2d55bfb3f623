"""Benchmark tasks under a policy's rule, as the numbers that tests of thresholds take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeling.actions.opinion import opinion_at, stages_of
from labeling.actions.scored import Scored
from labeling.models import Outcome, Question, ReferenceOutcome
from labeling.statistics.calibration import MIN_ROWS, StepMap, fit_isotonic

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
# A cascade is certified as one family of rules; this many of them are tested.
FAMILY = 200


@dataclass(frozen=True)
class Outcomes:
    """Rows under one stage of a rule, shape (n,): the score that its threshold is compared with,
    NaN where no threshold would accept anything; whether accepting would be an error; the label."""

    scores: Floats
    wrong: NDArray[np.bool_]
    labels: list[str]
    off_topic: NDArray[np.bool_]


def side_of(question: str) -> str:
    """The threshold that opens accepting."""
    return "multiclass" if question == Question.MULTICLASS else "yes"


def outcomes(rule: Mapping[str, Any], scored: Sequence[Scored], *, question: str) -> Outcomes:
    """Under the rule over all its validators."""
    return by_stage({**rule, "stages": []}, scored, question=question)[0]


def by_stage(rule: Mapping[str, Any], scored: Sequence[Scored], *, question: str) -> list[Outcomes]:
    """Under each stage of a cascade, as if every row came to it; the rule itself is the last."""
    open_sides = {side_of(question): 0.0}
    wide = {key: value for key, value in rule.items() if key != "groups"}
    wide["threshold"] = open_sides
    found = []
    for stage in stages_of(wide):
        at = replace(stage, threshold=open_sides)
        said = [opinion_at(wide, at, row.evidence, question=question) for row in scored]
        scores = np.full(len(scored), np.nan)
        wrong = np.zeros(len(scored), bool)
        for place, (row, one) in enumerate(zip(scored, said, strict=True)):
            flagged = row.evidence.ranking is not None and row.evidence.ranking.flagged_script
            if one.outcome == Outcome.ACCEPT and one.confidence is not None and not flagged:
                scores[place] = one.confidence
                wrong[place] = not row.is_right(one.label_id)
        labels = [str(one.label_id) for one in said]
        unfit = [row.item.reference == ReferenceOutcome.UNK for row in scored]
        found.append(Outcomes(scores, wrong, labels, np.array(unfit, bool)))
    return found


@dataclass(frozen=True)
class Family:
    """Rules from strict to loose, fixed on *tune*: thresholds of every stage, shape (k, stages),
    infinite where a stage accepts nothing."""

    thresholds: Floats

    def counts(self, stages: Sequence[Outcomes]) -> tuple[Counts, Counts]:
        """What each rule accepts of the rows, end to end, and gets wrong among them."""
        accepted = np.zeros(len(self.thresholds), np.int64)
        errors = np.zeros(len(self.thresholds), np.int64)
        for place, thresholds in enumerate(self.thresholds):
            left = np.ones(len(stages[0].scores), bool)
            for stage, threshold in zip(stages, thresholds, strict=True):
                taken = left & (stage.scores >= threshold)
                accepted[place] += int(taken.sum())
                errors[place] += int((taken & stage.wrong).sum())
                left &= ~taken
        return accepted, errors


def family_of(stages: Sequence[Outcomes]) -> Family:
    """One number for the whole cascade: the share of right ones that a stage must promise. On
    *tune* each stage's score is mapped to that share; a stage with too few rows accepts nothing."""
    maps = [_map_of(stage) for stage in stages]
    reached = [
        found.probability(float(score))
        for stage, found in zip(stages, maps, strict=True)
        if found is not None
        for score in stage.scores[~np.isnan(stage.scores)]
    ]
    levels = np.unique(reached)[::-1]
    if len(levels) > FAMILY:
        levels = levels[np.unique(np.linspace(0, len(levels) - 1, FAMILY).astype(int))]
    rows = [[_from(found, level) for found in maps] for level in levels]
    return Family(np.array(rows, dtype=np.float64).reshape(len(levels), len(stages)))


def _map_of(stage: Outcomes) -> StepMap | None:
    known = ~np.isnan(stage.scores)
    return (
        fit_isotonic(stage.scores[known], ~stage.wrong[known]) if known.sum() >= MIN_ROWS else None
    )


def _from(found: StepMap | None, level: float) -> float:
    """The least score from which on the map promises `level`."""
    if found is None or level > found.low[-1]:
        return float("inf")
    place = int(np.searchsorted(found.low, level, side="left"))
    if place == 0:
        return 0.0
    below, above = found.low[place - 1], found.low[place]
    part = (level - below) / (above - below)
    return found.at[place - 1] + part * (found.at[place] - found.at[place - 1])
