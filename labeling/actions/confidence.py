"""How sure a rule is of a label: by the pooled probability, or by a scorer and a calibration.

Read from `Policy.rule`: `"scorer"` (`statistics.scorer.Scorer` as JSON), `"calibration"` (`{"kind",
"at", "low", "high"}`, `statistics.calibration.StepMap`) and `"groups"` (`{"of": {label id: group},
"threshold": [t or None, ...]}`). All three are for questions with several candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labeling.models import Ranking, Verdict
from labeling.statistics.calibration import StepMap
from labeling.statistics.scorer import Scorer, Signs, features


def signs_of(
    label: str,
    pooled: Mapping[str, float],
    verdicts: Sequence[Verdict],
    ranking: Ranking | None,
    documents: Sequence[float] = (),
) -> Signs:
    """What the verdicts, the ranking and the scores of the documents found for a task say of
    `label`."""
    return Signs(
        label=label,
        pooled=pooled,
        verdicts=[verdict.probabilities for verdict in verdicts],
        masses=[verdict.mass for verdict in verdicts if verdict.mass is not None],
        spreads=[spread for verdict in verdicts if (spread := _spread(verdict)) is not None],
        candidates=[_candidate(entry) for entry in (ranking.candidates if ranking else [])],
        documents=documents,
    )


def _candidate(entry: Sequence[Any]) -> tuple[str, float, float, float | None]:
    """Rankings of before similarities were stored have no fourth number."""
    cosine = entry[3] if len(entry) > 3 else None
    return (
        str(entry[0]),
        float(entry[1]),
        float(entry[2]),
        None if cosine is None else float(cosine),
    )


def _spread(verdict: Verdict) -> float | None:
    """How far the calls with shifted options lie apart: the largest standard deviation of an
    option's share; None for fewer than two calls."""
    lows = [call["low"] for call in verdict.calls if call.get("low")]
    if len(lows) < 2 or len({len(low) for low in lows}) > 1:
        return None
    shares = np.array(lows, dtype=np.float64)
    totals = np.maximum(shares.sum(axis=1, keepdims=True), 1e-12)
    return float((shares / totals).std(axis=0).max())


def confidence_of(
    rule: Mapping[str, Any],
    label: str,
    pooled: Mapping[str, float],
    verdicts: Sequence[Verdict],
    ranking: Ranking | None,
    documents: Sequence[float] = (),
) -> float:
    """The number that the rule's threshold is compared with, in [0, 1]."""
    confidence = pooled[label]
    if stored := rule.get("scorer"):
        signs = signs_of(label, pooled, verdicts, ranking, documents)
        confidence = Scorer.from_json(stored).probability(features(signs))
    if stored := rule.get("calibration"):
        confidence = StepMap.from_json(stored).probability(confidence)
    return confidence


def threshold_of(
    rule: Mapping[str, Any], threshold: Mapping[str, float | None], label: str
) -> float | None:
    """Where the rule begins to accept `label`; None where it never does."""
    groups = rule.get("groups")
    if groups is None:
        return threshold.get("multiclass")
    group = groups["of"].get(label)
    return None if group is None else groups["threshold"][group]
