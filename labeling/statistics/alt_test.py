"""May a validator replace people? The alternative annotator test.

Calderon, Reichart and Dror 2025 (ACL, "The Alternative Annotator Test for LLM-as-a-Judge"): leave
one person out, and ask whether the validator agrees with the others about as well as that person
does. `epsilon` is how much worse it may be, for being cheaper: the authors advise 0.2 where people
are experts, 0.15 where they are skilled, 0.1 for a crowd.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm
from scipy.stats import t as student

Floats = NDArray[np.float64]

# From here on the mean is near enough to normal for a t-test, as the authors advise.
T_TEST_FROM = 30
# Fewer tasks cannot decide at any epsilon in use, and each person tested costs the others power.
FEWEST = 10
# Of the error that an exact test may make, this much pays for narrowing the unknown share of ties.
_NARROWING = 0.001
_GRID = 200


class TooFewPeople(ValueError):
    """Nobody, or only one person, has enough tasks in common with the validator and others."""


@dataclass(frozen=True)
class Against:
    """The validator against one person, over `n` tasks that others labeled too.

    `advantage` is the share of tasks on which the validator agrees with the others at least as
    well, `mean` that of the person minus that of the validator (below `epsilon` is good).
    `better`: the test rejects, after correction for several people, that the validator is worse by
    epsilon. `exact`: the p-value comes from the exact test for few tasks.
    """

    person: Hashable
    n: int
    advantage: float
    mean: float
    p: float
    exact: bool
    better: bool


@dataclass(frozen=True)
class AltTest:
    """`winning_rate`: the share of people against whom the validator holds; half is enough
    (`passes`). `average_advantage`: mean over people. `left_out`: people with too few tasks."""

    winning_rate: float
    average_advantage: float
    passes: bool
    people: tuple[Against, ...]
    left_out: tuple[Hashable, ...]


def alt_test(
    people: Mapping[Hashable, Mapping[Hashable, Hashable]],
    validator: Mapping[Hashable, Hashable],
    *,
    epsilon: float,
    q: float = 0.05,
    fewest: int = FEWEST,
) -> AltTest:
    """The test of one validator against `people`: person to task to label.

    Tasks count that the validator and at least two people labeled. Raises TooFewPeople unless two
    people have `fewest` such tasks, ValueError for an epsilon or q outside of [0, 1).
    """
    if not 0 <= epsilon < 1 or not 0 < q < 1:
        raise ValueError(f"Epsilon {epsilon} and q {q} lie between 0 and 1.")
    differences, left_out = _differences(people, validator, fewest)
    if len(differences) < 2:
        raise TooFewPeople(
            f"Two people need {fewest} tasks each that the validator and another person labeled."
        )
    tests = {person: p_value(d, epsilon) for person, (d, _wins) in differences.items()}
    better = benjamini_yekutieli([p for p, _exact in tests.values()], q=q)
    rows = tuple(
        Against(
            person,
            len(d),
            float(wins.mean()),
            float(d.mean()),
            *tests[person],
            won,
        )
        for (person, (d, wins)), won in zip(differences.items(), better, strict=True)
    )
    winning = sum(row.better for row in rows) / len(rows)
    advantage = float(np.mean([row.advantage for row in rows]))
    return AltTest(winning, advantage, winning >= 0.5, rows, left_out)


def _differences(
    people: Mapping[Hashable, Mapping[Hashable, Hashable]],
    validator: Mapping[Hashable, Hashable],
    fewest: int,
) -> tuple[dict[Hashable, tuple[Floats, Floats]], tuple[Hashable, ...]]:
    """For each person: who agrees better with the others (1 the person, -1 the validator, 0 alike)
    on each common task, and whether the validator does at least as well."""
    by_task: dict[Hashable, dict[Hashable, Hashable]] = {}
    for person, labels in people.items():
        for task, label in labels.items():
            if task in validator:
                by_task.setdefault(task, {})[person] = label
    found: dict[Hashable, tuple[Floats, Floats]] = {}
    left_out = []
    for person, labels in people.items():
        scores = []
        for task, label in labels.items():
            others = [said for who, said in by_task.get(task, {}).items() if who != person]
            if others:
                scores.append((others.count(label), others.count(validator[task])))
        if len(scores) < fewest:
            left_out.append(person)
            continue
        own, ours = np.array(scores, dtype=np.float64).T
        found[person] = (np.sign(own - ours), np.where(ours >= own, 1.0, 0.0))
    return found, tuple(left_out)


def p_value(differences: Floats, epsilon: float) -> tuple[float, bool]:
    """One-sided p-value of "the mean is epsilon or more", and whether it is exact.

    `differences` are 1, 0 or -1. With 30 or more that are not all alike, a t-test; else exact.
    """
    n, mean = len(differences), float(differences.mean())
    deviation = float(differences.std(ddof=1)) if n > 1 else 0.0
    if n < T_TEST_FROM or deviation == 0.0:
        return exact_p_value(differences, epsilon), True
    return float(student.cdf((mean - epsilon) / (deviation / math.sqrt(n)), n - 1)), False


def exact_p_value(differences: Floats, epsilon: float) -> float:
    """The largest probability of a sum this low under "P(1) - P(-1) is epsilon or more".

    A difference is 1, -1 or 0, so its law has two unknowns; the hypothesis fixes one at its edge
    and the other, how often it is not 0, is searched. The search keeps to the Clopper-Pearson
    bound of that share, whose chance of missing is added (Berger and Boos 1994). Flipping signs
    around epsilon, the usual permutation test, is not exact here: unless epsilon is 0 the law of
    the differences is not symmetric around it.
    """
    return _exact(
        int(differences.sum()), int(np.count_nonzero(differences)), len(differences), epsilon
    )


@lru_cache(maxsize=4096)
def _exact(total: int, moved: int, n: int, epsilon: float) -> float:
    # Every sum is at most n: such a sum says nothing against the hypothesis.
    if total >= n:
        return 1.0
    upper = 1.0 if moved == n else float(beta.ppf(1 - _NARROWING, moved + 1, n - moved))
    grid = np.linspace(epsilon, max(upper, epsilon), _GRID + 1)
    worst = max(_sum_at_most(total, n, (share + epsilon) / 2, share) for share in grid)
    return min(1.0, worst + _NARROWING)


def _sum_at_most(total: int, n: int, up: float, moved: float) -> float:
    """P(sum of n <= total) where each is 1 with `up`, -1 with `moved - up`, else 0."""
    step = np.array([moved - up, 1 - moved, up]).clip(0.0, 1.0)
    law = np.ones(1)
    for bit in bin(n)[2:]:
        law = np.convolve(law, law)
        if bit == "1":
            law = np.convolve(law, step)
    return float(law[: total + n + 1].sum())


def benjamini_yekutieli(p_values: Sequence[float], *, q: float) -> list[bool]:
    """Which hypotheses to reject so that at most a share q of them is rejected wrongly, on average
    and however the tests depend on each other (Benjamini and Yekutieli 2001)."""
    m = len(p_values)
    order = np.argsort(np.array(p_values), kind="stable")
    bounds = thresholds(m, q=q)
    passing = np.flatnonzero(np.array(p_values)[order] <= bounds)
    rejected = np.zeros(m, dtype=bool)
    if len(passing):
        rejected[order[: passing[-1] + 1]] = True
    return rejected.tolist()


def thresholds(m: int, *, q: float) -> Floats:
    """The bounds of Benjamini and Yekutieli for the smallest p-value, the second, ..."""
    ranks = np.arange(1, m + 1, dtype=np.float64)
    bounds: Floats = ranks / m * q / (1 / ranks).sum()
    return bounds


@dataclass(frozen=True)
class Plan:
    """What it would take to decide.

    `decided`: the test passes, or half of the people are shown to be better by epsilon or more;
    nothing more is needed then. Else `more_each` labels of each of `people` persons would decide
    with probability `power` if what was seen so far is how things are, and `likely` says which
    way. None where what was seen lies on epsilon itself: no number of labels will tell.
    """

    decided: bool
    likely: bool | None
    people: int
    more_each: int | None
    power: float


def plan(test: AltTest, *, epsilon: float, q: float = 0.05, power: float = 0.8) -> Plan:
    """How many more labels would decide the test, for or against.

    Half of the people must be won at the bound for that rank, so each is planned at it: the number
    of tasks at which a t-test reaches `power` for the mean and the spread seen so far.
    """
    m = len(test.people)
    half = math.ceil(m / 2)
    level = float(thresholds(m, q=q)[half - 1])
    lost = benjamini_yekutieli([_p_of_loss(row, epsilon) for row in test.people], q=q)
    # It cannot pass any more when fewer than half of the people could still be won.
    if test.passes or m - sum(lost) < half:
        return Plan(True, test.passes, 0, 0, power)
    needed_for = _needed(test, epsilon, level, power, sign=1)[half - 1]
    enough_against = m - half + 1
    needed_against = _needed(test, epsilon, level, power, sign=-1)[enough_against - 1]
    best = min(needed_for, needed_against)
    if not math.isfinite(best):
        return Plan(False, None, m, None, power)
    likely = needed_for <= needed_against
    return Plan(False, likely, half if likely else enough_against, int(best), power)


def _spread(row: Against) -> float:
    """Standard deviation of a person's differences, from their mean and the validator's wins."""
    # wins = P(-1) + P(0), so P(1) = 1 - wins and P(-1) = P(1) - mean.
    ups = 1 - row.advantage
    moved = min(max(2 * ups - row.mean, 0.0), 1.0)
    # Not a single difference in a few tasks does not mean that there never will be one.
    moved = max(moved, 1 / (row.n + 1))
    return math.sqrt(max(moved - row.mean**2, 1 / (row.n + 1) ** 2))


def _p_of_loss(row: Against, epsilon: float) -> float:
    """One-sided p-value of "the mean is epsilon or less", by the t-test."""
    if row.n < 2:
        return 1.0
    statistic = (row.mean - epsilon) / (_spread(row) / math.sqrt(row.n))
    return float(student.sf(statistic, row.n - 1))


def _needed(test: AltTest, epsilon: float, level: float, power: float, *, sign: int) -> list[float]:
    """More tasks that each person would need to be decided, the fewest first; `sign` 1 for the
    validator, -1 against it; infinite for people who point the other way."""
    found = []
    for row in test.people:
        gap = sign * (epsilon - row.mean)
        if sign == 1 and row.better:
            found.append(0.0)
        elif gap <= 0:
            found.append(math.inf)
        else:
            steps = norm.isf(level) + norm.ppf(power)
            # Half of the squared quantile is what the t distribution costs over the normal one.
            size = (steps * _spread(row) / gap) ** 2 + norm.isf(level) ** 2 / 2
            found.append(max(1.0, math.ceil(max(size, T_TEST_FROM)) - row.n))
    return sorted(found)
