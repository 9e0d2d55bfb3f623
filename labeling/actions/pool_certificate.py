"""What the draws of a frozen pool prove of it, in figures and in words."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from labeling.models import Pool
from labeling.statistics.finite_pool import PoolBound, least_bad, pool_bound, pool_sequence_bound


@dataclass(frozen=True)
class PoolCertificate:
    """`bound` is None while there is nothing to say: a number of rows that was fixed beforehand
    tells nothing before all of them are answered. `unanswered` rows count as wrong in it."""

    drawn: int
    answered: int
    bound: PoolBound | None
    unanswered: int = 0
    mended: int = 0
    holds: bool = False

    @property
    def left(self) -> int | None:
        """The most wrong labels of the pool that still stand as they were frozen."""
        return None if self.bound is None else max(self.bound.most - self.mended, 0)


def pool_certificate(pool: Pool) -> PoolCertificate:
    """What the answers so far prove. Once a pool is closed, draws without an answer are errors."""
    draws = pool.draws.order_by("place").values_list("place", "wrong", "resolution__current")
    said = {place: wrong for place, wrong, _current in draws if wrong is not None}
    mended = sum(1 for _place, wrong, current in draws if wrong and not current)
    rows = _rows(pool, said)
    if rows is None:
        return PoolCertificate(pool.sample_size, len(said), None)
    errors = sum(said.get(place, True) for place in range(rows))
    find = pool_bound if pool.method == Pool.Method.FIXED else pool_sequence_bound
    bound = find(pool.size, rows, errors, pool.delta)
    return PoolCertificate(
        drawn=pool.sample_size,
        answered=len(said),
        bound=bound,
        unanswered=sum(place not in said for place in range(rows)),
        mended=mended,
        holds=bound.most < least_bad(pool.size, pool.alpha),
    )


def _rows(pool: Pool, said: dict[int, bool]) -> int | None:
    """How many of the first draws the bound rests on; None where it may not be told yet."""
    if pool.method == Pool.Method.FIXED:
        done = pool.closed_at is not None or len(said) == pool.sample_size
        return pool.sample_size if done else None
    if pool.closed_at is not None:
        return max(said, default=-1) + 1 or None
    # Those answered out of turn wait for the ones before them: which come in early is no chance.
    return next((place for place in range(pool.sample_size + 1) if place not in said), 0) or None


def pool_in_words(pool: Pool) -> list[str]:
    """The certificate, or what it waits for, in sentences."""
    found = pool_certificate(pool)
    if found.bound is None:
        return [_waiting(pool, found)]
    words = {
        "size": found.bound.pool,
        "most": found.bound.most,
        "share": f"{found.bound.share:.2%}",
        "confidence": f"{1 - pool.delta:.0%}",
        "alpha": f"{pool.alpha:.1%}",
        "errors": found.bound.errors - found.unanswered,
        "sampled": found.bound.sampled,
    }
    lines = [
        _("Certified: at most %(alpha)s of this pool is wrong, with confidence %(confidence)s.")
        if found.holds
        else _("Not certified: more than %(alpha)s of this pool may be wrong."),
        _(
            "Of these %(size)d accepted labels at most %(most)d (%(share)s) are wrong, with "
            "confidence %(confidence)s: %(errors)d of %(sampled)d drawn were."
        ),
    ]
    lines = [line % words for line in lines]
    if found.unanswered:
        lines.append(
            ngettext(
                "%(n)d drawn label that nobody answered counts as wrong.",
                "%(n)d drawn labels that nobody answered count as wrong.",
                found.unanswered,
            )
            % {"n": found.unanswered}
        )
    if found.mended:
        lines.append(
            _("%(mended)d found wrong stand no more; of the others at most %(left)d are wrong.")
            % {"mended": found.mended, "left": found.left}
        )
    return lines


def _waiting(pool: Pool, found: PoolCertificate) -> str:
    words = {"answered": found.answered, "drawn": found.drawn}
    if pool.method == Pool.Method.FIXED:
        line = _(
            "%(answered)d of %(drawn)d drawn labels are answered. The certificate comes when all "
            "are: figures before that would not hold."
        )
    else:
        line = _("%(answered)d of %(drawn)d drawn labels are answered; the first one waits.")
    return line % words
