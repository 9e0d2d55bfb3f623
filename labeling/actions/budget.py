"""The budget of a run: how many more tasks an LLM may be asked about."""

from __future__ import annotations

import math
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from labeling.actions.accounting import Usage, total_money, usage_of
from labeling.actions.events import record
from labeling.models import Project, Run, Validator, Verdict


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
    return _budget(tokens, money, _llm_usage(run))


def affordable(run: Run, validator: Validator, wanted: int) -> int:
    """How many of `wanted` tasks `validator` may be asked about within the run's budget.

    Estimated from what its verdicts in this run took on average; before the first one, one task is
    asked about. Validators that are no LLMs cost nothing. Workers that ask at the same moment do
    not see each other's tasks, so together they may overdraw by what they are asking about.
    """
    if validator.kind != Validator.Kind.LLM:
        return wanted
    limits = Project.objects.values_list("budget_tokens", "budget_money").get(pk=run.project_id)
    if limits == (None, None):
        return wanted
    usages = _llm_usage(run)
    budget = _budget(*limits, usages)
    if budget.is_spent:
        return 0
    mine = next((one for one in usages if one.validator.pk == validator.pk), None)
    if mine is None or not mine.verdicts:
        return min(wanted, 1)
    return min(wanted, _fits(budget, mine))


def _fits(budget: Budget, usage: Usage) -> int:
    """Tasks that the rest of the budget is enough for, at what one took on average."""
    fits = math.inf
    if budget.tokens is not None and usage.tokens:
        fits = (budget.tokens - budget.spent_tokens) * usage.verdicts / usage.tokens
    if budget.money is not None and usage.money:
        left = budget.money - (budget.spent_money or 0.0)
        fits = min(fits, left * usage.verdicts / usage.money)
    return 10**9 if math.isinf(fits) else int(fits)


def _budget(tokens: int | None, money: float | None, usages: list[Usage]) -> Budget:
    return Budget(tokens, money, sum(one.tokens for one in usages), total_money(usages))


def _llm_usage(run: Run) -> list[Usage]:
    return usage_of(Verdict.objects.filter(run=run, validator__kind=Validator.Kind.LLM))


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
