"""What the verdicts of one task come to under a policy's rule. Writes nothing.

`Policy.rule` is read here: `{"pool", "validators", "threshold"}`, and where they are wanted
`"weights"`, `"temperature"`, `"floor"` (see `statistics.pooling`), `"least_mass"`, `"stages"`, and
what `labeling.actions.confidence` reads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils.translation import gettext as _

from labeling.actions.confidence import confidence_of, threshold_of
from labeling.models import (
    Configuration,
    DeferReason,
    Outcome,
    Policy,
    Question,
    Ranking,
    Retrieved,
    Run,
    Verdict,
)
from labeling.statistics.pooling import best_option, pool

UNK = "unk"


@dataclass(frozen=True)
class Opinion:
    """What the verdicts of one task come to under a policy's rule.

    `stage` is the place of the stage of a cascade that settled it, from 0; None where the rule is
    no cascade, or nothing was settled.
    """

    outcome: str
    label_id: int | None
    confidence: float | None
    reason: str = ""
    detail: str = ""
    stage: int | None = None


@dataclass
class Evidence:
    """What a run knows of one task."""

    ranking: Ranking | None = None
    verdicts: list[Verdict] = field(default_factory=list)
    documents: Sequence[float] = ()
    out_of_budget: bool = False


@dataclass(frozen=True)
class StageRule:
    """A stage of a cascade: who has been asked by then, and from where on it decides."""

    validators: frozenset[int]
    threshold: Mapping[str, float | None]
    classifier_alone: bool = False


def gather(run: Run, task_ids: Sequence[int]) -> dict[int, Evidence]:
    """Rankings and verdicts of the tasks, read from the source run where `run` decides again."""
    source = run.source_run or run
    out_of_budget = source.budget_stopped_at is not None
    evidence: dict[int, Evidence] = defaultdict(lambda: Evidence(out_of_budget=out_of_budget))
    for ranking in Ranking.objects.filter(run=source, task_id__in=task_ids):
        evidence[ranking.task_id].ranking = ranking
    verdicts = Verdict.objects.filter(run=source, task_id__in=task_ids)
    for verdict in verdicts.select_related("validator").order_by("validator_id"):
        evidence[verdict.task_id].verdicts.append(verdict)
    add_documents(source.configuration, evidence)
    return evidence


def add_documents(configuration: Configuration, evidence: Mapping[int, Evidence]) -> None:
    """Give each task the scores of the documents that were found for its text as it stood in the
    run: there are some only where a validator of the configuration reads them."""
    index = configuration.content.get("document_index")
    if index is None:
        return
    found = Retrieved.objects.filter(
        task__in=list(evidence),
        index__digest=index,
        method=configuration.content.get("retrieval", ""),
    )
    scores: dict[tuple[int, int], list[float]] = defaultdict(list)
    for task_id, revision, score in found.values_list("task_id", "revision", "score"):
        scores[task_id, revision].append(score)
    for task_id, known in evidence.items():
        if known.ranking is not None:
            known.documents = tuple(scores[task_id, known.ranking.revision])


def stages_of(rule: Mapping[str, Any]) -> list[StageRule]:
    """The stages of a cascade in order; the rule itself, over all validators, is the last one and
    without a cascade the only one."""
    stages = []
    asked: frozenset[int] = frozenset()
    for stage in rule.get("stages", ()):
        asked |= frozenset(stage["validators"])
        stages.append(StageRule(asked, stage["threshold"], classifier_alone=not asked))
    return [*stages, StageRule(frozenset(rule["validators"]), rule["threshold"])]


def opinion(policy: Policy, evidence: Evidence, *, question: str) -> Opinion:
    """Apply the policy's rule to the verdicts of one task.

    The first stage that is sure settles it, whatever is known or missing of validators that only
    later stages ask; else it is left to people with the reason of the last stage.
    """
    if evidence.ranking is not None and evidence.ranking.flagged_script:
        return Opinion(Outcome.DEFER, None, None, DeferReason.SCRIPT)
    stages = stages_of(policy.rule)
    found = Opinion(Outcome.DEFER, None, None, DeferReason.NO_VERDICT)
    for place, stage in enumerate(stages):
        found = opinion_at(policy.rule, stage, evidence, question=question)
        if found.outcome != Outcome.DEFER:
            return replace(found, stage=place) if len(stages) > 1 else found
    return found


def to_ask(policy: Policy, evidence: Evidence, *, question: str) -> frozenset[int]:
    """The validators that the cascade has yet to ask of a task, as far as is known now.

    None where an earlier stage settled it, and none where asking on would settle nothing.
    """
    if evidence.ranking is not None and evidence.ranking.flagged_script:
        return frozenset()
    known = {verdict.validator_id for verdict in evidence.verdicts}
    for stage in stages_of(policy.rule):
        if stage.validators - known:
            return stage.validators - known
        failed = any(
            verdict.failure
            for verdict in evidence.verdicts
            if verdict.validator_id in stage.validators
        )
        found = opinion_at(policy.rule, stage, evidence, question=question)
        if failed or found.outcome != Outcome.DEFER:
            return frozenset()
    return frozenset()


def opinion_at(
    rule: Mapping[str, Any], stage: StageRule, evidence: Evidence, *, question: str
) -> Opinion:
    """What one stage of the rule makes of the verdicts of the validators asked by then."""
    if stage.classifier_alone:
        return _classifier_alone(stage, evidence, question)
    relevant = [one for one in evidence.verdicts if one.validator_id in stage.validators]
    failed = [verdict for verdict in relevant if verdict.failure]
    if failed:
        return Opinion(
            Outcome.DEFER, None, None, DeferReason.VALIDATOR_FAILED, failed[0].failure[:300]
        )
    if len(relevant) < len(stage.validators) or not relevant:
        reason = DeferReason.BUDGET if evidence.out_of_budget else DeferReason.NO_VERDICT
        return Opinion(Outcome.DEFER, None, None, reason)
    pooled = pool(rule, {verdict.validator_id: verdict.probabilities for verdict in relevant})
    asked = relevant[0].asked_label_id
    whole = stage.validators == frozenset(rule["validators"])
    if question != Question.BINARY and whole:
        found = _whole_opinion(rule, pooled, relevant, evidence)
    else:
        found = _settled(question, stage.threshold, pooled, asked)
    lacking = _lowest_mass(rule, relevant)
    if lacking is None:
        return found
    return Opinion(Outcome.DEFER, found.label_id, found.confidence, DeferReason.LOW_MASS, lacking)


def _classifier_alone(stage: StageRule, evidence: Evidence, question: str) -> Opinion:
    """The first candidate at its probability after reranking, which no validator has looked at."""
    first = first_candidate(evidence)
    if first is None or evidence.ranking is None:
        return Opinion(Outcome.DEFER, None, None, DeferReason.NO_VERDICT)
    confidence = float(evidence.ranking.candidates[0][1])
    if question == Question.BINARY:
        pooled = {"yes": confidence, "no": 1.0 - confidence}
        return _settled(question, stage.threshold, pooled, first)
    return _settled(question, stage.threshold, {str(first): confidence}, None)


def _lowest_mass(rule: Mapping[str, Any], verdicts: Sequence[Verdict]) -> str | None:
    """In words, where a validator gave the options so little of its probability that it wanted to
    say something else; None if none did."""
    least = rule.get("least_mass")
    if least is None:
        return None
    lowest = min(verdicts, key=lambda verdict: (verdict.mass or 0.0, verdict.validator_id))
    mass = lowest.mass or 0.0
    if mass >= least:
        return None
    return _(
        "%(validator)s gave only %(mass)s of its probability to the options; the least that counts "
        "is %(least)s."
    ) % {"validator": lowest.validator.name, "mass": f"{mass:.1%}", "least": f"{least:.1%}"}


def _settled(
    question: str,
    threshold: Mapping[str, float | None],
    pooled: Mapping[str, float],
    asked: int | None,
) -> Opinion:
    if question == Question.BINARY:
        return _binary_opinion(threshold, pooled, asked)
    return _multiclass_opinion(threshold, pooled)


def _multiclass_opinion(
    threshold: Mapping[str, float | None], pooled: Mapping[str, float]
) -> Opinion:
    option, confidence = best_option(pooled)
    if option == UNK:
        return Opinion(Outcome.DEFER, None, confidence, DeferReason.UNK)
    accept_at = threshold.get("multiclass")
    if accept_at is None or confidence < accept_at:
        return Opinion(Outcome.DEFER, int(option), confidence, DeferReason.LOW_CONFIDENCE)
    return Opinion(Outcome.ACCEPT, int(option), confidence)


def _whole_opinion(
    rule: Mapping[str, Any],
    pooled: Mapping[str, float],
    verdicts: Sequence[Verdict],
    evidence: Evidence,
) -> Opinion:
    """By all validators together: with the rule's scorer, calibration and groups of labels."""
    option, confidence = best_option(pooled)
    if option == UNK:
        return Opinion(Outcome.DEFER, None, confidence, DeferReason.UNK)
    confidence = confidence_of(rule, option, pooled, verdicts, evidence.ranking, evidence.documents)
    accept_at = threshold_of(rule, rule["threshold"], option)
    if accept_at is None or confidence < accept_at:
        return Opinion(Outcome.DEFER, int(option), confidence, DeferReason.LOW_CONFIDENCE)
    return Opinion(Outcome.ACCEPT, int(option), confidence)


def _binary_opinion(
    threshold: Mapping[str, float | None], pooled: Mapping[str, float], asked: int | None
) -> Opinion:
    yes, no = pooled.get("yes", 0.0), pooled.get("no", 0.0)
    accept_at, reject_at = (threshold.get(side) for side in ("yes", "no"))
    # However low the thresholds were tuned, the likelier answer is the one that may be taken.
    if accept_at is not None and yes >= max(accept_at, no):
        return Opinion(Outcome.ACCEPT, asked, yes)
    if reject_at is not None and no >= reject_at and no > yes:
        return Opinion(Outcome.REJECT, asked, no)
    return Opinion(Outcome.DEFER, asked, max(yes, no), DeferReason.LOW_CONFIDENCE)


def first_candidate(evidence: Evidence) -> int | None:
    ranking = evidence.ranking
    return int(ranking.candidates[0][0]) if ranking and ranking.candidates else None
