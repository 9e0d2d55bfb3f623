"""The rows that may certify, and what has been spent of their confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from numpy.typing import NDArray

from labeling.actions.errors import ActionRefused
from labeling.actions.scored import Scored, rows_hash, scored_of
from labeling.models import (
    BenchmarkItem,
    Configuration,
    DeltaLedger,
    DeltaTest,
    LedgerRow,
    Part,
    Policy,
    Project,
    ReferenceOutcome,
    Sampling,
)
from labeling.statistics.certificates import delta_of_test


@dataclass(frozen=True)
class Certifying:
    """Rows of *certify* that may certify, and what was left out of them and why.

    `weights`, shape (n,), are None for a simple random sample; `open` rows are not settled yet
    and count as errors.
    """

    rows: list[Scored]
    weights: NDArray[np.float64] | None
    not_scored: int
    chosen: int
    open: int

    @property
    def sampling(self) -> str:
        return Sampling.RANDOM if self.weights is None else Sampling.STRATIFIED


def certifying_rows(
    configuration: Configuration, *, open_as_errors: bool, fresh: bool
) -> Certifying:
    """The rows of the part *certify* that were sampled at random and have verdicts.

    With `fresh` only such as no test has used. Refuses where none are left, where rows are not
    settled yet and do not count as errors, and where the sample is not one of known probabilities.
    """
    part = BenchmarkItem.objects.filter(project_id=configuration.project_id, part=Part.CERTIFY)
    if fresh:
        part = part.filter(ledger_row__isnull=True)
    sampled = part.exclude(sampling=Sampling.CHOSEN)
    scored, not_scored = scored_of(configuration, sampled)
    if not scored:
        raise ActionRefused(
            _(
                "No row of the part “certify” was sampled at random, is not used up and has "
                "verdicts of this configuration, so nothing can be certified."
            )
        )
    unsettled = sum(row.item.reference == ReferenceOutcome.OPEN for row in scored)
    if unsettled and not open_as_errors:
        raise ActionRefused(
            ngettext(
                "%(n)d row of the part “certify” is not settled yet. Settle it, or let it count "
                "as an error.",
                "%(n)d rows of the part “certify” are not settled yet. Settle them, or let them "
                "count as errors.",
                unsettled,
            )
            % {"n": unsettled}
        )
    chosen = part.filter(sampling=Sampling.CHOSEN).count()
    return Certifying(scored, _weights(scored), not_scored, chosen, unsettled)


def _weights(rows: Sequence[Scored]) -> NDArray[np.float64] | None:
    kinds = {row.item.sampling for row in rows}
    if kinds == {Sampling.RANDOM}:
        return None
    chances = [row.item.inclusion_probability for row in rows]
    if len(kinds) > 1 or None in chances:
        raise ActionRefused(
            _(
                "The part “certify” holds stratified rows whose probability of being drawn is not "
                "known, or rows that were sampled in different ways. It cannot certify."
            )
        )
    known = np.array(chances, dtype=np.float64)
    return np.asarray(known.min() / known, dtype=np.float64)


@dataclass(frozen=True)
class Allowance:
    """What a test may spend: number `number` on the rows of `ledger`."""

    ledger: DeltaLedger
    number: int
    delta: float

    @property
    def spent(self) -> float:
        return delta_of_test(self.delta, self.number)


def open_account(project: Project, rows: Sequence[Scored], delta: float) -> Allowance:
    """The allowance of the next test on these rows. Call it with the project's row locked.

    A row that a test has used stays in that test's ledger for good; rows that are new join the
    newest of the ledgers, and only if all are new a ledger is opened.
    """
    ids = [row.item.pk for row in rows]
    used = LedgerRow.objects.filter(ledger__project=project)
    standing = {row.item_id: row.ledger_id for row in used}
    ledgers = sorted({standing[pk] for pk in ids if pk in standing})
    ledger = (
        DeltaLedger.objects.get(pk=ledgers[-1])
        if ledgers
        else DeltaLedger.objects.create(project=project)
    )
    LedgerRow.objects.bulk_create(
        (LedgerRow(ledger=ledger, item_id=pk) for pk in ids if pk not in standing), batch_size=500
    )
    # Tests on any of these rows count, whatever ledger they stand in.
    before = DeltaTest.objects.filter(ledger__in=[*ledgers, ledger.pk]).count()
    return Allowance(ledger, before + 1, delta)


def enter(allowance: Allowance, policy: Policy, rows: Sequence[Scored], *, held: bool) -> DeltaTest:
    """Write the test into the ledger."""
    return DeltaTest.objects.create(
        ledger=allowance.ledger,
        number=allowance.number,
        policy=policy,
        delta=allowance.delta,
        spent=allowance.spent,
        held=held,
        rows_hash=rows_hash(rows),
        item_ids=[row.item.pk for row in rows],
    )


def rows_changed(policy: Policy) -> bool:
    """Whether a reference of the rows behind the policy's certificate is another by now, or a row
    has gone."""
    test = DeltaTest.objects.filter(policy=policy).first()
    if test is None:
        return False
    items = BenchmarkItem.objects.filter(pk__in=test.item_ids)
    scored, gone = scored_of(policy.configuration, items)
    return gone > 0 or rows_hash(scored) != test.rows_hash
