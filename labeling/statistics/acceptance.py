"""How good the accepted labels are, as the paper counts (Tsymbalov 2025, section 3.4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from labeling.statistics.intervals import Share, wilson


@dataclass(frozen=True)
class Judged:
    """One task with a reference answer: was it accepted, and was the label right?"""

    accepted: bool
    right: bool


@dataclass(frozen=True)
class AcceptanceMetrics:
    """accuracy = right / accepted; coverage = accepted / all; total_accuracy = right / all."""

    accuracy: Share
    coverage: Share
    total_accuracy: Share


def acceptance_metrics(judged: Iterable[Judged]) -> AcceptanceMetrics:
    """Accuracy, coverage and total accuracy with Wilson intervals."""
    rows = list(judged)
    accepted = sum(row.accepted for row in rows)
    right = sum(row.accepted and row.right for row in rows)
    return AcceptanceMetrics(
        accuracy=wilson(right, accepted),
        coverage=wilson(accepted, len(rows)),
        total_accuracy=wilson(right, len(rows)),
    )
