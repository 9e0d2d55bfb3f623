"""The tables of docs/benchmarks/lrsl.md from stored cells of `bench.lrsl`.

`python -m bench.lrsl_tables FOLDER` reads every JSON file of FOLDER, one cell each, and prints
markdown: means over seeds, with 95 % t-intervals of the gain over the classifier where there are
several.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

WAYS = (
    ("origin", "classifier alone"),
    ("paper", "paper (eq. 10)"),
    ("released", "released (square)"),
    ("released_snap", "released (snap, cube)"),
    ("similarity", "similarity alone"),
    ("ours", "ours"),
    ("ours_all", "ours, easy tasks too"),
)
TOP = ("1", "2", "3", "5", "10")
Cells = list[dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.lrsl_tables", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with results of bench.lrsl")
    options = parser.parse_args()
    for (data, classifier, semantic_map), cells in sorted(groups_in(options.folder).items()):
        print("\n".join(table(data, classifier, semantic_map, cells)), end="\n\n")


def groups_in(folder: Path) -> dict[tuple[str, str, str], Cells]:
    """The cells of a folder by data set, classifier and map, each in the order of the seeds."""
    groups: dict[tuple[str, str, str], Cells] = defaultdict(list)
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_text())
        cell = result["cell"]
        groups[cell["data"], cell["classifier"], cell["semantic_map"]].append(result)
    return groups


def table(data: str, classifier: str, semantic_map: str, cells: Cells) -> list[str]:
    """The lines of one table: a row for each way of reranking."""
    seeds = ", ".join(str(cell["cell"]["seed"]) for cell in cells)
    shares = 100 * mean([cell["hard_share"] for cell in cells])
    exponents = cells[0]["pool"]["exponents"]
    lines = [
        f"### {data}, {classifier} classifier, map: {semantic_map}",
        "",
        f"Seeds {seeds}; {cells[0]['rows']['fit']} rows to train on, "
        f"{cells[0]['rows']['validation']} to validate, {cells[0]['rows']['test']} to test; "
        f"{shares:.1f} % hard; exponents of the first seed: "
        + ", ".join(f"{name} {weight:.2f}" for name, weight in exponents.items())
        + ".",
        "",
        "| | accuracy | gain | hard | easy | NLL | calibration error | McNemar: gained, lost, p |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    lines += [_row(name, words, cells) for name, words in WAYS]
    top = {
        name: [mean([cell[name]["top_k_accuracy"].get(k, 1.0) for cell in cells]) for k in TOP]
        for name in ("origin", "ours")
    }
    lines += ["", "| top-k accuracy | " + " | ".join(TOP) + " |", "|---|" + "---:|" * len(TOP)]
    lines += [
        f"| {words} | " + " | ".join(f"{100 * value:.2f}" for value in top[name]) + " |"
        for name, words in (("origin", "classifier alone"), ("ours", "ours"))
    ]
    return lines


def _row(name: str, words: str, cells: Cells) -> str:
    gains = [100 * (cell[name]["accuracy"] - cell["origin"]["accuracy"]) for cell in cells]
    figures = [
        f"{100 * mean([cell[name]['accuracy'] for cell in cells]):.2f}",
        _with_interval(gains) if name != "origin" else "",
        _share(name, "hard_accuracy", cells),
        _share(name, "easy_accuracy", cells),
        f"{mean([cell[name]['nll'] for cell in cells]):.4f}",
        f"{100 * mean([cell[name]['calibration_error'] for cell in cells]):.2f}",
        "; ".join(_mcnemar(cell[name]["mcnemar"]) for cell in cells) if name != "origin" else "",
    ]
    return f"| {words} | " + " | ".join(figures) + " |"


def _share(name: str, key: str, cells: Cells) -> str:
    known = [cell[name][key] for cell in cells if cell[name][key] is not None]
    return f"{100 * mean(known):.1f}" if known else "–"


def _mcnemar(test: dict[str, Any]) -> str:
    return f"{test['gained']}, {test['lost']}, {test['p']:.1g}"


def _with_interval(values: Sequence[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:+.2f}"
    half = float(stats.t.ppf(0.975, len(values) - 1)) * float(np.std(values, ddof=1))
    half /= math.sqrt(len(values))
    return f"{mean(values):+.2f} ± {half:.2f}"


def mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


if __name__ == "__main__":
    main()
