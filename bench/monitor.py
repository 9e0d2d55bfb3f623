"""Does the monitor keep quiet while the promise holds, and how soon does it see that it does not?

`python -m bench.monitor --json` simulates streams of audited tasks, looks at every one after each
day, and counts alarms. In the quiet streams the true error is just what was promised: the hardest
case, every alarm is false. In the others it is 2 % at first and then, from the day named on,
drifts in one of three ways: a *jump* to three times the promise, a *slope* that reaches the same
over 60 days, and a *share* of tasks of a new kind, a tenth of all, that are always wrong. *delay*
is counted in audited tasks and in days from the onset; *weighted* streams are audited with unequal
probabilities (doubtful tasks always, the others one in four).

*naive* is the exact test (Clopper-Pearson, one side, delta) done again every day, as a dashboard
with an interval on it invites one to do.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, binomtest

from bench.common import report, ticker
from labeling.statistics.monitor import alarm_capital

Floats = NDArray[np.float64]
GOOD = 0.02
LEAST = 0.25


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.monitor", description=__doc__)
    parser.add_argument("--streams", type=int, default=2000, help="simulated streams of each kind")
    parser.add_argument("--days", type=int, default=365, help="length of a stream")
    parser.add_argument("--audits", type=int, default=10, help="audited tasks a day")
    parser.add_argument("--onset", type=int, default=60, help="day on which drift begins")
    parser.add_argument("--promised", type=float, default=0.05, help="share of errors promised")
    parser.add_argument("--delta", type=float, default=0.1, help="chance of a false alarm, ever")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    report(measure(options), as_json=options.json)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    rng = np.random.default_rng(options.seed)
    quiet = np.full(options.days, options.promised)
    result: dict[str, Any] = {
        "quiet": _alarms(quiet, options, rng),
        "quiet_weighted": _weighted(options, rng),
    }
    for name, errors in _drifts(options).items():
        result[name] = _delays(name, errors, options, rng)
    return {
        **result,
        "streams": options.streams,
        "days": options.days,
        "audits_a_day": options.audits,
        "promised": options.promised,
        "delta": options.delta,
    }


def _drifts(options: argparse.Namespace) -> dict[str, Floats]:
    """The true error of each day."""
    day = np.arange(options.days, dtype=np.float64)
    after, most = day >= options.onset, 3 * options.promised
    slope = GOOD + (most - GOOD) * np.clip((day - options.onset) / 60, 0, 1)
    return {
        "jump": np.where(after, most, GOOD),
        "slope": slope,
        "share": np.where(after, 0.9 * GOOD + 0.1, GOOD),
    }


def _drawn(errors: Floats, options: argparse.Namespace, rng: np.random.Generator) -> Floats:
    chance = np.repeat(errors, options.audits)
    return (rng.random(len(chance)) < chance).astype(np.float64)


def _first_day(reached: NDArray[np.bool_]) -> int | None:
    at = np.flatnonzero(reached)
    return int(at[0]) if len(at) else None


def _rate(count: int, n: int) -> dict[str, Any]:
    interval = binomtest(count, n).proportion_ci(0.95, method="exact")
    return {"share": count / n, "interval": [float(interval.low), float(interval.high)]}


def _alarms(
    errors: Floats, options: argparse.Namespace, rng: np.random.Generator
) -> dict[str, Any]:
    goal = -np.log(options.delta)
    ours = naive = 0
    tick = ticker("quiet")
    n = np.arange(1, options.days + 1) * options.audits
    for number in range(options.streams):
        wrong = _drawn(errors, options, rng)
        capital = alarm_capital(wrong, np.ones(len(wrong)), options.promised)
        ours += bool((capital[n] >= goal).any())
        seen = np.cumsum(wrong)[n - 1]
        naive += bool((binom.sf(seen - 1, n, options.promised) <= options.delta).any())
        tick(number + 1, options.streams)
    return {
        "false_alarms": _rate(ours, options.streams),
        "naive_false_alarms": _rate(naive, options.streams),
    }


def _weighted(options: argparse.Namespace, rng: np.random.Generator) -> dict[str, Any]:
    """A fifth of the tasks is doubtful and wrong far more often; on the whole just the promise."""
    goal = -np.log(options.delta)
    alarms = 0
    often, seldom = 4 * options.promised, options.promised / 4
    tick = ticker("quiet, weighted")
    for number in range(options.streams):
        doubtful = rng.random(options.days * options.audits) < 0.2
        wrong = (rng.random(len(doubtful)) < np.where(doubtful, often, seldom)).astype(np.float64)
        chance = np.where(doubtful, 1.0, LEAST)
        seen = rng.random(len(doubtful)) < chance
        capital = alarm_capital(wrong[seen], LEAST / chance[seen], options.promised)
        # Looking after every task is harder than looking every day.
        alarms += bool(capital.max() >= goal)
        tick(number + 1, options.streams)
    return {"false_alarms": _rate(alarms, options.streams)}


def _delays(
    name: str, errors: Floats, options: argparse.Namespace, rng: np.random.Generator
) -> dict[str, Any]:
    goal = -np.log(options.delta)
    days: list[float] = []
    early = missed = 0
    tick = ticker(name)
    n = np.arange(1, options.days + 1) * options.audits
    # The slope breaks the promise only later than it begins.
    broken = int(np.flatnonzero(errors > options.promised)[0])
    for number in range(options.streams):
        wrong = _drawn(errors, options, rng)
        day = _first_day(alarm_capital(wrong, np.ones(len(wrong)), options.promised)[n] >= goal)
        early += day is not None and day < broken
        missed += day is None
        days.append(np.inf if day is None else day + 1 - broken)
        tick(number + 1, options.streams)
    found = np.quantile(days, [0.1, 0.5, 0.9], method="inverted_cdf")
    shown = [None if np.isinf(value) else float(value) for value in found]
    return {
        "early": _rate(early, options.streams),
        "missed": _rate(missed, options.streams),
        "delay_days": dict(zip(("10%", "50%", "90%"), shown, strict=True)),
        "delay_audits": {
            key: None if value is None else value * options.audits
            for key, value in zip(("10%", "50%", "90%"), shown, strict=True)
        },
        "promise_broken_on_day": broken,
    }


if __name__ == "__main__":
    main()
