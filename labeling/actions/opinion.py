"""What the verdicts of one task come to under a policy's rule. Writes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from labeling.models import (
    DeferReason,
    Outcome,
    Policy,
    Question,
    Ranking,
    Run,
    Verdict,
)
from labeling.statistics.pooling import best_option, mean_pool

UNK = "unk"


@dataclass(frozen=True)
class Opinion:
    """What the verdicts of one task come to under a policy's rule."""

    outcome: str
    label_id: int | None
    confidence: float | None
    reason: str = ""
    detail: str = ""


@dataclass
class Evidence:
    """What a run knows of one task."""

    ranking: Ranking | None = None
    verdicts: list[Verdict] = field(default_factory=list)


def gather(run: Run, task_ids: Sequence[int]) -> dict[int, Evidence]:
    """Rankings and verdicts of the tasks, read from the source run where `run` decides again."""
    source = run.source_run or run
    evidence: dict[int, Evidence] = defaultdict(Evidence)
    for ranking in Ranking.objects.filter(run=source, task_id__in=task_ids):
        evidence[ranking.task_id].ranking = ranking
    verdicts = Verdict.objects.filter(run=source, task_id__in=task_ids)
    for verdict in verdicts.select_related("validator").order_by("validator_id"):
        evidence[verdict.task_id].verdicts.append(verdict)
    return evidence


def opinion(policy: Policy, evidence: Evidence, *, question: str) -> Opinion:
    """Apply the policy's rule to the verdicts of one task. Writes nothing."""
    wanted = set(policy.rule["validators"])
    relevant = [verdict for verdict in evidence.verdicts if verdict.validator_id in wanted]
    failed = [verdict for verdict in relevant if verdict.failure]
    if failed:
        return Opinion(
            Outcome.DEFER, None, None, DeferReason.VALIDATOR_FAILED, failed[0].failure[:300]
        )
    if len(relevant) < len(wanted) or not relevant:
        return Opinion(Outcome.DEFER, None, None, DeferReason.NO_VERDICT)
    if evidence.ranking is not None and evidence.ranking.flagged_script:
        return Opinion(Outcome.DEFER, None, None, DeferReason.SCRIPT)
    pooled = mean_pool([verdict.probabilities for verdict in relevant])
    if question == Question.BINARY:
        return _binary_opinion(policy, pooled, relevant[0].asked_label_id)
    return _multiclass_opinion(policy, pooled)


def _multiclass_opinion(policy: Policy, pooled: dict[str, float]) -> Opinion:
    option, confidence = best_option(pooled)
    if option == UNK:
        return Opinion(Outcome.DEFER, None, confidence, DeferReason.UNK)
    threshold = policy.rule["threshold"].get("multiclass")
    if threshold is None or confidence < threshold:
        return Opinion(Outcome.DEFER, int(option), confidence, DeferReason.LOW_CONFIDENCE)
    return Opinion(Outcome.ACCEPT, int(option), confidence)


def _binary_opinion(policy: Policy, pooled: dict[str, float], asked: int | None) -> Opinion:
    yes, no = pooled.get("yes", 0.0), pooled.get("no", 0.0)
    accept_at, reject_at = (policy.rule["threshold"].get(side) for side in ("yes", "no"))
    # However low the thresholds were tuned, the likelier answer is the one that may be taken.
    if accept_at is not None and yes >= max(accept_at, no):
        return Opinion(Outcome.ACCEPT, asked, yes)
    if reject_at is not None and no >= reject_at and no > yes:
        return Opinion(Outcome.REJECT, asked, no)
    return Opinion(Outcome.DEFER, asked, max(yes, no), DeferReason.LOW_CONFIDENCE)


def first_candidate(evidence: Evidence) -> int | None:
    ranking = evidence.ranking
    return int(ranking.candidates[0][0]) if ranking and ranking.candidates else None
