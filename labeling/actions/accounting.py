"""What validators cost and how fast they are, counted from their verdicts and reasons.

Money is counted at the prices that stand now. A call for a verdict wrote one token, unless the
server told how many. Failures count with what the server read and wrote all the same. A failure
that is tried again, which is one of the connection, leaves no row and does not count.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Aggregate, Avg, Count, IntegerField, Max, Min, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from labeling.models import Decision, Reasoning, Run, Validator, Verdict

WINDOW = datetime.timedelta(minutes=5)
MILLION = 1_000_000
_WROTE = Coalesce("written_tokens", "server_calls", output_field=IntegerField())
"""As `Verdict.wrote`."""


@dataclass(frozen=True)
class Usage:
    """What some verdicts, or some reasons, of one validator took. `cached_tokens` is None where no
    server told, `money` where the validator has no prices, `latency_ms` (of one task) without
    answers and of reasons. `tokens` were read, `written` were written."""

    validator: Validator
    answers: int
    failures: int
    calls: int
    tokens: int
    cached_tokens: int | None
    written: int
    latency_ms: float | None
    money: float | None


@dataclass(frozen=True)
class Speed:
    """Tasks per second over the last minutes of a run: answers by validator name, and decisions."""

    by_validator: Mapping[str, float]
    overall: float
    seconds: float


def usage_of(verdicts: QuerySet[Verdict]) -> list[Usage]:
    """What these verdicts took, by validator in order of name."""
    return _by_validator(verdicts, latency=Avg("latency_ms", filter=Q(failure="")))


def usage_of_reasons(reasons: QuerySet[Reasoning]) -> list[Usage]:
    """What was asked for after the decision took, by validator in order of name."""
    return _by_validator(reasons.filter(server_calls__gt=0))


def usage_of_run(run: Run, *, of: Validator.Kind | None = None) -> tuple[list[Usage], list[Usage]]:
    """What the verdicts of a run took, and what its reasons did; with `of`, those of the validators
    of that kind."""
    counted = {"run": run} | ({"validator__kind": of} if of else {})
    verdicts, reasons = Verdict.objects.filter(**counted), Reasoning.objects.filter(**counted)
    return usage_of(verdicts), usage_of_reasons(reasons)


def _by_validator(
    rows: QuerySet[Verdict] | QuerySet[Reasoning], **latency: Aggregate
) -> list[Usage]:
    counted = (
        rows.order_by()
        .values("validator")
        .annotate(
            answered=Count("pk", filter=Q(failure="")),
            failed=Count("pk", filter=~Q(failure="")),
            calls=Sum("server_calls"),
            read=Sum("tokens"),
            cached=Sum("cached_tokens"),
            written=Sum(_WROTE),
            **latency,
        )
    )
    found = {row["validator"]: row for row in counted}
    validators = Validator.objects.filter(pk__in=found).order_by("name", "version")
    return [_usage(validator, found[validator.pk]) for validator in validators]


def _usage(validator: Validator, row: Mapping[str, Any]) -> Usage:
    calls, read, cached = row["calls"], row["read"], row["cached"]
    return Usage(
        validator=validator,
        answers=row["answered"],
        failures=row["failed"],
        calls=calls,
        tokens=read,
        cached_tokens=cached,
        written=row["written"],
        latency_ms=row.get("latency"),
        money=money(validator, tokens=read, cached_tokens=cached or 0, written=row["written"]),
    )


def money(validator: Validator, *, tokens: int, cached_tokens: int, written: int) -> float | None:
    """What so many tokens cost at the validator's prices; None where it has none."""
    prices = (validator.price_input, validator.price_cached, validator.price_output)
    if all(price is None for price in prices):
        return None
    read, cached, output = prices
    read = read or 0.0
    cached = read if cached is None else cached
    fresh = tokens - cached_tokens
    return (fresh * read + cached_tokens * cached + written * (output or 0.0)) / MILLION


def total_money(usages: Iterable[Usage]) -> float | None:
    """The sum over validators that have prices; None where none has."""
    known = [usage.money for usage in usages if usage.money is not None]
    return sum(known) if known else None


def speed_of(run: Run, *, now: datetime.datetime | None = None) -> Speed:
    """How fast a run is at the moment, counted over the last five minutes.

    A run that ended is looked at in the five minutes before its last verdict or decision.
    """
    now = now or timezone.now()
    verdicts = Verdict.objects.filter(run=run)
    decisions = Decision.objects.filter(run=run, mode=Decision.Mode.LIVE)
    until = now
    if run.completed_at is not None:
        last = [rows.aggregate(at=Max("created_at"))["at"] for rows in (verdicts, decisions)]
        until = max((at for at in last if at is not None), default=now)
    since = until - WINDOW
    recent = verdicts.filter(created_at__gt=since, failure="")
    by_name = list(recent.order_by().values("validator__name").annotate(n=Count("pk")))
    decided = decisions.filter(created_at__gt=since).count()
    began = recent.aggregate(at=Min("created_at"))["at"] or until
    if run.created_at > since:
        began = min(began, run.created_at)
    seconds = max((until - max(began, since)).total_seconds(), 1.0)
    return Speed(
        by_validator={row["validator__name"]: row["n"] / seconds for row in by_name},
        overall=decided / seconds,
        seconds=seconds,
    )
