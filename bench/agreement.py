"""How far several workers agree, and what label their answers come to.

`python -m bench.agreement --labels labels.csv --gold gold.csv --json`: labels.csv has the columns
task, worker, label, and gold.csv task, gold. A tie of the majority counts as one over the number of
tied labels. A worker who labeled a task twice counts once, with the first label. Intervals are of
95 %, by bootstrap over tasks (Wilson's where each task is right or wrong); without gold labels the
accuracies are null.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.common import report, say
from bench.label_files import read_columns, read_ratings
from labeling.statistics.aggregation import (
    Consensus,
    confusion_pairs,
    dawid_skene,
    majority,
    majority_share,
)
from labeling.statistics.agreement import COEFFICIENTS, agreement, cohen_by_pair, fleiss_kappa
from labeling.statistics.bootstrap import over_tasks, ratio
from labeling.statistics.intervals import wilson
from labeling.statistics.ratings import Ratings

# So many common tasks make a kappa of two workers worth having.
COMMON = 20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.agreement", description=__doc__)
    parser.add_argument("--labels", type=Path, required=True, help="CSV: task, worker, label")
    parser.add_argument("--gold", type=Path, help="CSV: task, gold")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    rows = read_columns(options.gold, "task", "gold") if options.gold else []
    gold = {row[0]: row[1] for row in rows}
    report(measure(read_ratings(options.labels), gold), as_json=options.json)


def measure(ratings: Ratings, gold: dict[str, str]) -> dict[str, Any]:
    """Accuracies against the gold labels, coefficients, and what stands behind them."""
    result: dict[str, Any] = {}
    intervals: dict[str, Any] = {}
    ways = {
        "dawid_skene": dawid_skene(ratings),
        "one_coin": dawid_skene(ratings, one_coin=True),
    }
    scores = {"majority": _majority(ratings, gold)}
    scores |= {name: _consensus(found, ratings, gold) for name, found in ways.items()}
    for name, values in scores.items():
        result[f"{name}_accuracy"] = float(values.mean()) if len(values) else None
        intervals[f"{name}_accuracy"] = _interval(values)
    for name, coefficient in COEFFICIENTS.items():
        say(f"{name} ...")
        found = agreement(coefficient, ratings)
        result[name] = found.value
        intervals[name] = [found.low, found.high]
    result["fleiss_kappa_equal_counts"] = _equal_counts(ratings)
    result["cohen_kappa"] = _cohen(ratings)
    result["intervals"] = intervals
    result["aggregation"] = {name: _convergence(found) for name, found in ways.items()}
    result["confused"] = [
        {"gold": one.true, "said": one.said, "times": one.times, "share": one.share.value}
        for one in confusion_pairs(_against_gold(ratings, gold), most=10)
    ]
    result["repeats"] = asdict(ratings.repeats)
    result["tasks"], result["workers"] = len(ratings.tasks), len(ratings.workers)
    result["labels"], result["gold_tasks"] = len(ratings.task), len(scores["majority"])
    return result


def _with_gold(ratings: Ratings, gold: dict[str, str]) -> list[int]:
    return [place for place, task in enumerate(ratings.tasks) if task in gold]


def _majority(ratings: Ratings, gold: dict[str, str]) -> NDArray[np.float64]:
    votes = majority(ratings.counts())
    tasks = _with_gold(ratings, gold)
    chosen = [[ratings.labels[label] for label in votes[task]] for task in tasks]
    return np.array(majority_share(chosen, [gold[str(ratings.tasks[task])] for task in tasks]))


def _consensus(found: Consensus, ratings: Ratings, gold: dict[str, str]) -> NDArray[np.float64]:
    best = found.best()
    return np.array(
        [
            float(ratings.labels[best[task]] == gold[str(ratings.tasks[task])])
            for task in _with_gold(ratings, gold)
        ]
    )


def _interval(values: NDArray[np.float64]) -> list[float | None]:
    """Wilson where every task is right or wrong, bootstrap where ties count in part."""
    if set(values.tolist()) <= {0.0, 1.0}:
        share = wilson(int(values.sum()), len(values))
        return [share.low, share.high]
    found = over_tasks(lambda weights: ratio(weights @ values, weights.sum(axis=1)), len(values))
    return [found.low, found.high]


def _equal_counts(ratings: Ratings) -> dict[str, Any]:
    """Fleiss' own definition: only the tasks with the commonest number of labels."""
    given = Counter(int(n) for n in ratings.counts().sum(axis=1))
    each = max(given, key=lambda n: (given[n], n))
    kept = {ratings.tasks[task] for task in np.flatnonzero(ratings.counts().sum(axis=1) == each)}
    found = agreement(fleiss_kappa, Ratings.of(row for row in ratings.rows() if row[0] in kept))
    return {"value": found.value, "labels_each": each, "tasks": len(kept)}


def _cohen(ratings: Ratings) -> dict[str, Any]:
    pairs = cohen_by_pair(ratings, fewest=COMMON)
    values = [pair.kappa.value for pair in pairs if pair.kappa.value is not None]
    return {
        "pairs": len(values),
        "common_tasks_at_least": COMMON,
        "median": float(np.median(values)) if values else None,
    }


def _convergence(found: Consensus) -> dict[str, Any]:
    return {
        "rounds": found.rounds,
        "converged": found.converged,
        "reliability": {
            "lowest": float(found.reliability.min()),
            "median": float(np.median(found.reliability)),
            "highest": float(found.reliability.max()),
        },
    }


def _against_gold(ratings: Ratings, gold: dict[str, str]) -> list[tuple[str, str]]:
    return [
        (gold[str(task)], str(label)) for task, _worker, label in ratings.rows() if task in gold
    ]


if __name__ == "__main__":
    main()
