"""Validators and their ensemble held against the experts on a part of the benchmark. Only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.utils.translation import gettext as _

from labeling.actions.accounting import Usage, money
from labeling.actions.opinion import UNK
from labeling.actions.pool_rule import right_options
from labeling.actions.scored import Scored, scored_items
from labeling.models import Configuration, Part, Policy, Question, Validator
from labeling.statistics.acceptance import AcceptanceMetrics, Judged, acceptance_metrics
from labeling.statistics.calibration import calibration_error
from labeling.statistics.intervals import Share, wilson
from labeling.statistics.judging import CurvePoint, coverage_curve, log_loss
from labeling.statistics.metrics import LABEL, Pair, by_label
from labeling.statistics.metrics import Said as Given
from labeling.statistics.pooling import Distribution, best_option, pool

PARTS = (Part.TUNE, Part.FIT, Part.TEST)
"""Never *certify*: whoever chooses by it has spent it."""


@dataclass(frozen=True)
class Judge:
    """A validator, or all of them together (`validator` is None), on some benchmark tasks.

    `right` counts, among all tasks that were answered, those whose best option is the expert's,
    `unk` included; `accepted` counts as the paper does, at the threshold: accuracy among the
    labels taken, coverage, and their product. The last four are None without answers.
    """

    name: str
    validator: Validator | None
    answered: int
    failed: int
    right: Share
    accepted: AcceptanceMetrics
    f1: float | None
    loss: float | None
    calibration: float | None
    usage: Usage | None
    curve: Sequence[CurvePoint]

    @property
    def shares(self) -> tuple[Share, Share, Share, Share]:
        """In the order of the table: right at all, then accuracy, coverage and total accuracy."""
        taken = self.accepted
        return self.right, taken.accuracy, taken.coverage, taken.total_accuracy


@dataclass(frozen=True)
class Comparison:
    """`rows` tasks with an expert's answer, `unscored` without verdicts of this configuration."""

    part: str
    threshold: float
    rows: int
    unscored: int
    judges: Sequence[Judge]


@dataclass(frozen=True)
class _Said:
    """One answer: the distribution, the options that are right, and what it would settle."""

    distribution: Distribution
    right: frozenset[str]

    @property
    def best(self) -> tuple[str, float]:
        return best_option(self.distribution)


def compare(
    configuration: Configuration, *, part: str, threshold: float, policy: Policy | None
) -> Comparison:
    """Every validator of `configuration`, and their pool: the rule of `policy` where there is one,
    else the mean."""
    scored, unscored = scored_items(configuration, [part])
    question = str(configuration.content["question"])
    ids = [entry["id"] for entry in configuration.content["validators"]]
    validators = list(Validator.objects.filter(pk__in=ids).order_by("name"))
    judges = [
        _judge(one.name, one, [one.pk], scored, question, threshold, _usage(one, scored))
        for one in validators
    ]
    if len(validators) > 1:
        rule = policy.rule if policy is not None else {"pool": "mean"}
        together = _("all together")
        judges.append(_judge(together, None, sorted(ids), scored, question, threshold, None, rule))
    return Comparison(part, threshold, len(scored), unscored, judges)


def _usage(validator: Validator, scored: Sequence[Scored]) -> Usage:
    """What its verdicts on these tasks took."""
    verdicts = [
        verdict
        for row in scored
        for verdict in row.evidence.verdicts
        if verdict.validator_id == validator.pk
    ]
    answers = [verdict for verdict in verdicts if not verdict.failure]
    cached = [one.cached_tokens for one in verdicts if one.cached_tokens is not None]
    tokens = sum(one.tokens for one in verdicts)
    written = sum(one.wrote for one in verdicts)
    return Usage(
        validator=validator,
        answers=len(answers),
        failures=len(verdicts) - len(answers),
        calls=sum(one.server_calls for one in verdicts),
        tokens=tokens,
        cached_tokens=sum(cached) if cached else None,
        written=written,
        latency_ms=sum(one.latency_ms for one in answers) / len(answers) if answers else None,
        money=money(validator, tokens=tokens, cached_tokens=sum(cached), written=written),
    )


def _judge(
    name: str,
    validator: Validator | None,
    ids: Sequence[int],
    scored: Sequence[Scored],
    question: str,
    threshold: float,
    usage: Usage | None,
    rule: dict[str, object] | None = None,
) -> Judge:
    said: list[_Said] = []
    for row in scored:
        answers = {one.validator_id: one for one in row.evidence.verdicts if not one.failure}
        if not set(ids) <= set(answers):
            continue
        known = {one: answers[one].probabilities for one in ids}
        asked = answers[ids[0]].asked_label_id
        right = right_options(row, list(known.values()), asked, question)
        said.append(_Said(pool(rule or {"pool": "mean"}, known), right))
    confidence = np.array([one.best[1] for one in said], float)
    right_ones = np.array([one.best[0] in one.right for one in said], bool)
    taken = [one for one in said if _is_answer(one, question)]
    return Judge(
        name=name,
        validator=validator,
        answered=len(said),
        failed=len(scored) - len(said),
        right=wilson(int(right_ones.sum()), len(said)),
        accepted=acceptance_metrics(
            [*(_judged(one, question, threshold) for one in said)]
            + [Judged(False, False)] * (len(scored) - len(said))
        ),
        f1=_macro_f1(said),
        loss=log_loss(
            [sum(one.distribution.get(option, 0.0) for option in one.right) for one in said],
            [len(one.distribution) for one in said],
        ),
        calibration=calibration_error(confidence, right_ones) if said else None,
        usage=usage,
        curve=coverage_curve(
            np.array([one.best[1] for one in taken], float),
            np.array([one.best[0] in one.right for one in taken], bool),
        ),
    )


def _is_answer(one: _Said, question: str) -> bool:
    """Could this settle the task? `unk` cannot."""
    return question == Question.BINARY or one.best[0] != UNK


def _judged(one: _Said, question: str, threshold: float) -> Judged:
    option, confidence = one.best
    return Judged(_is_answer(one, question) and confidence >= threshold, option in one.right)


def _macro_f1(said: Sequence[_Said]) -> float | None:
    """Over the options as classes, `unk` among them."""
    pairs = [
        Pair(place, Given(LABEL, _reference(one)), Given(LABEL, one.best[0]))
        for place, one in enumerate(said)
    ]
    return by_label(pairs).macro_f1.value if pairs else None


def _reference(one: _Said) -> str:
    """The class that the answer is compared with: where several are right, the one it chose."""
    return one.best[0] if one.best[0] in one.right else min(one.right)
