"""The tables and the figure of `bench.validators`, from the answers of every cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.validator_material import Material, Task
from labeling.statistics.acceptance import Judged, acceptance_metrics
from labeling.statistics.metrics import LABEL, Pair, Said, by_label
from labeling.statistics.pool_fit import Row, fit_pool
from labeling.statistics.pooling import LINEAR, linear_pool, mean_pool
from labeling.statistics.thresholds import loosest_threshold
from llm_worker.types import UNK, Question

CURVE = tuple(round(0.05 * step, 2) for step in range(21))
"""The coverages at which accuracy is given."""
REDRAWN = 4000
MEAN, FITTED = "ensemble, mean", "ensemble, fitted weights"
WIDTH, HEIGHT, LEFT, TOP = 640, 360, 52, 16
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 4")


@dataclass(frozen=True)
class Answer:
    """What a validator said of one task, the mass on the options, and the tokens read."""

    probabilities: Mapping[str, float]
    mass: float
    tokens: int


@dataclass(frozen=True)
class Cell:
    """One validator asked one question in one setting; answers by task number."""

    validator: str
    question: Question
    setting: Mapping[str, Any]
    answers: Mapping[int, Answer]

    @property
    def is_plain(self) -> bool:
        """Does it stand for its validator in ensembles and in the figure?"""
        setting = self.setting
        return not setting or (
            setting["look_alikes"] and not setting["documents"] and setting["remedy"] == "none"
        )


def tables(material: Material, cells: Sequence[Cell], target: float) -> dict[str, Any]:
    """Each cell and each ensemble of the plain ones: at the threshold tuned for `target`, and
    accuracy against coverage. `n` is the number of tasks measured on."""
    every = [*cells, *ensembles(material, cells)]
    return {
        "tuned_on": len(material.tune),
        "measured_on": len(material.test),
        "target": target,
        "classifier_accuracy": share(task.candidates[0] == task.truth for task in material.test),
        "truth_among_candidates": share(task.truth in task.candidates for task in material.test),
        "cells": [
            {
                "validator": cell.validator,
                "question": cell.question,
                **cell.setting,
                **measured(material, cell, target),
            }
            for cell in every
        ],
        "paired": paired(material, every, target),
    }


def paired(material: Material, every: Sequence[Cell], target: float) -> list[dict[str, Any]]:
    """How much more of the tasks the ensembles accept and get right than the validator that does so
    most on *tune*, and the fitted one than the mean: on the same tasks, with an interval from
    drawing tasks again."""
    found = []
    for question in ("multiclass", "binary"):
        asked = {
            cell.validator: cell
            for cell in every
            if cell.question == question and (cell.validator == FITTED or cell.is_plain)
        }
        single = max(
            (name for name in asked if name not in (MEAN, FITTED)),
            key=lambda name: _gains(asked[name], material, material.tune, target).mean(),
        )
        for name, other in ((MEAN, single), (FITTED, single), (FITTED, MEAN)):
            one, two = (
                _gains(asked[which], material, material.test, target) for which in (name, other)
            )
            differences = one - two
            rng = np.random.default_rng(0)
            drawn = rng.choice(differences, (REDRAWN, len(differences))).mean(axis=1)
            low, high = np.quantile(drawn, [0.025, 0.975])
            found.append(
                {
                    "question": question,
                    "validator": name,
                    "than": other,
                    "difference": round(float(differences.mean()), 4),
                    "low": round(float(low), 4),
                    "high": round(float(high), 4),
                }
            )
    return found


def _gains(
    cell: Cell, material: Material, tasks: Sequence[Task], target: float
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """By task: 1 where it is accepted, at the threshold tuned for `target`, and right."""
    tune = _judged(cell, material.tune)
    tuned = loosest_threshold(tune.confidence, tune.right, target=target)
    least = 2.0 if tuned is None else tuned.threshold
    gains = []
    for task in tasks:
        own = _judged(cell, [task])
        gains.append(float(len(own.right) > 0 and own.confidence[0] >= least and own.right[0]))
    return np.array(gains)


def ensembles(material: Material, cells: Sequence[Cell]) -> list[Cell]:
    """The mean of all plain cells (the paper's), and a pool with weights fitted on *tune*."""
    found = []
    for question in ("multiclass", "binary"):
        members = [cell for cell in cells if cell.is_plain and cell.question == question]
        common = set.intersection(*(set(cell.answers) for cell in members))
        said = {task: [cell.answers[task].probabilities for cell in members] for task in common}
        rows = [
            Row(said[task.number], frozenset({task.right(members[0].question)}))
            for task in material.tune
            if task.number in common
        ]
        weights = fit_pool(rows, LINEAR).shares
        pooled = {
            MEAN: {task: mean_pool(verdicts) for task, verdicts in said.items()},
            FITTED: {task: linear_pool(verdicts, weights) for task, verdicts in said.items()},
        }
        for name, answers in pooled.items():
            found.append(
                Cell(
                    name,
                    members[0].question,
                    {"weights": [round(one, 3) for one in weights]} if name == FITTED else {},
                    {task: Answer(pool, 1.0, 0) for task, pool in answers.items()},
                )
            )
    return found


def measured(material: Material, cell: Cell, target: float) -> dict[str, Any]:
    tune, test = (_judged(cell, tasks) for tasks in (material.tune, material.test))
    tuned = loosest_threshold(tune.confidence, tune.right, target=target)
    threshold = None if tuned is None else tuned.threshold
    accepts = test.confidence >= (2.0 if threshold is None else threshold)
    figures: dict[str, Any] = {
        "n": len(test.right),
        "without_answer": len(material.test) - len(test.right),
        "best_option_right": share(test.best_right),
        "threshold": None if threshold is None else round(threshold, 4),
        **_acceptance(accepts, test),
        "curve": curve(test),
        "median_mass": round(float(np.median([one.mass for one in cell.answers.values()])), 3),
    }
    if cell.question == "binary":
        figures["yes_and_no"] = yes_and_no(cell, material.test, accepts)
    return figures


@dataclass(frozen=True)
class _Scores:
    """Arrays over tasks: confidence in the best label (or the surer of yes and no), was accepting
    it right, and was the likeliest option right, `unk` among them."""

    confidence: np.ndarray[Any, np.dtype[np.float64]]
    right: np.ndarray[Any, np.dtype[np.bool_]]
    best_right: np.ndarray[Any, np.dtype[np.bool_]]


def _judged(cell: Cell, tasks: Sequence[Task]) -> _Scores:
    confidence, right, best_right = [], [], []
    for task in tasks:
        if task.number not in cell.answers:
            continue
        said = cell.answers[task.number].probabilities
        wanted = task.right(cell.question)
        labels = {option: value for option, value in said.items() if option != UNK}
        first = max(labels, key=lambda option: labels[option])
        confidence.append(min(labels[first], 1.0))
        right.append(first == wanted)
        best_right.append(max(said, key=lambda option: said[option]) == wanted)
    return _Scores(np.array(confidence), np.array(right, bool), np.array(best_right, bool))


def _acceptance(accepts: Any, scores: _Scores) -> dict[str, Any]:
    pairs = zip(accepts, scores.right, strict=True)
    found = acceptance_metrics(Judged(bool(accepted), bool(right)) for accepted, right in pairs)
    return {name: _share_of(value) for name, value in asdict(found).items()}


def _share_of(value: Mapping[str, Any]) -> dict[str, Any]:
    rounded = {
        key: None if value[key] is None else round(value[key], 4)
        for key in ("value", "low", "high")
    }
    return {**rounded, "n": value["n"]}


def share(values: Iterable[Any]) -> dict[str, Any]:
    """A share with its Wilson interval."""
    judged = [Judged(True, bool(value)) for value in values]
    return _share_of(asdict(acceptance_metrics(judged).accuracy))


def curve(scores: _Scores) -> list[dict[str, float]]:
    """Accuracy of the surest share of tasks (figure 6.4): ties are taken together."""
    ranked = np.sort(scores.confidence)[::-1]
    found: dict[float, dict[str, float]] = {}
    for coverage in CURVE[1:]:
        least = ranked[min(int(np.ceil(coverage * len(ranked))), len(ranked)) - 1]
        accepts = scores.confidence >= least
        reached = round(float(accepts.mean()), 4)
        found[reached] = {
            "threshold": round(float(least), 4),
            "coverage": reached,
            "accuracy": round(float(scores.right[accepts].mean()), 4),
            "total_accuracy": round(float((scores.right & accepts).mean()), 4),
        }
    return list(found.values())


def yes_and_no(cell: Cell, tasks: Sequence[Task], accepts: Any) -> dict[str, Any]:
    """Precision and recall of both answers, and macro F1, over the answered tasks (table 6.10)."""
    known = [task for task in tasks if task.number in cell.answers]
    pairs = []
    for task, accepted in zip(known, accepts, strict=True):
        if accepted:
            said = cell.answers[task.number].probabilities
            best = max(said, key=lambda option: said[option])
            expert = Said(LABEL, task.right("binary"))
            pairs.append(Pair(task.number, expert, Said(LABEL, best)))
    if not pairs:
        return {}
    found = by_label(pairs)
    result: dict[str, Any] = {
        str(one.label): {
            "precision": _share_of(asdict(one.precision)),
            "recall": _share_of(asdict(one.recall)),
        }
        for one in found.labels
    }
    macro = found.macro_f1.value
    return result | {"macro_f1": None if macro is None else round(macro, 4)}


def figure_of(material: Material, cells: Sequence[Cell]) -> str:
    """Accuracy against coverage of the multiclass question, a line for each validator and for the
    mean; lines are told apart by their dashes as well as by their names."""
    lines = [
        cell
        for cell in [*cells, *ensembles(material, cells)]
        if cell.question == "multiclass" and (cell.is_plain if cell.validator != FITTED else False)
    ]
    right, bottom = WIDTH - 170, HEIGHT - 40

    def x(coverage: float) -> float:
        return round(LEFT + coverage * (right - LEFT), 1)

    def y(accuracy: float) -> float:
        return round(bottom - accuracy * (bottom - TOP), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="sans-serif" font-size="12">',
        "<title>Accuracy of the accepted against coverage</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts += [
            f'<path d="M{LEFT} {y(tick)}H{right}" stroke="#ddd"/>',
            f'<text x="{LEFT - 6}" y="{y(tick) + 4}" text-anchor="end">{tick:.0%}</text>',
            f'<text x="{x(tick)}" y="{bottom + 18}" text-anchor="middle">{tick:.0%}</text>',
        ]
    for number, cell in enumerate(lines):
        points = curve(_judged(cell, material.test))
        path = " ".join(f"{x(one['coverage'])},{y(one['accuracy'])}" for one in points)
        dash = DASHES[number % len(DASHES)]
        at = TOP + 16 + 20 * number
        parts += [
            f'<polyline points="{path}" fill="none" stroke="#1b4965" stroke-width="2" '
            f'stroke-dasharray="{dash}"/>',
            f'<path d="M{right + 12} {at}h28" stroke="#1b4965" stroke-width="2" '
            f'stroke-dasharray="{dash}"/>',
            f'<text x="{right + 46}" y="{at + 4}">{cell.validator}</text>',
        ]
    parts += [
        f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 6}" text-anchor="middle">coverage</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
