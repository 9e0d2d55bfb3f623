"""Keys of writes: the same key and the same request get the same answer, and do nothing twice."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused, Conflict
from labeling.models import Answered, Project

KEPT = datetime.timedelta(hours=24)
AT_WORK = datetime.timedelta(minutes=10)
"""After which a request that has not ended is taken for dead. What it did is undone then, for its
answer is stored in one transaction with it."""


@dataclass(frozen=True)
class Stored:
    """An answer that was given before."""

    status: int
    body: str


def begin(*, project: Project | None, caller: str, key: str, digest: str) -> Stored | int:
    """The answer that this request got before, or the number of the row under which it begins now.

    Raises Conflict while the same request is at work, and ActionRefused where the key was used for
    another request.
    """
    now = timezone.now()
    mine = Answered.objects.filter(caller=caller, key=key)
    mine.filter(began_at__lt=now - KEPT).delete()
    mine.filter(began_at__lt=now - AT_WORK, status__isnull=True).delete()
    try:
        with transaction.atomic():
            begun = Answered.objects.create(
                project=project, caller=caller, key=key, digest=digest, began_at=now
            )
            return begun.pk
    except IntegrityError:
        standing = mine.first()
    if standing is None or (standing.status is None and standing.digest == digest):
        raise Conflict(_("The request with this Idempotency-Key is still at work; ask again."))
    if standing.digest != digest:
        raise ActionRefused(_("This Idempotency-Key was used for another request; take a new one."))
    assert standing.status is not None
    return Stored(standing.status, standing.body)


def keep_answer(pk: int, *, status: int, body: str) -> None:
    """Store what the request was answered. Call in the transaction of what it did: it raises
    Conflict where the request was taken for dead meanwhile, so that it is undone."""
    if not Answered.objects.filter(pk=pk).update(status=status, body=body):
        raise Conflict(
            _("The request took too long: it was taken for dead, so it is undone. Send it again.")
        )


def forget(pk: int) -> None:
    """The request failed, and nothing of it was done: the key may be used again."""
    Answered.objects.filter(pk=pk, status__isnull=True).delete()


def drop_old_answers() -> None:
    """Drop what is older than a day."""
    Answered.objects.filter(began_at__lt=timezone.now() - KEPT).delete()
