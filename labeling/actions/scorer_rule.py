"""The part of a policy's rule that says how sure it is: a scorer fitted on *fit*, a calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from labeling.actions.confidence import signs_of
from labeling.actions.errors import ActionRefused
from labeling.actions.opinion import UNK
from labeling.actions.outcomes import outcomes
from labeling.actions.scored import Scored, scored_items
from labeling.models import Configuration, Part, Question
from labeling.statistics.calibration import (
    MIN_ROWS,
    calibration_report,
    fit_isotonic,
    fit_venn_abers,
)
from labeling.statistics.pooling import best_option, pool
from labeling.statistics.scorer import features, fit_scorer, ranks_better

ISOTONIC, VENN_ABERS = "isotonic", "venn_abers"
CALIBRATIONS = {ISOTONIC: fit_isotonic, VENN_ABERS: fit_venn_abers}


def with_scorer(
    rule: Mapping[str, Any], configuration: Configuration
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rule with a scorer, if one can be fitted on *fit* and ranks better on *tune* than the
    pooled probability; and what was found, for the policy's evidence."""
    plain = {key: value for key, value in rule.items() if key not in ("scorer", "calibration")}
    if str(configuration.content["question"]) != Question.MULTICLASS:
        return plain, {"used": False, "why": "binary"}
    known = _known(plain, scored_items(configuration, [Part.FIT])[0])
    right = np.array([was_right for _features, _confidence, was_right in known], bool)
    scorer = fit_scorer([row for row, _confidence, _right in known], right)
    if scorer is None:
        return plain, {"used": False, "why": "few_rows", "rows": len(known)}
    tune = _known(plain, scored_items(configuration, [Part.TUNE])[0])
    ours = np.array([scorer.probability(row) for row, _confidence, _right in tune])
    theirs = np.array([confidence for _row, confidence, _right in tune])
    found = ranks_better(ours, theirs, np.array([was_right for *_rest, was_right in tune], bool))
    evidence = {"used": found.first_wins, "rows": len(known), **asdict(found)}
    if not found.first_wins:
        return plain, {**evidence, "why": "not_better"}
    return {**plain, "scorer": scorer.as_json()}, evidence


def _known(
    rule: Mapping[str, Any], scored: Sequence[Scored]
) -> list[tuple[dict[str, float], float, bool]]:
    """Of each row on which the validators agree upon a label: features, confidence, right?"""
    found = []
    wanted = set(rule["validators"])
    for row in scored:
        verdicts = [v for v in row.evidence.verdicts if v.validator_id in wanted and not v.failure]
        if len(verdicts) < len(wanted):
            continue
        pooled = pool(rule, {v.validator_id: v.probabilities for v in verdicts})
        option, confidence = best_option(pooled)
        if option != UNK:
            known = row.evidence
            signs = signs_of(option, pooled, verdicts, known.ranking, known.documents)
            found.append((features(signs), confidence, row.is_right(int(option))))
    return found


def with_calibration(
    rule: Mapping[str, Any], configuration: Configuration, kind: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rule with its confidence mapped to an honest probability, fitted on *tune*; and how
    honest it was before. Refuses where *tune* has too few rows."""
    if kind not in CALIBRATIONS:
        raise ActionRefused(
            _("There is no calibration “%(kind)s”. There are: %(known)s.")
            % {"kind": kind, "known": ", ".join(CALIBRATIONS)}
        )
    plain = {key: value for key, value in rule.items() if key != "calibration"}
    if str(configuration.content["question"]) != Question.MULTICLASS:
        raise ActionRefused(_("A question about one label has no calibration yet."))
    tune = scored_items(configuration, [Part.TUNE])[0]
    seen = outcomes(plain, tune, question=Question.MULTICLASS)
    known = ~np.isnan(seen.scores)
    if known.sum() < MIN_ROWS:
        raise ActionRefused(
            _("A calibration needs %(need)d rows of “tune” with a label; there are %(n)d.")
            % {"need": MIN_ROWS, "n": int(known.sum())}
        )
    scores, right = seen.scores[known], ~seen.wrong[known]
    found = CALIBRATIONS[kind](scores, right)
    before = asdict(calibration_report(scores, right))
    return {**plain, "calibration": {"kind": kind, **found.as_json()}}, {"kind": kind, **before}
