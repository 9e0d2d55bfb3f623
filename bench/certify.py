"""Does an accepted label keep its promise? Ways to choose a threshold, against the true error.

`python -m bench.certify --train A.csv --test B.csv --alpha 0.05 --delta 0.1 --repeats 1000 --json`
pools both files and leaves out copies of normalised texts. Models are trained once, on a fixed
random part (`bench.certify_models`); the rest is the population P, of which everything is known.
Each repeat draws *tune* and *certify* rows from P with replacement and chooses a threshold. A
violation is a true error, on all of P, of what that threshold accepts above alpha; coverage is the
share of P that it accepts. A label `oos` is text that fits no label: accepting it is an error.

All ways get the same labeled rows. Ours needs *tune* for the sequence of thresholds and tests on
*certify*; the others use both parts for the choice. On the classifier's top probability: *tuned*
(the loosest threshold that looks good), *sgr* (Geifman and El-Yaniv 2017), *mapie* and
*mapie_fixed_sequence* (Learn then Test as in MAPIE, on its 100 default thresholds) and
*ours_top_probability*. *ours* tests the reranked label: by the correctness scorer, or, where that
does not rank better on *tune* by a paired test, by its probability. *ours_reranked* always takes
the probability, and *tuned_ours*, *sgr_ours* are the other ways on the scorer.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from bench.certify_models import Population, population, without_copies
from bench.common import read_rows, report, ticker
from labeling.statistics.certificates import (
    certify_conditional,
    threshold_grid,
    upper_bound,
)
from labeling.statistics.scorer import area_under_risk, ranks_better
from labeling.statistics.thresholds import loosest_threshold

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Draw = NDArray[np.int64]
Threshold = float | None

# The surest rows whose errors are listed, for reading by hand.
SURE = 0.2
LISTED = 40


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.certify", description=__doc__)
    parser.add_argument("--train", type=Path, required=True, help="CSV with text and category")
    parser.add_argument("--test", type=Path, required=True, help="CSV with text and category")
    parser.add_argument(
        "--alpha", type=float, nargs="+", default=[0.05], help="promised error, one or several"
    )
    parser.add_argument("--delta", type=float, default=0.1, help="chance that a promise may fail")
    parser.add_argument("--repeats", type=int, default=1000, help="draws from the population")
    parser.add_argument("--train-rows", type=int, default=6000, help="rows that train the models")
    parser.add_argument("--tune-rows", type=int, default=1000, help="rows of tune in a draw")
    parser.add_argument("--certify-rows", type=int, default=2000, help="rows of certify in a draw")
    parser.add_argument(
        "--map",
        choices=["tuned", "untuned"],
        default="tuned",
        help="semantic map of the reranker: fine-tuned, or the plain encoder (much quicker)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the fixed part and the draws")
    parser.add_argument("--cache", type=Path, default=Path("var/bench/certify"), help="folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    report(measure(options), as_json=options.json)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    rows = without_copies(read_rows(options.train) + read_rows(options.test))
    if len(rows) <= options.train_rows + 100:
        raise SystemExit(f"{len(rows)} rows leave no population after {options.train_rows}.")
    found = population(
        rows,
        train_rows=options.train_rows,
        tuned_map=options.map == "tuned",
        seed=options.seed,
        cache=options.cache,
    )
    by_alpha = _repeat(found, options)
    first = by_alpha[f"{options.alpha[0]:g}"]
    return {
        **first,
        **({"by_alpha": by_alpha} if len(by_alpha) > 1 else {}),
        "delta": options.delta,
        "repeats": options.repeats,
        "rows": {
            "trained_on": found.trained_on,
            "population": len(found.truth),
            "tune": options.tune_rows,
            "certify": options.certify_rows,
        },
        "accuracy": {name: float(1 - wrong.mean()) for name, wrong in found.wrong.items()},
        "area_under_risk": {
            name: area_under_risk(found.scores[name], ~found.wrong[name]) for name in found.scores
        },
        "best_possible": {
            f"{alpha:g}": {
                name: _best_possible(found.scores[name], found.wrong[name], alpha)
                for name in found.scores
            }
            for alpha in options.alpha
        },
        "sure_errors": _sure_errors(found),
        "seconds": found.seconds,
    }


@dataclass
class _Kept:
    """True error and coverage of each repeat, by way."""

    errors: dict[str, list[float]]
    coverage: dict[str, list[float]]


def _repeat(found: Population, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Every way at every alpha, on the same draws."""
    ways = {alpha: _ways(found, alpha, options.delta) for alpha in options.alpha}
    kept = {
        alpha: _Kept({name: [] for name in those}, {name: [] for name in those})
        for alpha, those in ways.items()
    }
    rng = np.random.default_rng(options.seed + 1)
    chosen = 0
    tick = ticker("repeats")
    for number in range(options.repeats):
        tune = rng.integers(0, len(found.truth), options.tune_rows)
        certify = rng.integers(0, len(found.truth), options.certify_rows)
        better = _scorer_wins(found, tune)
        chosen += better
        for alpha, those in ways.items():
            for name, (score, way) in those.items():
                by = ("scorer" if better else "reranked") if name == "ours" else score
                threshold = way(found.scores[by], found.wrong[by], tune, certify)
                share, error = _truth(found, by, threshold)
                kept[alpha].coverage[name].append(share)
                kept[alpha].errors[name].append(error)
        tick(number + 1, options.repeats)
    result = {}
    for alpha, one in kept.items():
        summary = {
            name: _summary(one.errors[name], one.coverage[name], alpha) for name in ways[alpha]
        }
        summary["ours"]["scorer_chosen"] = chosen / options.repeats
        result[f"{alpha:g}"] = summary
    return result


def _truth(found: Population, by: str, threshold: Threshold) -> tuple[float, float]:
    """Coverage and error on all of P."""
    if threshold is None:
        return 0.0, 0.0
    accepted = found.scores[by] >= threshold
    if not accepted.any():
        return 0.0, 0.0
    return float(accepted.mean()), float(found.wrong[by][accepted].mean())


def _scorer_wins(found: Population, tune: Draw) -> bool:
    """The product's rule: the scorer is used where it ranks the rows of *tune* better."""
    return ranks_better(
        found.scores["scorer"][tune],
        found.scores["reranked"][tune],
        ~found.wrong["scorer"][tune],
        resamples=200,
    ).first_wins


def _summary(errors: list[float], coverage: list[float], alpha: float) -> dict[str, Any]:
    broken = sum(error > alpha for error in errors)
    interval = binomtest(broken, len(errors)).proportion_ci(0.95, method="exact")
    return {
        "violation": broken / len(errors),
        "violation_interval": [float(interval.low), float(interval.high)],
        "coverage": float(np.mean(coverage)),
        "coverage_spread": [float(x) for x in np.quantile(coverage, [0.1, 0.5, 0.9])],
        "nothing_accepted": float(np.mean([share == 0 for share in coverage])),
    }


Way = Callable[[Floats, Flags, Draw, Draw], Threshold]


def _ways(found: Population, alpha: float, delta: float) -> dict[str, tuple[str, Way]]:
    """Name to the score that it is tried on and how it chooses."""

    def both(choose: Callable[[Floats, Flags], Threshold]) -> Way:
        def way(scores: Floats, wrong: Flags, tune: Draw, certify: Draw) -> Threshold:
            rows = np.concatenate([tune, certify])
            return choose(scores[rows], wrong[rows])

        return way

    def ours(scores: Floats, wrong: Flags, tune: Draw, certify: Draw) -> Threshold:
        grid = threshold_grid(
            scores[tune], wrong[tune], rows=len(certify), alpha=alpha, delta=delta
        )
        return certify_conditional(
            scores[certify], wrong[certify], grid=grid, alpha=alpha, delta=delta
        ).threshold

    def tuned(scores: Floats, wrong: Flags) -> Threshold:
        best = loosest_threshold(scores, ~wrong, target=1 - alpha)
        return best.threshold if best else None

    return {
        "tuned": ("classifier", both(tuned)),
        "sgr": ("classifier", both(lambda s, w: sgr(s, w, alpha, delta))),
        "mapie": ("classifier", both(lambda s, w: mapie(s, w, alpha, delta, "bonferroni_holm"))),
        "mapie_fixed_sequence": (
            "classifier",
            both(lambda s, w: mapie(s, w, alpha, delta, "fixed_sequence")),
        ),
        "ours_top_probability": ("classifier", ours),
        "ours_reranked": ("reranked", ours),
        "ours": ("scorer", ours),
        "tuned_ours": ("scorer", both(tuned)),
        "sgr_ours": ("scorer", both(lambda s, w: sgr(s, w, alpha, delta))),
    }


def sgr(scores: Floats, wrong: Flags, alpha: float, delta: float) -> Threshold:
    """Selection with guaranteed risk (Geifman and El-Yaniv 2017, algorithm 2): a binary search over
    the sorted scores; each of its steps spends an equal part of delta."""
    order = np.argsort(scores, kind="stable")
    ranked, errors = scores[order], np.cumsum(wrong[order][::-1])[::-1]
    steps = int(np.ceil(np.log2(len(scores))))
    low, high, best = 0, len(scores) - 1, None
    for _step in range(steps):
        middle = (low + high + 1) // 2
        # Rows of equal score are accepted together.
        first = int(np.searchsorted(ranked, ranked[middle], side="left"))
        n = len(scores) - first
        if upper_bound(int(errors[first]), n, delta / steps) < alpha:
            best = float(ranked[middle]) if best is None else min(best, float(ranked[middle]))
            high = middle
        else:
            low = middle
    return best


def mapie(scores: Floats, wrong: Flags, alpha: float, delta: float, method: str) -> Threshold:
    """Learn then Test as MAPIE does it: its 100 thresholds, its p-values, its corrections; the
    loosest threshold that it finds valid. The sequence goes from strict to loose."""
    from mapie.risk_control._base_controller import ltt_procedure

    grid = np.linspace(0, 0.99, 100)[::-1]
    accepted = np.array([(scores >= at).sum() for at in grid])
    errors = np.array([(wrong & (scores >= at)).sum() for at in grid])
    risk = np.where(accepted > 0, errors / np.maximum(accepted, 1), 1.0)
    with warnings.catch_warnings():
        # It warns that a sequence should fit the risk.
        warnings.simplefilter("ignore", UserWarning)
        valid, _p_values = ltt_procedure(
            risk[None, :],
            np.array([[alpha]]),
            delta,
            np.maximum(accepted, 1)[None, :],
            True,
            fwer_method=method,
        )
    return float(grid[max(valid[0])]) if len(valid[0]) else None


def _best_possible(scores: Floats, wrong: Flags, alpha: float) -> float:
    """The coverage of the loosest threshold that keeps alpha on P, for one who knows all of P."""
    best = loosest_threshold(scores, ~wrong, target=1 - alpha)
    return best.accepted / len(scores) if best else 0.0


def _sure_errors(found: Population) -> dict[str, Any]:
    """The errors among the surest fifth by the scorer: what no threshold takes out."""
    score, wrong = found.scores["scorer"], found.wrong["scorer"]
    order = np.argsort(-score, kind="stable")[: int(SURE * len(score))]
    rows = [int(row) for row in order if wrong[row]]
    return {
        "rows": len(order),
        "errors": len(rows),
        "listed": [
            {
                "text": found.texts[row],
                "data_set": found.truth[row],
                "machine": found.labels["scorer"][row],
            }
            for row in rows[:LISTED]
        ],
    }


if __name__ == "__main__":
    main()
