"""What a policy would do with other weights: on a sample of the stream, and on *tune*."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from labeling import rules
from labeling.actions.preview import Judged, Stream, kept, known_of
from labeling.actions.scored import scored_items
from labeling.actions.stream_sample import is_whole, table_from, validators_of
from labeling.actions.tally import Group
from labeling.models import DeferReason, Outcome, Part, Policy, StreamSample
from labeling.statistics import tally
from labeling.statistics.verdict_table import UNK, Choices, VerdictTable, choices, unpack

UNANSWERED = DeferReason.NO_VERDICT


def sampled_stream(policy: Policy, rule: Mapping[str, Any]) -> Stream | None:
    """The sample of the policy's stream under `rule`; None where none is drawn yet."""
    samples = StreamSample.objects.filter(configuration=policy.configuration_id)
    drawn = samples.values_list("pk", "seed").first()
    if drawn is None:
        return None
    table, tasks, population = _unpacked(*drawn)
    found = choices(table, rule)
    places: dict[Group, int] = {}
    groups = [places.setdefault(group, len(places)) for group in _groups(found) if group]
    steps = tally.steps_of(found.confidence[found.open])
    counts = tally.count(np.array(groups, np.intp), steps, n_groups=len(places))
    never = {
        str(DeferReason.UNK): int((found.label == UNK).sum()),
        str(DeferReason.LOW_MASS): int((~found.open & (found.label != UNK)).sum()),
        str(UNANSWERED): tasks - len(table),
    }
    return Stream(
        groups=tuple(places),
        counts=counts,
        never={reason: n for reason, n in never.items() if n},
        sampled_of=population,
    )


@functools.lru_cache(maxsize=4)
def _unpacked(sample_id: int, seed: int) -> tuple[VerdictTable, int, int]:
    """The table of a sample, how many tasks were drawn, and from how many. One that is drawn anew
    has another seed."""
    sample = StreamSample.objects.get(pk=sample_id)
    return unpack(sample.content), sample.tasks, sample.population


def _groups(found: Choices) -> list[Group | None]:
    """What each row would be taken as; None for those that no threshold takes."""
    sides = np.where(found.rejects, str(Outcome.REJECT), str(Outcome.ACCEPT))
    return [
        (str(side), int(label)) if is_open else None
        for side, label, is_open in zip(sides, found.label, found.open, strict=True)
    ]


@dataclass(frozen=True)
class _TuneRows:
    """The rows of *tune* that every validator answered, and what the experts said of each."""

    table: VerdictTable
    items: Sequence[int]
    references: Sequence[tuple[str, int | None, frozenset[int]]]
    rows: int
    unscored: int

    def is_right(self, place: int, group: Group) -> bool:
        """Is taking the row as `group` right?"""
        outcome, label, conf = self.references[place]
        side, label_id = group
        holds = rules.is_right(label_id, reference=outcome, reference_label=label, conf_labels=conf)
        return holds == (side == Outcome.ACCEPT)


def weighed(policy: Policy, rule: Mapping[str, Any]) -> Judged:
    """The rows of *tune* under `rule`, as `preview.judged` has them under the policy's own."""
    key = f"weighed:{policy.configuration_id}"
    tune: _TuneRows = kept(key, known_of(policy), lambda: _tune_rows(policy))
    found = choices(tune.table, rule)
    taken = [(place, group) for place, group in enumerate(_groups(found)) if group is not None]
    confidence = found.confidence[found.open]
    return Judged(
        items=[tune.items[place] for place, _group in taken],
        groups=[group for _place, group in taken],
        steps=tally.steps_of(confidence),
        confidence=confidence,
        right=np.array([tune.is_right(place, group) for place, group in taken], bool),
        rows=tune.rows,
        unscored=tune.unscored,
    )


def _tune_rows(policy: Policy) -> _TuneRows:
    validators = validators_of(policy.configuration)
    scored, unscored = scored_items(policy.configuration, [Part.TUNE])
    whole = [row for row in scored if is_whole(validators, row.evidence)]
    return _TuneRows(
        table=table_from(validators, [row.evidence for row in whole]),
        items=[row.item.pk for row in whole],
        references=[
            (row.item.reference, row.item.reference_label_id, row.conf_labels) for row in whole
        ],
        rows=len(scored),
        unscored=unscored,
    )


def rule_with(
    policy: Policy, *, pool: str, weights: Mapping[int, float], least_mass: float | None
) -> dict[str, Any]:
    """The policy's rule with another pool, weights by validator id, and least mass.

    A log-linear pool keeps the policy's temperature and floor, or takes 1 and 0.01. Stages of a
    cascade, calibration and scorer were fitted to the old weights, so they are left out. Raises
    ValueError where no weight is above 0.
    """
    if pool != "mean" and not any(weight > 0 for weight in weights.values()):
        raise ValueError(_("At least one validator needs a weight above 0."))
    rule: dict[str, Any] = {
        "pool": pool,
        "validators": validators_of(policy.configuration),
        "threshold": dict(policy.rule["threshold"]),
    }
    if pool != "mean":
        rule["weights"] = {str(one): weights.get(one, 0.0) for one in rule["validators"]}
    if pool == "log_linear":
        rule["temperature"] = float(policy.rule.get("temperature", 1.0))
        rule["floor"] = float(policy.rule.get("floor", 0.01))
    if least_mass is not None:
        rule["least_mass"] = least_mass
    return rule
