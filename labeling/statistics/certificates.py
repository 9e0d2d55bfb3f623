"""Thresholds with a promise: exact tests on rows that chose nothing.

Two promises, both with confidence 1 - delta over the draw of the certifying rows:

- *conditional*: of what is accepted, at most the share alpha is wrong;
- *joint*: of all rows, at most the share epsilon is accepted and wrong.

Scores have shape (n,); a row is accepted at `score >= threshold`, so rows of equal score are
accepted together; NaN is never accepted. `wrong` has shape (n,) and says whether accepting the row
would be an error. The rows are a random sample of the stream, labeled whatever the system thought
of them, and independent: duplicates are taken out before.

Sources: Angelopoulos et al. 2021 (Learn then Test: fixed-sequence testing), Bates et al. 2021
(RCPS: the walk for a monotone risk), Clopper and Pearson 1934.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom

from labeling.statistics.betting import betting_bound, log_capital, mixed

Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]

# The safe start leaves this many standard deviations between the rows it expects and those it needs
# at the least, so that the first test is not lost for want of rows.
START_MARGIN = 3.0


@dataclass(frozen=True)
class Certified:
    """What a test of thresholds came to. `threshold` is None where none held.

    `accepted` and `errors` are those of the certifying rows at the threshold, `rows` all of them,
    `p_value` that of the test, `tested` how many thresholds were. `bound` is the upper bound of
    the error (of the accepted, or of all rows for the joint promise): the least share at which the
    last test would still have held, never above the promised one.
    """

    threshold: float | None
    accepted: int
    errors: int
    rows: int
    tested: int
    p_value: float | None = None
    bound: float | None = None

    @property
    def holds(self) -> bool:
        return self.threshold is not None


def check_levels(alpha: float, delta: float) -> None:
    """Raises ValueError unless both lie strictly between 0 and 1."""
    for name, value in (("share of errors", alpha), ("delta", delta)):
        if not 0.0 < value < 1.0:
            raise ValueError(f"The {name} lies between 0 and 1; {value} does not.")


def least_accepted(alpha: float, delta: float) -> int:
    """How many accepted rows without an error it takes at the least: ceil(log delta / log(1 -
    alpha)); with fewer no test can hold."""
    check_levels(alpha, delta)
    # The quotient of a number that is whole may come out a little above it.
    return math.ceil(math.log(delta) / math.log1p(-alpha) - 1e-9)


def binomial_p(errors: int, n: int, alpha: float) -> float:
    """P(Bin(n, alpha) <= errors): how likely so few errors are if the error is alpha or more."""
    return float(binom.cdf(errors, n, alpha)) if n else 1.0


def upper_bound(errors: int, n: int, delta: float) -> float:
    """The largest share at which `errors` or fewer in `n` still have the probability `delta`
    (Clopper-Pearson, one side); 1 where n is 0."""
    if not 0 <= errors <= n:
        raise ValueError(f"{errors} errors in {n} rows are impossible.")
    return 1.0 if errors == n else float(beta.ppf(1.0 - delta, errors + 1, n - errors))


def delta_of_test(delta: float, number: int) -> float:
    """What test `number` (1, 2, ...) on the same rows may spend: 6 delta / (pi^2 number^2).

    Over any number of tests these add up to at most delta.
    """
    if number < 1:
        raise ValueError("Tests are numbered from 1.")
    return 6.0 * delta / (math.pi * number) ** 2


def _counts(scores: Scores, wrong: Flags, grid: Scores) -> tuple[NDArray[np.int64], ...]:
    """Accepted rows and errors among them at each threshold of `grid`."""
    if scores.shape != wrong.shape or scores.ndim != 1:
        raise ValueError("Every row has one score and one flag.")
    known = ~np.isnan(scores)
    ranked = np.sort(scores[known])
    ranked_wrong = np.sort(scores[known & wrong])
    accepted = len(ranked) - np.searchsorted(ranked, grid, side="left")
    errors = len(ranked_wrong) - np.searchsorted(ranked_wrong, grid, side="left")
    return accepted.astype(np.int64), errors.astype(np.int64)


def critical_errors(n: NDArray[np.int64], alpha: float, delta: float) -> NDArray[np.int64]:
    """The most errors in `n` rows with which the test of alpha still holds; -1 where none does."""
    # ppf gives the least k with cdf(k) >= delta; the test holds at k only where that is equality.
    least = np.where(n > 0, binom.ppf(delta, np.maximum(n, 1), alpha), 0).astype(np.int64)
    exact = (n > 0) & (binom.cdf(least, np.maximum(n, 1), alpha) <= delta)
    return np.where(exact, least, least - 1)


def threshold_grid(
    tune_scores: Scores, tune_wrong: Flags, *, rows: int, alpha: float, delta: float
) -> Scores:
    """Thresholds in the order in which `certify_conditional` tests them: strict to loose.

    Fixed by *tune* and by the number of certifying `rows` alone, never by their labels or scores:
    that is what lets every test spend the whole delta. The first is where, by the errors of
    *tune*, the test is likeliest to hold among those that can be expected to accept enough rows
    (`least_accepted` and a margin). A test that starts stricter stops at once for want of rows, a
    looser one for errors. Empty where even accepting everything would leave too few rows.
    """
    grid = np.unique(tune_scores[~np.isnan(tune_scores)])[::-1]
    if not len(grid) or rows < 1:
        return grid[:0]
    accepted, errors = _counts(tune_scores, tune_wrong, grid)
    return grid[
        first_test(accepted, errors, of=len(tune_scores), rows=rows, alpha=alpha, delta=delta) :
    ]


def first_test(
    accepted: NDArray[np.int64],
    errors: NDArray[np.int64],
    *,
    of: int,
    rows: int,
    alpha: float,
    delta: float,
) -> int:
    """Where a sequence of rules, strict to loose, is best tested first: by what each accepts and
    gets wrong among `of` rows of *tune*, if `rows` rows certify. Their number if nowhere."""
    expected = accepted / of * rows
    need = least_accepted(alpha, delta)
    enough = expected - START_MARGIN * np.sqrt(expected * (1 - expected / rows)) >= need
    if not enough.any():
        return len(accepted) - 1 if len(accepted) and expected[-1] >= need else len(accepted)
    n = expected.astype(np.int64)
    # Half an error more than were seen: no error among a few rows does not say that there is none.
    chance = binom.cdf(critical_errors(n, alpha, delta), n, (errors + 0.5) / (accepted + 1))
    return int(np.argmax(np.where(enough, chance, -1.0)))


def certify_conditional(
    scores: Scores, wrong: Flags, *, grid: Scores, alpha: float, delta: float
) -> Certified:
    """The loosest threshold of `grid` up to which every test of "error of the accepted above
    alpha" is refused at delta; none if the first is not.

    `grid` is ordered before the rows are seen (`threshold_grid`). Given how many rows a fixed
    threshold accepts, the errors among them are binomial; so each p-value is exact, and testing in
    a fixed order up to the first failure keeps the chance of any false refusal at delta.
    """
    accepted, errors = _counts(scores, wrong, grid)
    return certify_counts(accepted, errors, grid=grid, rows=len(scores), alpha=alpha, delta=delta)


def certify_counts(
    accepted: NDArray[np.int64],
    errors: NDArray[np.int64],
    *,
    grid: Scores,
    rows: int,
    alpha: float,
    delta: float,
) -> Certified:
    """The same for any sequence of rules fixed beforehand, named by the numbers of `grid`: what
    each accepts of the certifying rows and gets wrong among them."""
    check_levels(alpha, delta)
    p_values = np.where(accepted > 0, binom.cdf(errors, np.maximum(accepted, 1), alpha), 1.0)
    at, tested = _last_held(p_values <= delta)
    if at is None:
        return Certified(None, 0, 0, rows, tested)
    n, e = int(accepted[at]), int(errors[at])
    return Certified(
        float(grid[at]), n, e, rows, tested, float(p_values[at]), upper_bound(e, n, delta)
    )


def certify_joint(scores: Scores, wrong: Flags, *, epsilon: float, delta: float) -> Certified:
    """The loosest threshold at which, of all rows, at most epsilon are accepted and wrong.

    The share only grows as the threshold falls, so one walk over all scores of the certifying rows
    needs no grid and no correction: it stops where the exact upper bound first passes epsilon.
    """
    check_levels(epsilon, delta)
    rows = len(scores)
    grid = np.unique(scores[~np.isnan(scores)])[::-1]
    accepted, errors = _counts(scores, wrong, grid)
    p_values = binom.cdf(errors, rows, epsilon) if rows else np.ones(0)
    at, tested = _last_held(p_values <= delta)
    if at is None:
        return Certified(None, 0, 0, rows, tested)
    e = int(errors[at])
    return Certified(
        float(grid[at]),
        int(accepted[at]),
        e,
        rows,
        tested,
        float(p_values[at]),
        upper_bound(e, rows, delta),
    )


def certify_off_topic(scores: Scores, *, share: float, delta: float) -> float | None:
    """The lowest threshold at which at most `share` of the texts that fit no label are accepted;
    `scores`, shape (n,), are those of such texts, NaN where nothing could be accepted.

    What is accepted of them only grows as the threshold falls, so one walk does. None where there
    are too few of them even if none is accepted.
    """
    check_levels(share, delta)
    n = len(scores)
    if not n or binomial_p(0, n, share) > delta:
        return None
    grid = np.unique(scores[~np.isnan(scores)])[::-1]
    accepted = _counts(scores, np.ones(n, bool), grid)[0]
    at, _tested = _last_held(binom.cdf(accepted, n, share) <= delta)
    if at is not None:
        return float(grid[at]) if at + 1 < len(grid) else -math.inf
    return float(np.nextafter(grid[0], np.inf)) if len(grid) else -math.inf


def certify_weighted(
    scores: Scores, wrong: Flags, weights: Scores, *, grid: Scores, alpha: float, delta: float
) -> Certified:
    """As `certify_conditional`, for rows that were drawn with unequal probabilities of inclusion,
    each on its own; `weights`, shape (n,), are the least of these over that of the row.

    The test is by betting (`labeling.statistics.betting`), since weighted errors are not binomial.
    """
    check_levels(alpha, delta)
    order = np.argsort(np.where(np.isnan(scores), -np.inf, scores))[::-1]
    capital = mixed(log_capital(wrong[order].astype(np.float64), weights[order], alpha, more=False))
    accepted, errors = _counts(scores, wrong, grid)
    # The capital does not depend on the order of the rows: that of the n best scores is the one
    # after n of them.
    p_values = np.minimum(np.exp(-capital[accepted]), 1.0)
    at, tested = _last_held(p_values <= delta)
    if at is None:
        return Certified(None, 0, 0, len(scores), tested)
    taken = scores >= grid[at]
    bound = betting_bound(wrong[taken].astype(np.float64), weights[taken], delta)
    return Certified(
        float(grid[at]),
        int(accepted[at]),
        int(errors[at]),
        len(scores),
        tested,
        float(p_values[at]),
        bound,
    )


def _last_held(held: Flags) -> tuple[int | None, int]:
    """The last of the tests before the first failure, and how many were made."""
    failures = np.flatnonzero(~held)
    first = int(failures[0]) if len(failures) else len(held)
    return (first - 1 if first else None), min(first + 1, len(held))
