"""A certificate for what stands now: freeze it, draw rows of it at random, let experts answer.

The draws are answered blind, as audits are (`labeling.actions.audit`), but they are no audits of a
policy: its monitor observes what its own audits drew, and nothing that only a pool drew.
"""

from __future__ import annotations

import hashlib
import secrets

import numpy as np
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.access import Right, has_right
from labeling.actions.answers import agrees
from labeling.actions.errors import ActionRefused, Detail
from labeling.actions.events import Actor, record
from labeling.actions.pool_certificate import pool_certificate
from labeling.models import (
    Annotation,
    Member,
    Policy,
    Pool,
    PoolDraw,
    Project,
    Purpose,
    Resolution,
    Source,
    Task,
)
from labeling.statistics.finite_pool import pool_sample_size, pool_sequence_size

BATCH = 500
MOST = 20_000


def freeze_pool(
    *,
    project: Project,
    alpha: float,
    delta: float,
    by: Actor,
    method: str = Pool.Method.FIXED,
    policy: Policy | None = None,
    errors: int = 0,
) -> Pool:
    """Freeze what stands because machines accepted it (because `policy` did, where one is named),
    and draw as many rows as certify it if at most `errors` of them turn out wrong.

    Raises ActionRefused where nothing stands, and where no sample short of every row would do.
    """
    _check(alpha, delta, method, errors)
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        rows = np.fromiter(_standing(project, policy).values_list("pk", flat=True), dtype="<i8")
        size = len(rows)
        packed = rows.tobytes()
        pool = Pool.objects.create(
            project=project,
            policy=policy,
            method=method,
            alpha=alpha,
            delta=delta,
            size=size,
            sample_size=_sample_size(size, alpha, delta, method, errors),
            seed=secrets.token_hex(16),
            rows=packed,
            rows_hash=hashlib.sha256(packed).hexdigest(),
            created_by=by if isinstance(by, Member) else None,
        )
        _draw(pool, 0, pool.sample_size)
        said = {"method": method, "size": size, "drawn": pool.sample_size, "rows": pool.rows_hash}
        record(project, by, "pool_frozen", pool, new=said)
        _judge(pool)
    return pool


def _check(alpha: float, delta: float, method: str, errors: int) -> None:
    for name, share in (("alpha", alpha), ("delta", delta)):
        if not 0.0 < share < 1.0:
            raise ActionRefused(
                _("Alpha and delta are shares between 0 and 1."),
                [Detail(_("Give a share such as 0.05."), name)],
            )
    if method not in Pool.Method.values:
        raise ActionRefused(
            _("A pool is certified by one of: %(known)s.") % {"known": ", ".join(Pool.Method)},
            [Detail(_("There is no such method."), "method")],
        )
    if errors < 0:
        raise ActionRefused(
            _("The errors to allow for are 0 or more."), [Detail(_("Too few."), "errors")]
        )


def _standing(project: Project, policy: Policy | None) -> QuerySet[Resolution]:
    found = Resolution.objects.current().filter(
        task__project=project, source=Source.AUTO, revision=F("task__revision")
    )
    return (found.filter(decision__policy=policy) if policy else found).order_by("pk")


def _sample_size(size: int, alpha: float, delta: float, method: str, errors: int) -> int:
    """How many rows to draw, or ActionRefused in words."""
    if not size:
        raise ActionRefused(_("Nothing stands here that machines accepted: the pool is empty."))
    find = pool_sample_size if method == Pool.Method.FIXED else pool_sequence_size
    needed = find(size, alpha, delta, errors=errors)
    if needed is None:
        raise ActionRefused(
            _("With %(errors)d errors among %(size)d labels the share %(alpha)s cannot be kept.")
            % {"errors": errors, "size": size, "alpha": alpha}
        )
    if needed >= size:
        raise ActionRefused(
            _(
                "So small a pool cannot be certified by a sample: all %(size)d labels would have "
                "to be looked at."
            )
            % {"size": size}
        )
    if needed > MOST:
        raise ActionRefused(
            _("That takes %(needed)d answers of experts; at most %(most)d can be drawn.")
            % {"needed": needed, "most": MOST}
        )
    return needed


def _draw(pool: Pool, start: int, end: int) -> None:
    """Draw the rows from place `start` to before `end`, in the order that the seed gives."""
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(pool.seed.encode()).digest()))
    order = random.permutation(np.frombuffer(pool.rows, dtype="<i8"))[start:end].tolist()
    for first in range(0, len(order), BATCH):
        batch = order[first : first + BATCH]
        found = Resolution.objects.select_related("label").in_bulk(batch)
        rows = [(start + first + i, found[pk]) for i, pk in enumerate(batch) if pk in found]
        answered = _answered_before([row.task_id for _place, row in rows])
        draws = []
        for place, row in rows:
            if row.label is None:  # no machine's label is: the database sees to it
                continue
            draw = PoolDraw(
                pool=pool,
                place=place,
                task_id=row.task_id,
                revision=row.revision,
                resolution=row,
                label=row.label,
            )
            _fill(draw, answered.get((row.task_id, row.revision)))
            draws.append(draw)
        PoolDraw.objects.bulk_create(draws)


def _answered_before(tasks: list[int]) -> dict[tuple[int, int], Annotation]:
    """Blind answers that experts have given already, by task and revision. Which rows are drawn
    does not depend on them, so they are as good as new ones."""
    given = Annotation.objects.current().filter(task__in=tasks, purpose=Purpose.AUDIT)
    return {
        (one.task_id, one.revision): one
        for one in given.select_related("member").prefetch_related("conf_labels").order_by("pk")
        if has_right(one.member, Right.REVIEW)
    }


def _fill(draw: PoolDraw, annotation: Annotation | None) -> None:
    draw.annotation = annotation
    draw.wrong = None if annotation is None else not agrees(annotation, draw.label_id)
    draw.answered_at = None if annotation is None else timezone.now()


def _judge(pool: Pool) -> None:
    """Note since when the certificate holds, if it does."""
    holds = pool_certificate(pool).holds
    if holds != (pool.certified_at is not None):
        pool.certified_at = timezone.now() if holds else None
        pool.save(update_fields=["certified_at"])


def _open(pool: Pool) -> Pool:
    """The pool locked, or ActionRefused if it is closed."""
    locked = Pool.objects.select_for_update(no_key=True, of=("self",)).get(pk=pool.pk)
    if locked.closed_at is not None:
        raise ActionRefused(_("The pool is closed."))
    return locked


def draw_more(*, pool: Pool, n: int, by: Actor) -> Pool:
    """Draw `n` more rows, where looking before is allowed: the next ones in the pool's order."""
    with transaction.atomic():
        locked = _open(pool)
        if locked.method == Pool.Method.FIXED:
            raise ActionRefused(
                _("The number of rows was fixed before the answers; more would spoil the promise.")
            )
        left = min(locked.size, MOST) - locked.sample_size
        if not 1 <= n <= left:
            raise ActionRefused(_("Between 1 and %(left)d can be drawn.") % {"left": left})
        start = locked.sample_size
        locked.sample_size += n
        locked.save(update_fields=["sample_size"])
        _draw(locked, start, locked.sample_size)
        record(locked.project, by, "pool_drawn_more", locked, new={"drawn": locked.sample_size})
        _judge(locked)
    return locked


def close_pool(*, pool: Pool, by: Actor) -> Pool:
    """Ask experts no more. Draws that nobody answered count as errors from now on."""
    with transaction.atomic():
        locked = _open(pool)
        locked.closed_at = timezone.now()
        locked.save(update_fields=["closed_at"])
        record(locked.project, by, "pool_closed", locked, new={"drawn": locked.sample_size})
        _judge(locked)
    return locked


def pool_draws_of(task: Task) -> QuerySet[PoolDraw]:
    """The draws of the task's present text in pools that are not closed."""
    return PoolDraw.objects.filter(task=task, revision=task.revision, pool__closed_at__isnull=True)


def take_pool_answer(annotation: Annotation) -> None:
    """An expert answered blind: it counts for every pool that waits for it, or that the expert's
    answer before has served. The task is locked by the caller."""
    wanted = Q(answered_at__isnull=True) | Q(annotation__member=annotation.member)
    for draw in pool_draws_of(annotation.task).filter(wanted).order_by("pool"):
        _answer(draw, annotation)


def take_back_pool_answer(annotation: Annotation) -> None:
    """The expert's answer counts no more; what it had answered waits again."""
    served = pool_draws_of(annotation.task).filter(annotation__member=annotation.member)
    for draw in served.order_by("pool"):
        _answer(draw, None)


def _answer(draw: PoolDraw, annotation: Annotation | None) -> None:
    pool = Pool.objects.select_for_update(no_key=True, of=("self",)).get(pk=draw.pool_id)
    if pool.closed_at is None:
        _fill(draw, annotation)
        draw.save(update_fields=["annotation", "wrong", "answered_at"])
        _judge(pool)
