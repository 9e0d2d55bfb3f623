"""Policies: fitted on *tune*, measured, activated, rolled back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling import rules
from labeling.actions.errors import ActionRefused
from labeling.actions.events import Actor, record
from labeling.actions.opinion import Evidence, opinion
from labeling.actions.rerun import decide_again
from labeling.models import (
    BenchmarkItem,
    Configuration,
    Member,
    Outcome,
    Part,
    Policy,
    Project,
    Question,
    Ranking,
    ReferenceOutcome,
    Verdict,
)
from labeling.statistics.acceptance import AcceptanceMetrics, Judged, acceptance_metrics
from labeling.statistics.thresholds import TunedThreshold, loosest_threshold

MIN_TUNE_ROWS = 20


@dataclass(frozen=True)
class Scored:
    """A benchmark task with its reference and what the machines said of it."""

    item: BenchmarkItem
    conf_labels: frozenset[int]
    evidence: Evidence

    def is_right(self, label_id: int | None) -> bool:
        return rules.is_right(
            label_id,
            reference=self.item.reference,
            reference_label=self.item.reference_label_id,
            conf_labels=self.conf_labels,
        )


def scored_items(configuration: Configuration, parts: Sequence[str]) -> tuple[list[Scored], int]:
    """Settled benchmark items of `parts` with the newest verdicts under `configuration`, and how
    many settled items had none (not scored, so not counted)."""
    items = list(
        BenchmarkItem.objects.filter(project_id=configuration.project_id, part__in=parts)
        .exclude(reference=ReferenceOutcome.OPEN)
        .prefetch_related("reference_conf_labels")
        .select_related("task")
        .order_by("pk")
    )
    evidence = _newest_evidence(configuration, items)
    scored = [
        Scored(
            item,
            frozenset(label.pk for label in item.reference_conf_labels.all()),
            evidence[item.task_id],
        )
        for item in items
        if item.task_id in evidence
    ]
    return scored, len(items) - len(scored)


def _newest_evidence(
    configuration: Configuration, items: Sequence[BenchmarkItem]
) -> dict[int, Evidence]:
    revisions = {item.task_id: item.task.revision for item in items}
    evidence: dict[int, Evidence] = {}
    rankings = Ranking.objects.filter(
        run__configuration=configuration, task_id__in=list(revisions)
    ).order_by("run_id")
    for ranking in rankings:
        if revisions[ranking.task_id] == ranking.revision:
            evidence[ranking.task_id] = Evidence(ranking=ranking)
    verdicts = Verdict.objects.filter(
        run__configuration=configuration, task_id__in=list(evidence)
    ).order_by("validator_id")
    for verdict in verdicts:
        newest = evidence[verdict.task_id].ranking
        if newest is not None and newest.run_id == verdict.run_id:
            evidence[verdict.task_id].verdicts.append(verdict)
    return {task_id: found for task_id, found in evidence.items() if found.verdicts}


def fit_policy(
    *, project: Project, configuration: Configuration, target: float, by: Actor
) -> Policy:
    """A draft policy: the mean of the validators' probabilities, accepted at the loosest threshold
    whose accuracy on *tune* is at least `target`. Tuned, not certified.

    Refuses where *tune* has fewer than 20 scored answers. A side on which no threshold reaches the
    target has threshold None and accepts nothing.
    """
    if not 0.0 < target <= 1.0:
        raise ActionRefused(_("The target accuracy lies above 0 and is at most 1."))
    scored, unscored = scored_items(configuration, [Part.TUNE])
    if len(scored) < MIN_TUNE_ROWS:
        raise ActionRefused(
            _(
                "The part “tune” has %(n)d answers with verdicts of this configuration; "
                "%(need)d are needed. Import benchmark answers, send predictions for their "
                "texts, and let the run finish."
            )
            % {"n": len(scored), "need": MIN_TUNE_ROWS}
        )
    validators = [entry["id"] for entry in configuration.content["validators"]]
    thresholds = _tune(validators, scored, str(configuration.content["question"]), target)
    return _save(project, configuration, validators, thresholds, scored, unscored, target, by)


def _tune(
    validators: list[int], scored: Sequence[Scored], question: str, target: float
) -> dict[str, TunedThreshold | None]:
    if question == Question.MULTICLASS:
        trial = Policy(rule={"validators": validators, "threshold": {"multiclass": 0.0}})
        return {"multiclass": _loosest(trial, scored, question, Outcome.ACCEPT, target)}
    yes = Policy(rule={"validators": validators, "threshold": {"yes": 0.0}})
    no = Policy(rule={"validators": validators, "threshold": {"no": 0.0}})
    return {
        "yes": _loosest(yes, scored, question, Outcome.ACCEPT, target),
        "no": _loosest(no, scored, question, Outcome.REJECT, target),
    }


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


@transaction.atomic
def _save(
    project: Project,
    configuration: Configuration,
    validators: list[int],
    thresholds: dict[str, TunedThreshold | None],
    scored: Sequence[Scored],
    unscored: int,
    target: float,
    by: Actor,
) -> Policy:
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    latest = project.policies.order_by("-version").values_list("version", flat=True).first()
    policy = Policy.objects.create(
        project=project,
        version=(latest or 0) + 1,
        configuration=configuration,
        rule={
            "pool": "mean",
            "validators": validators,
            "threshold": {
                side: tuned.threshold if tuned else None for side, tuned in thresholds.items()
            },
        },
        evidence={
            "part": Part.TUNE,
            "target_accuracy": target,
            "rows": len(scored),
            "not_scored": unscored,
            "rows_hash": _rows_hash(scored),
            "tuned": {side: asdict(tuned) if tuned else None for side, tuned in thresholds.items()},
        },
        created_by=by if isinstance(by, Member) else None,
    )
    record(project, by, "policy_fitted", policy, new={"version": policy.version, **policy.rule})
    return policy


def _rows_hash(scored: Sequence[Scored]) -> str:
    rows = [
        [row.item.task_id, row.item.reference, row.item.reference_label_id, sorted(row.conf_labels)]
        for row in scored
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


@transaction.atomic
def activate_policy(*, policy: Policy, by: Actor) -> Policy:
    """Make `policy` the one that decides, from now on and for the tasks that wait for people.

    The one before is retired. Going back to an earlier version is the same action.
    """
    # no_key: an answer that holds a task's row may still write its event meanwhile.
    project = Project.objects.select_for_update(no_key=True).get(pk=policy.project_id)
    before = project.policies.filter(status=Policy.Status.ACTIVE).first()
    if before is not None and before.pk == policy.pk:
        return before
    if before is not None:
        before.status = Policy.Status.RETIRED
        before.save(update_fields=["status"])
    policy.status, policy.activated_at = Policy.Status.ACTIVE, timezone.now()
    policy.save(update_fields=["status", "activated_at"])
    record(
        project,
        by,
        "policy_activated",
        policy,
        old={"version": before.version} if before else None,
        new={"version": policy.version},
    )
    decide_again(policy=policy, by=by)
    return policy


def measure(policy: Policy, parts: Sequence[str]) -> AcceptanceMetrics:
    """What the policy would accept on benchmark `parts`, and how often that is right."""
    scored, _unscored = scored_items(policy.configuration, parts)
    question = str(policy.configuration.content["question"])
    judged = []
    for row in scored:
        found = opinion(policy, row.evidence, question=question)
        accepted = found.outcome == Outcome.ACCEPT
        judged.append(Judged(accepted, accepted and row.is_right(found.label_id)))
    return acceptance_metrics(judged)
