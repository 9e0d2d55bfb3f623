"""Counting how sure a policy's rule is of the tasks of its runs, for looking at thresholds."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import Exists, OuterRef, QuerySet

from labeling.actions.opinion import Opinion, gather, opinion
from labeling.actions.stream_sample import draw_sample
from labeling.models import Outcome, PlanRow, Policy, Run, Tally
from labeling.statistics import tally

BATCH = 1000


def scoring_of(rule: Mapping[str, Any]) -> str:
    """The hash of everything in a rule but its thresholds."""
    content = {key: value for key, value in rule.items() if key != "threshold"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def without_threshold(policy: Policy) -> Policy:
    """The policy's rule, not saved, taking every label that some threshold would take."""
    sides = dict.fromkeys(policy.rule["threshold"], 0.0)
    return Policy(
        project_id=policy.project_id,
        configuration_id=policy.configuration_id,
        rule={**policy.rule, "threshold": sides},
    )


def runs_of(policy: Policy) -> QuerySet[Run]:
    """The runs whose verdicts the policy was made for; those under way are still growing."""
    return Run.objects.filter(configuration_id=policy.configuration_id, kind=Run.Kind.VALIDATE)


def uncounted(policy: Policy) -> QuerySet[Run]:
    """Completed runs of the policy's configuration without a tally under its scoring."""
    there = Tally.objects.filter(run=OuterRef("pk"), scoring=scoring_of(policy.rule))
    return runs_of(policy).filter(~Exists(there), status=Run.Status.COMPLETED).order_by("-pk")


def tally_runs(policy: Policy) -> int:
    """Count the completed runs that have no tally yet, newest first; returns how many. Draws the
    sample for looking at weights where there is none, or one of a far smaller stream."""
    counted = 0
    draw_sample(policy.configuration)
    for run in uncounted(policy):
        tally_run(run=run, policy=policy)
        counted += 1
    return counted


Group = tuple[str, int]
"""A side (“accept”, or “reject” of a binary question) and a label id."""


@dataclass(frozen=True)
class Taken:
    """What a rule without thresholds takes a task as, and from which step of the grid on."""

    group: Group
    step: int
    confidence: float


def taken(found: Opinion, rule: Mapping[str, Any]) -> Taken | None:
    """None for what no threshold takes."""
    if found.outcome == Outcome.DEFER or found.label_id is None or found.confidence is None:
        return None
    # What an early stage or the threshold of a group of labels took, no other threshold keeps out.
    early = found.stage is not None and found.stage < len(rule.get("stages", ()))
    early = early or rule.get("groups") is not None
    # Sums of probabilities may pass 1 by the last digit.
    confidence = min(max(found.confidence, 0.0), 1.0)
    step = tally.ALWAYS if early else int(tally.steps_of(confidence))
    return Taken((str(found.outcome), found.label_id), step, confidence)


def tally_run(*, run: Run, policy: Policy) -> Tally:
    """Count the tasks of `run` outside the benchmark. One that stands is returned as it is."""
    trial = without_threshold(policy)
    groups: dict[tuple[str, int], int] = {}
    places: list[int] = []
    steps: list[int] = []
    never: Counter[str] = Counter()
    for found in _opinions(run, trial):
        took = taken(found, trial.rule)
        if took is None:
            never[found.reason] += 1
            continue
        places.append(groups.setdefault(took.group, len(groups)))
        steps.append(took.step)
    counts = tally.count(np.array(places, np.intp), np.array(steps, np.intp), n_groups=len(groups))
    standing, _made = Tally.objects.get_or_create(
        run=run,
        scoring=scoring_of(policy.rule),
        defaults={
            "groups": [list(group) for group in groups],
            "counts": tally.pack(counts),
            "never": dict(never),
            "tasks": len(places) + sum(never.values()),
        },
    )
    return standing


def _opinions(run: Run, trial: Policy) -> Iterator[Opinion]:
    question = str(run.configuration.content["question"])
    for ids in _batches(run):
        evidence = gather(run, ids)
        for task_id in ids:
            yield opinion(trial, evidence[task_id], question=question)


def _batches(run: Run) -> Iterator[Sequence[int]]:
    """Ids of the run's tasks outside the benchmark, some at a time."""
    rows = PlanRow.objects.filter(run=run, task__benchmark_item__isnull=True).order_by("task_id")
    last = 0
    while ids := list(rows.filter(task_id__gt=last).values_list("task_id", flat=True)[:BATCH]):
        yield ids
        last = ids[-1]
