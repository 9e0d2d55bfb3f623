"""May these LLMs replace these people? The alternative annotator test (Calderon et al. 2025).

`python -m bench.alt_test --labels labels.csv --llm llm_labels.csv --epsilon 0.1 --json`: labels.csv
has the columns task, worker, label, and llm_labels.csv task, model, label. `epsilon` is how much
worse a model may be: 0.2 where people are experts, 0.15 where they are skilled, 0.1 for a crowd.
A worker or model that labeled a task twice counts once, with the first label.
"""

from __future__ import annotations

import argparse
from collections.abc import Hashable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.common import report, say
from bench.label_files import read_ratings
from labeling.statistics.alt_test import TooFewPeople, alt_test, plan
from labeling.statistics.ratings import Ratings

CROWD = 0.1
Labels = dict[Hashable, dict[Hashable, Hashable]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.alt_test", description=__doc__)
    parser.add_argument("--labels", type=Path, required=True, help="CSV: task, worker, label")
    parser.add_argument("--llm", type=Path, required=True, help="CSV: task, model, label")
    parser.add_argument("--epsilon", type=float, default=CROWD, help="from 0 to below 1")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if not 0 <= options.epsilon < 1:
        raise SystemExit("--epsilon is at least 0 and below 1.")
    people, models = read_ratings(options.labels), read_ratings(options.llm, "model")
    report(measure(people, models, options.epsilon), as_json=options.json)


def measure(people: Ratings, models: Ratings, epsilon: float) -> dict[str, Any]:
    """Model to its winning rate and average advantage, and what stands behind them."""
    theirs = _by_worker(people)
    result: dict[str, Any] = {}
    for model, labels in _by_worker(models).items():
        say(f"{model} ...")
        try:
            found = alt_test(theirs, labels, epsilon=epsilon)
        except TooFewPeople as error:
            raise SystemExit(f"{model}: {error}") from error
        told = plan(found, epsilon=epsilon)
        result[str(model)] = {
            "winning_rate": found.winning_rate,
            "average_advantage": found.average_advantage,
            "passes": found.passes,
            "epsilon": epsilon,
            "plan": asdict(told),
            "people": [asdict(row) for row in found.people],
            "left_out": [str(person) for person in found.left_out],
        }
    return result


def _by_worker(ratings: Ratings) -> Labels:
    labels: Labels = {}
    for task, worker, label in ratings.rows():
        labels.setdefault(worker, {})[task] = label
    return labels


if __name__ == "__main__":
    main()
