"""Policies: fitted on *tune*, measured, activated, rolled back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused
from labeling.actions.events import Actor, record
from labeling.actions.opinion import opinion
from labeling.actions.pool_rule import pool_rule
from labeling.actions.rerun import decide_again
from labeling.actions.scored import rows_hash, scored_items
from labeling.actions.tuning import evidence_of, thresholds_of, tune, tune_stages
from labeling.models import (
    Configuration,
    Member,
    Outcome,
    Part,
    Policy,
    Project,
)
from labeling.statistics.acceptance import AcceptanceMetrics, Judged, acceptance_metrics
from labeling.statistics.pooling import MEAN

MIN_TUNE_ROWS = 20


def fit_policy(
    *,
    project: Project,
    configuration: Configuration,
    target: float,
    by: Actor,
    pool: str = MEAN,
    least_mass: float | None = None,
    cascade: bool = False,
) -> Policy:
    """A draft policy: the validators' probabilities pooled, accepted at the loosest threshold
    whose accuracy on *tune* is at least `target`. Tuned, not certified.

    A fitted pool that is not better than the mean gives way to it. Below `least_mass` (the
    project's unless given) an answer settles nothing. A cascade asks the cheapest validator first
    and the next only while the task is undecided. Refuses where *tune* has fewer than 20
    scored answers. A side on which no threshold reaches the target has threshold None and accepts
    nothing.
    """
    if not 0.0 < target <= 1.0:
        raise ActionRefused(_("The target accuracy lies above 0 and is at most 1."))
    least = project.least_mass if least_mass is None else least_mass
    if not 0.0 <= least <= 1.0:
        raise ActionRefused(_("The least mass lies between 0 and 1."))
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
    question = str(configuration.content["question"])
    validators = [entry["id"] for entry in configuration.content["validators"]]
    pooled, pooled_evidence = pool_rule(
        pool, validators=validators, scored=scored, question=question
    )
    rule = {**pooled, "validators": validators, "least_mass": least}
    left, stages = scored, None
    if cascade:
        rule["stages"], stages, left = tune_stages(rule, scored, question=question, target=target)
    tuned = tune(rule, left, question=question, target=target)
    rule["threshold"] = thresholds_of(tuned)
    evidence = {
        "part": Part.TUNE,
        "target_accuracy": target,
        "rows": len(scored),
        "not_scored": unscored,
        "rows_hash": rows_hash(scored),
        "pool": pooled_evidence,
        "tuned": evidence_of(tuned),
        **({"stages": stages, "left_to_all": len(left)} if stages is not None else {}),
    }
    return _save(project, configuration, rule, evidence, by)


@transaction.atomic
def _save(
    project: Project,
    configuration: Configuration,
    rule: dict[str, Any],
    evidence: dict[str, Any],
    by: Actor,
) -> Policy:
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    latest = project.policies.order_by("-version").values_list("version", flat=True).first()
    policy = Policy.objects.create(
        project=project,
        version=(latest or 0) + 1,
        configuration=configuration,
        rule=rule,
        evidence=evidence,
        created_by=by if isinstance(by, Member) else None,
    )
    record(project, by, "policy_fitted", policy, new={"version": policy.version, **policy.rule})
    return policy


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
