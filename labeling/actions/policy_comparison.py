"""Two versions of a policy side by side, each at its own thresholds."""

from __future__ import annotations

from dataclasses import dataclass

from labeling.actions.preview import Judged, Preview, judged, preview, rows_taken, stream_of
from labeling.actions.tally import Group
from labeling.models import Policy
from labeling.statistics.intervals import Share, wilson


@dataclass(frozen=True)
class Comparison:
    """Rows of *tune*: taken alike by both, differently by both, and by one of them alone."""

    first: Preview
    second: Preview
    alike: Share
    differently: int
    only_first: Share
    only_second: Share

    @property
    def sides(self) -> tuple[Preview, Preview]:
        return self.first, self.second

    @property
    def alone(self) -> tuple[Share, Share]:
        return self.only_first, self.only_second


def compare(first: Policy, second: Policy) -> Comparison:
    """What each takes of the stream and of *tune*. Policies of different configurations may not
    have the same rows scored: a row that one has no verdicts for counts as not taken by it."""
    one, other = judged(first), judged(second)
    took, took_other = _taken(first, one), _taken(second, other)
    shared = took.keys() & took_other.keys()
    alike = [item for item in shared if took[item][0] == took_other[item][0]]
    return Comparison(
        first=preview(stream_of(first), one, first.rule["threshold"]),
        second=preview(stream_of(second), other, second.rule["threshold"]),
        alike=_share([took[item] for item in alike]),
        differently=len(shared) - len(alike),
        only_first=_share([took[item] for item in took.keys() - shared]),
        only_second=_share([took_other[item] for item in took_other.keys() - shared]),
    )


def _taken(policy: Policy, rows: Judged) -> dict[int, tuple[Group, bool]]:
    """By benchmark item, what the policy takes it as at its own thresholds, and is that right?"""
    is_taken = rows_taken(rows, policy.rule["threshold"])
    found = zip(rows.items, rows.groups, rows.right, is_taken, strict=True)
    return {item: (group, bool(right)) for item, group, right, taken in found if taken}


def _share(taken: list[tuple[Group, bool]]) -> Share:
    return wilson(sum(right for _group, right in taken), len(taken))
