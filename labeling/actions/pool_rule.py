"""The part of a policy's rule that says how verdicts are pooled, fitted on *tune*."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused
from labeling.actions.opinion import UNK
from labeling.actions.scored import Scored
from labeling.models import Question
from labeling.statistics.pool_fit import Row, compare, fit_pool
from labeling.statistics.pooling import LOG_LINEAR, MEAN, POOLS

MIN_POOL_ROWS = 20

ONE_VALIDATOR, FEW_ROWS, NOT_BETTER = "one_validator", "few_rows", "not_better"


def pool_rule(
    pool: str, *, validators: Sequence[int], scored: Sequence[Scored], question: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rule's keys for `pool`, and the figures behind them for the policy's evidence.

    A pool that is not better than the mean on rows that it was not fitted on gives way to the
    mean, and so does one with nothing to fit; the evidence says which and why.
    """
    if pool not in POOLS:
        raise ActionRefused(
            _("There is no pool “%(pool)s”. There are: %(known)s.")
            % {"pool": pool, "known": ", ".join(POOLS)}
        )
    if pool == MEAN:
        return {"pool": MEAN}, {"asked_for": MEAN, "used": MEAN}
    rows = fitting_rows(validators, scored, question)
    if len(validators) < 2:
        return _fall_back(pool, ONE_VALIDATOR)
    if len(rows) < MIN_POOL_ROWS:
        return _fall_back(pool, FEW_ROWS, rows=len(rows), needed=MIN_POOL_ROWS)
    compared = compare(rows, pool)
    if not compared.is_better:
        return _fall_back(pool, NOT_BETTER, **asdict(compared))
    fitted = fit_pool(rows, pool)
    names = [str(validator) for validator in validators]
    rule: dict[str, Any] = {
        "pool": pool,
        "weights": dict(zip(names, fitted.shares, strict=True)),
    }
    if pool == LOG_LINEAR:
        rule |= {"temperature": fitted.temperature, "floor": fitted.floor}
    return rule, {"asked_for": pool, "used": pool, **asdict(compared)}


def _fall_back(pool: str, why: str, **figures: float) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"pool": MEAN}, {"asked_for": pool, "used": MEAN, "why": why, **figures}


def fitting_rows(validators: Sequence[int], scored: Sequence[Scored], question: str) -> list[Row]:
    """The tasks that every validator has answered, with what is right of each."""
    rows = []
    for one in scored:
        answers = {
            verdict.validator_id: verdict
            for verdict in one.evidence.verdicts
            if not verdict.failure
        }
        if not set(validators) <= set(answers):
            continue
        said = [answers[validator].probabilities for validator in validators]
        asked = answers[validators[0]].asked_label_id if validators else None
        rows.append(Row(said, right_options(one, said, asked, question)))
    return rows


def right_options(
    one: Scored, said: Sequence[dict[str, float]], asked: int | None, question: str
) -> frozenset[str]:
    """The options that agree with the expert. Where no candidate does, `unk` is the right one."""
    if question == Question.BINARY:
        return frozenset({"yes" if one.is_right(asked) else "no"})
    offered = {option for answer in said for option in answer if option != UNK}
    right = frozenset(option for option in offered if one.is_right(int(option)))
    return right or frozenset({UNK})


def pool_in_words(evidence: dict[str, Any]) -> str:
    """What became of the pool that was asked for; empty where it was the mean."""
    if evidence.get("asked_for", MEAN) == MEAN:
        return ""
    figures = {
        name: f"{value:.4f}" if isinstance(value, float) else value
        for name, value in evidence.items()
    }
    sentences = {
        ONE_VALIDATOR: _(
            "There is one validator only, so there is nothing to weigh: the mean is used."
        ),
        FEW_ROWS: _(
            "Only %(rows)s answers of “tune” have a verdict of every validator, and %(needed)s "
            "are needed to fit weights: the mean is used."
        ),
        NOT_BETTER: _(
            "Fitted weights were not better than the mean on answers that they were not fitted on "
            "(loss %(fitted_loss)s against %(mean_loss)s, %(rows)s rows): the mean is used."
        ),
        "": _(
            "Fitted weights against the mean, on answers that they were not fitted on: loss "
            "%(fitted_loss)s against %(mean_loss)s (%(rows)s rows; 95 %% interval of the "
            "difference %(low)s to %(high)s)."
        ),
    }
    return sentences[str(evidence.get("why", ""))] % figures
