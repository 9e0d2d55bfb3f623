"""The budget of a run: how many more tasks an LLM may be asked about."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from labeling.actions.accounting import Usage, total_money, usage_of_run
from labeling.actions.events import record
from labeling.models import Project, Reasoning, Run, Validator, Verdict


@dataclass(frozen=True)
class Budget:
    """What the LLMs of a run may take (None: no limit) and have taken."""

    tokens: int | None
    money: float | None
    spent_tokens: int
    spent_money: float | None

    @property
    def is_spent(self) -> bool:
        over = self.tokens is not None and self.spent_tokens >= self.tokens
        return over or (self.money is not None and (self.spent_money or 0.0) >= self.money)


def budget_of(run: Run) -> Budget:
    """Read afresh, since the budget may be raised while the run is under way."""
    tokens, money = Project.objects.values_list("budget_tokens", "budget_money").get(
        pk=run.project_id
    )
    verdicts, reasons = usage_of_run(run, of=Validator.Kind.LLM)
    return _budget(tokens, money, [*verdicts, *reasons])


def affordable(
    run: Run, validator: Validator, wanted: int, *, of: type[Verdict | Reasoning] = Verdict
) -> int:
    """How many of `wanted` tasks `validator` may be asked about within the run's budget, for its
    verdict or for its reasons.

    Estimated from what its verdicts, or reasons, in this run took on average; before the first one,
    one task is asked about. Validators that are no LLMs cost nothing. Workers that ask at the same
    moment do not see each other's tasks, so together they may overdraw by what they are asking
    about.
    """
    if validator.kind != Validator.Kind.LLM:
        return wanted
    limits = Project.objects.values_list("budget_tokens", "budget_money").get(pk=run.project_id)
    if limits == (None, None):
        return wanted
    verdicts, reasons = usage_of_run(run, of=Validator.Kind.LLM)
    budget = _budget(*limits, [*verdicts, *reasons])
    if budget.is_spent:
        return 0
    mine = _answered(validator, verdicts if of is Verdict else reasons)
    if mine is not None:
        return min(wanted, _fits(budget, mine))
    # Reasons take no less than a verdict.
    least = _answered(validator, verdicts)
    return min(wanted, 1, _fits(budget, least) if least is not None else 1)


def _answered(validator: Validator, usages: Iterable[Usage]) -> Usage | None:
    """What `validator` took, if it has answered at all."""
    return next((one for one in usages if one.validator.pk == validator.pk and one.answers), None)


def _fits(budget: Budget, usage: Usage) -> int:
    """Tasks that the rest of the budget is enough for, at what one took on average."""
    fits = math.inf
    if budget.tokens is not None and usage.tokens:
        fits = (budget.tokens - budget.spent_tokens) * usage.answers / usage.tokens
    if budget.money is not None and usage.money:
        left = budget.money - (budget.spent_money or 0.0)
        fits = min(fits, left * usage.answers / usage.money)
    return 10**9 if math.isinf(fits) else int(fits)


def _budget(tokens: int | None, money: float | None, usages: list[Usage]) -> Budget:
    return Budget(tokens, money, sum(one.tokens for one in usages), total_money(usages))


def stopped_by_budget(run: Run) -> None:
    """Note, once, that the budget kept an LLM from being asked. Tasks go on without its verdict."""
    with transaction.atomic():
        changed = Run.objects.filter(pk=run.pk, budget_stopped_at__isnull=True).update(
            budget_stopped_at=timezone.now()
        )
        if changed:
            budget = budget_of(run)
            spent = {"tokens": budget.spent_tokens, "money": budget.spent_money}
            record(run.project, "pipeline", "budget_spent", run, new=spent)
