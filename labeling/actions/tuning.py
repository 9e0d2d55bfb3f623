"""Thresholds of a rule, and stages of a cascade, tuned on benchmark tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from labeling.actions.accounting import money
from labeling.actions.opinion import opinion
from labeling.actions.scored import Scored
from labeling.models import Outcome, Policy, Question, Validator
from labeling.statistics.thresholds import TunedThreshold, loosest_threshold

MIN_STAGE_ROWS = 20
"""A stage that would settle fewer tasks of *tune* is left out: its threshold would be luck."""

Tuned = Mapping[str, TunedThreshold | None]


def tune(
    rule: Mapping[str, Any], scored: Sequence[Scored], *, question: str, target: float
) -> dict[str, TunedThreshold | None]:
    """The loosest thresholds of `rule` over all its validators that reach `target`, by side."""

    def loosest(side: str, outcome: str) -> TunedThreshold | None:
        trial = Policy(rule={**rule, "stages": [], "threshold": {side: 0.0}})
        return _loosest(trial, scored, question, outcome, target)

    if question == Question.MULTICLASS:
        return {"multiclass": loosest("multiclass", Outcome.ACCEPT)}
    return {"yes": loosest("yes", Outcome.ACCEPT), "no": loosest("no", Outcome.REJECT)}


def thresholds_of(tuned: Tuned) -> dict[str, float | None]:
    return {side: found.threshold if found else None for side, found in tuned.items()}


def evidence_of(tuned: Tuned) -> dict[str, Any]:
    return {side: asdict(found) if found else None for side, found in tuned.items()}


def _loosest(
    trial: Policy, scored: Sequence[Scored], question: str, outcome: str, target: float
) -> TunedThreshold | None:
    """Tune one threshold over the rows that the trial policy, at threshold 0, would take."""
    confidence, right = [], []
    for row in scored:
        found = opinion(trial, row.evidence, question=question)
        if found.outcome == outcome:
            holds = row.is_right(found.label_id)
            confidence.append(found.confidence)
            right.append(holds if outcome == Outcome.ACCEPT else not holds)
    return loosest_threshold(np.array(confidence, float), np.array(right, bool), target=target)


def tune_stages(
    rule: Mapping[str, Any], scored: Sequence[Scored], *, question: str, target: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[Scored]]:
    """The early stages of a cascade, the figures behind them, and the rows that they leave.

    First the classifier alone, then one validator more at a time, the cheapest first; all of them
    together are the rule itself. Each stage has the loosest thresholds at which what it settles of
    the rows that come to it is right as often as `target` asks. A stage that settles fewer than 20
    of them is left out, and its validator is asked together with the next.
    """
    stages: list[dict[str, Any]] = []
    figures: list[dict[str, Any]] = []
    left, pending, asked = list(scored), [], []
    for validator in [None, *by_cost(rule["validators"], scored)[:-1]]:
        if validator is not None:
            pending.append(validator)
            asked.append(validator)
        tuned = _tune_stage(rule, asked, left, question, target)
        settled = sum(found.accepted for found in tuned.values() if found)
        if settled < MIN_STAGE_ROWS:
            continue
        stage = {"validators": pending, "threshold": thresholds_of(tuned)}
        stages.append(stage)
        figures.append(
            {
                "validators": pending,
                "reached": len(left),
                "settled": settled,
                "tuned": evidence_of(tuned),
            }
        )
        pending = []
        left = _unsettled(rule, asked, stage, left, question)
    return stages, figures, left


def _tune_stage(
    rule: Mapping[str, Any],
    asked: Sequence[int],
    left: Sequence[Scored],
    question: str,
    target: float,
) -> dict[str, TunedThreshold | None]:
    if asked:
        return tune({**rule, "validators": list(asked)}, left, question=question, target=target)
    # Alone, the classifier may say that its own first choice holds, never that it does not.
    side = "multiclass" if question == Question.MULTICLASS else "yes"
    trial = _alone(rule, {side: 0.0})
    return {side: _loosest(trial, left, question, Outcome.ACCEPT, target)}


def _alone(rule: Mapping[str, Any], threshold: Mapping[str, float | None]) -> Policy:
    stage = {"validators": [], "threshold": threshold}
    return Policy(rule={**rule, "validators": [], "threshold": {}, "stages": [stage]})


def _unsettled(
    rule: Mapping[str, Any],
    asked: Sequence[int],
    stage: Mapping[str, Any],
    rows: Sequence[Scored],
    question: str,
) -> list[Scored]:
    threshold = stage["threshold"]
    at = {**rule, "stages": [], "validators": list(asked), "threshold": threshold}
    trial = Policy(rule=at) if asked else _alone(rule, threshold)
    return [
        row
        for row in rows
        if opinion(trial, row.evidence, question=question).outcome == Outcome.DEFER
    ]


def by_cost(validators: Sequence[int], scored: Sequence[Scored]) -> list[int]:
    """Validators, the cheapest first: by money for a task as measured on `scored`, then by time.

    A validator without prices costs no money.
    """
    rows = Validator.objects.in_bulk(validators)

    def cost(validator: int) -> tuple[float, float, int]:
        verdicts = [
            verdict
            for row in scored
            for verdict in row.evidence.verdicts
            if verdict.validator_id == validator and not verdict.failure
        ]
        paid = sum(
            money(
                rows[validator],
                tokens=verdict.tokens,
                cached_tokens=verdict.cached_tokens or 0,
                written=verdict.wrote,
            )
            or 0.0
            for verdict in verdicts
        )
        n = max(len(verdicts), 1)
        return paid / n, sum(verdict.latency_ms for verdict in verdicts) / n, validator

    return sorted(validators, key=cost)


def stages_in_words(policy: Policy) -> list[str]:
    """A line for each stage of a cascade: who is asked, and what that settled of *tune*."""
    if "stages" not in policy.evidence:
        return []
    names = dict(
        Validator.objects.filter(pk__in=policy.rule["validators"]).values_list("pk", "name")
    )
    lines = []
    for place, stage in enumerate(policy.evidence["stages"], start=1):
        asked = [names[validator] for validator in stage["validators"]]
        line = _("Stage %(n)d, %(who)s: settles %(settled)d of %(reached)d tasks of “tune”.")
        who = ", ".join(asked) or _("the classifier alone")
        lines.append(
            line
            % {"n": place, "who": who, "settled": stage["settled"], "reached": stage["reached"]}
        )
    rest = _("Last, all validators together: for the other %(n)d.")
    return [*lines, rest % {"n": policy.evidence["left_to_all"]}]
