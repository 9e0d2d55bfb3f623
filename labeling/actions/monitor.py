"""Watching the promise of policies: what audits say, the alarm, and what follows from it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused
from labeling.actions.events import Actor, record
from labeling.actions.policy import activate_policy
from labeling.actions.rerun import decide_again
from labeling.models import (
    Alarm,
    AuditDraw,
    AuditObservation,
    Member,
    OnAlarm,
    Policy,
    Project,
)
from labeling.statistics.intervals import Share, weighted_share
from labeling.statistics.monitor import MonitorReport, Observation, watch

MACHINE = "monitor"
LABELS_NAMED = 5
JOINT = "joint"
"""The promise of a certificate that speaks of all texts and not of the accepted."""


@dataclass(frozen=True)
class Watched:
    """A policy's audits: what they amount to, in the order in which they were observed."""

    policy: Policy
    promised: float
    delta: float
    least_probability: float
    observations: Sequence[AuditObservation]
    report: MonitorReport

    @property
    def enough_at(self) -> int:
        """Fewest observations, all right, that could bear the promise out."""
        return enough(self.promised, self.delta)


def enough(promised: float, delta: float) -> int:
    """Right answers in a row after which an error above `promised` is less likely than `delta`."""
    if not 0.0 < promised < 1.0:
        return 1
    return math.ceil(math.log(delta) / math.log1p(-promised))


def promised_error(policy: Policy) -> float | None:
    """The share of wrong labels among the accepted that the policy was certified or tuned for."""
    certificate = policy.certificate or {}
    alpha = certificate.get("alpha")
    if isinstance(alpha, int | float):
        if certificate.get("promise") != JOINT:
            return float(alpha)
        # Promised of all texts: among the accepted so much more as fewer were accepted there.
        accepted = certificate.get("accepted") or 0
        return min(alpha * certificate.get("rows", 0) / accepted, 1.0) if accepted else None
    target = policy.evidence.get("target_accuracy")
    return 1.0 - float(target) if target is not None else None


def watched(policy: Policy) -> Watched | None:
    """What the audits of `policy` say; None for a policy that promises nothing."""
    promised = promised_error(policy)
    if promised is None or promised >= 1.0:
        return None
    observations = list(
        AuditObservation.objects.filter(policy=policy, current=True)
        .select_related("draw__decision")
        .order_by("observed_at", "pk")
    )
    first = AuditDraw.objects.filter(policy=policy).order_by("pk").first()
    least = first.check_probability if first else 1.0
    delta = policy.project.monitor_delta
    seen = [Observation(float(one.wrong), one.probability) for one in observations]
    report = watch(seen, promised=promised, delta=delta, least_probability=least)
    return Watched(policy, promised, delta, least, observations, report)


def check_policies() -> list[Alarm]:
    """Look at every policy with audits and no alarm yet; raise those that are due."""
    observed = AuditObservation.objects.filter(policy=OuterRef("pk"), current=True, wrong=True)
    policies = Policy.objects.filter(
        Exists(observed), alarm__isnull=True, project__archived_at__isnull=True
    )
    alarms = [check_policy(policy=policy) for policy in policies.select_related("project")]
    return [alarm for alarm in alarms if alarm is not None]


@transaction.atomic
def check_policy(*, policy: Policy) -> Alarm | None:
    """Raise the policy's alarm if its audits call for one, and do what the project has set.

    An alarm is raised once in the life of a policy; two that look at once raise one.
    """
    project = Project.objects.select_for_update(no_key=True).get(pk=policy.project_id)
    policy = Policy.objects.select_for_update(no_key=True).get(pk=policy.pk)
    policy.project = project
    if Alarm.objects.filter(policy=policy).exists():
        return None
    found = watched(policy)
    if found is None or found.report.alarm_at is None:
        return None
    did, stricter = _act(found)
    alarm = Alarm.objects.create(
        project=project,
        policy=policy,
        figures=_figures(found),
        labels=_labels_at_fault(found),
        did=did,
        stricter=stricter,
    )
    said = {"version": policy.version, "did": did, **alarm.figures}
    record(project, MACHINE, "alarm_raised", alarm, new=said)
    return alarm


def _act(found: Watched) -> tuple[str, Policy | None]:
    policy, project = found.policy, found.policy.project
    if policy.status != Policy.Status.ACTIVE:
        return Alarm.Did.NOTHING, None
    if project.on_alarm == OnAlarm.TIGHTEN:
        stricter = _stricter(found)
        activate_policy(policy=stricter, by=MACHINE)
        return Alarm.Did.TIGHTENED, stricter
    pause_policy(policy=policy, by=MACHINE)
    return Alarm.Did.PAUSED, None


def _stricter(found: Watched) -> Policy:
    """A draft that accepts from a higher confidence on: the lowest at which what was observed
    bears the promise out (Wilson's bound), or, where none does, nothing at all."""
    policy = found.policy
    rule = _raised_to(policy.rule, _raised(found))
    latest = policy.project.policies.order_by("-version").values_list("version", flat=True).first()
    stricter = Policy.objects.create(
        project=policy.project,
        version=(latest or 0) + 1,
        configuration_id=policy.configuration_id,
        rule=rule,
        evidence={**policy.evidence, "tightened_from": policy.version, "audits": found.report.n},
    )
    said = {"version": stricter.version, "tightened_from": policy.version, **rule}
    record(policy.project, MACHINE, "policy_tightened", stricter, new=said)
    return stricter


def _thresholds(rule: Mapping[str, Any]) -> list[float]:
    """Every threshold of a rule: its own, of a cascade's stages, of groups of labels."""
    found = [*rule["threshold"].values(), *rule.get("groups", {}).get("threshold", ())]
    for stage in rule.get("stages", ()):
        found += stage["threshold"].values()
    return [value for value in found if value is not None]


def _raised_to(rule: Mapping[str, Any], least: float | None) -> dict[str, Any]:
    """The rule with every threshold at `least` or above; accepting nothing where that is None."""

    def raised(value: float | None) -> float | None:
        return None if value is None or least is None else max(value, least)

    def sides(threshold: Mapping[str, float | None]) -> dict[str, float | None]:
        return {side: raised(value) for side, value in threshold.items()}

    made = {**rule, "threshold": sides(rule["threshold"])}
    if "stages" in rule:
        made["stages"] = [
            {**stage, "threshold": sides(stage["threshold"])} for stage in rule["stages"]
        ]
    if "groups" in rule:
        groups = rule["groups"]
        made["groups"] = {**groups, "threshold": [raised(one) for one in groups["threshold"]]}
    return made


def _raised(found: Watched) -> float | None:
    """The threshold to raise to, above every one in use."""
    seen = sorted(
        ((one.draw.decision.confidence or 0.0, one) for one in found.observations),
        key=lambda pair: pair[0],
    )
    in_use = _thresholds(found.policy.rule)
    for place, (confidence, _one) in enumerate(seen):
        kept = [one for _confidence, one in seen[place:]]
        bound = _share(kept).high
        if confidence > max(in_use, default=0.0) and bound is not None and bound <= found.promised:
            return confidence
    return None


def _share(observations: Sequence[AuditObservation]) -> Share:
    """Wrong among the observed, each counted as often as it stands for others."""
    return weighted_share(
        [one.wrong for one in observations], [one.probability for one in observations]
    )


def _figures(found: Watched) -> dict[str, Any]:
    report = found.report
    return {
        "n": report.n,
        "wrong": int(report.wrong),
        "at": report.alarm_at,
        "error": report.error,
        "low": report.low,
        "high": report.high,
        "promised": found.promised,
        "delta": found.delta,
    }


def by_label(observations: Sequence[AuditObservation]) -> list[dict[str, Any]]:
    """For each label that was audited: how often it was wrong, with an interval; worst first."""
    groups: dict[int, list[AuditObservation]] = defaultdict(list)
    for one in observations:
        groups[one.label_id].append(one)
    rows = []
    for label, some in groups.items():
        share = _share(some)
        wrong = sum(one.wrong for one in some)
        rows.append(
            {
                "label": label,
                "n": len(some),
                "wrong": wrong,
                "value": share.value,
                "low": share.low,
                "high": share.high,
            }
        )
    return sorted(rows, key=lambda row: (-row["wrong"], row["n"], row["label"]))


def _labels_at_fault(found: Watched) -> list[dict[str, Any]]:
    return [row for row in by_label(found.observations) if row["wrong"]][:LABELS_NAMED]


@transaction.atomic
def pause_policy(*, policy: Policy, by: Actor) -> Policy:
    """Let the active policy accept nothing from now on; tasks are deferred with that reason, and
    what it would have done is kept as a shadow decision."""
    policy = Policy.objects.select_for_update(no_key=True).get(pk=policy.pk)
    if policy.status != Policy.Status.ACTIVE:
        raise ActionRefused(_("Only the policy that decides can be paused."))
    if policy.paused_at is None:
        policy.paused_at = timezone.now()
        policy.save(update_fields=["paused_at"])
        record(policy.project, by, "policy_paused", policy, new={"version": policy.version})
    return policy


@transaction.atomic
def resume_policy(*, policy: Policy, by: Member) -> Policy:
    """Let a paused policy accept again, and decide again on the tasks that wait for people."""
    project = Project.objects.select_for_update(no_key=True).get(pk=policy.project_id)
    policy = Policy.objects.select_for_update(no_key=True).get(pk=policy.pk)
    if policy.paused_at is None or policy.status != Policy.Status.ACTIVE:
        raise ActionRefused(_("This policy is not paused."))
    policy.paused_at = None
    policy.save(update_fields=["paused_at"])
    record(project, by, "policy_resumed", policy, new={"version": policy.version})
    decide_again(policy=policy, by=by)
    return policy


@transaction.atomic
def close_alarm(*, alarm: Alarm, note: str, by: Member) -> Alarm:
    """Somebody has seen to the alarm, and says how. It is not raised again for this policy."""
    if not note.strip():
        raise ActionRefused(_("Say what was done about it."))
    closed = Alarm.objects.filter(pk=alarm.pk, closed_at__isnull=True).update(
        closed_at=timezone.now(), closed_by=by, note=note.strip()[:1000]
    )
    if not closed:
        raise ActionRefused(_("This alarm is closed already."))
    alarm.refresh_from_db()
    record(alarm.project, by, "alarm_closed", alarm, new={"version": alarm.policy.version})
    return alarm
