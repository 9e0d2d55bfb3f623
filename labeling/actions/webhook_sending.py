"""The rows of sending to webhooks: a claim, notices that become deliveries, and tries.

The claim is on the webhook, not on its deliveries, so that one worker at a time sends them, in
their order. A worker that dies between a request and its note leaves the delivery waiting, and the
next one sends it again under the same id: at least once.
"""

from __future__ import annotations

import datetime
import random
import uuid
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from labeling import dispatch, rules
from labeling.actions.webhook_body import write_body
from labeling.models import Delivery, Webhook, WebhookEvent

MOST_EVENTS = 500
"""Events that one request tells: a stream of a million makes two thousand requests."""
KEPT = datetime.timedelta(days=30)
"""How long a delivery stays in the log after its end."""
DROPPED_AT_ONCE = 1_000
REPLY_CHARACTERS = 1_000


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What became of a request: the code and the head of the reply, or why there is none."""

    code: int | None = None
    reply: str = ""
    failure: str = ""


def claim_webhook(webhook_id: int, *, worker: str) -> Webhook | None:
    """Take a webhook in hand; None where there is nothing to send or another worker has it."""
    now = timezone.now()
    found = Webhook.objects.with_work(now).filter(pk=webhook_id).select_related("project").first()
    if found is None:
        return None
    token = f"{worker[:40]}/{uuid.uuid4().hex}"
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lt=now)
    # No join: a joined condition would leave the WHERE of a conditional UPDATE.
    claimed = Webhook.objects.filter(free, pk=webhook_id, active=True).update(
        claimed_by=token, claimed_until=_claim_ends()
    )
    found.claimed_by = token
    return found if claimed else None


def hold_webhook(webhook: Webhook) -> bool:
    """Keep it in hand for the next request, as its admins want it now; False where the claim was
    lost, or it was paused."""
    if not _mine(webhook).filter(active=True).update(claimed_until=_claim_ends()):
        return False
    webhook.refresh_from_db(fields=["url", "secret_variable"])
    return True


def let_go(webhook: Webhook) -> None:
    _mine(webhook).update(claimed_by="", claimed_until=None)


def _mine(webhook: Webhook) -> QuerySet[Webhook]:
    return Webhook.objects.filter(pk=webhook.pk, claimed_by=webhook.claimed_by)


def _claim_ends() -> datetime.datetime:
    """Well after the longest request."""
    return timezone.now() + datetime.timedelta(seconds=30 + 2 * settings.WEBHOOK_SECONDS)


def next_delivery(webhook: Webhook) -> Delivery | None:
    """What is to be sent next: what is due, in the order of its number, else what was not told yet.

    A delivery that waits for another try holds up none behind it.
    """
    due = webhook.deliveries.due(timezone.now()).order_by("number").first()
    return due or _form_delivery(webhook)


@transaction.atomic
def _form_delivery(webhook: Webhook) -> Delivery | None:
    """One delivery of up to `MOST_EVENTS` notices; a test goes in one of its own."""
    notices = list(webhook.notices.order_by("pk")[:MOST_EVENTS])
    if not notices or not _mine(webhook).update(formed=F("formed") + 1):
        return None
    tests = [place for place, one in enumerate(notices) if one.event == WebhookEvent.TEST]
    if tests:
        notices = notices[: tests[0] or 1]
    webhook.refresh_from_db(fields=["formed"])
    delivery = Delivery(webhook=webhook, number=webhook.formed, events=len(notices))
    delivery.body = write_body(webhook, delivery, notices)
    delivery.save()
    webhook.notices.filter(pk__in=[one.pk for one in notices]).delete()
    return delivery


def note_try(delivery: Delivery, tried: Tried) -> None:
    """Write down how a request ended. Of two workers that sent the same one, the first to write is
    believed, but for a success."""
    now = timezone.now()
    tries = delivery.tries + 1
    fields: dict[str, object] = {
        "tries": tries,
        "tried_at": now,
        "response_code": tried.code,
        "reply": tried.reply[:REPLY_CHARACTERS].replace("\x00", ""),
        "failure": tried.failure[:1_000],
    }
    if not tried.failure:
        fields |= {"status": Delivery.Status.DELIVERED, "finished_at": now}
    elif tries >= rules.WEBHOOK_TRIES:
        fields |= {"status": Delivery.Status.DEAD, "finished_at": now}
    else:
        delay = rules.webhook_delay_seconds(tries, random.random())
        fields["due_at"] = now + datetime.timedelta(seconds=delay)
    waiting = Delivery.objects.filter(pk=delivery.pk, status=Delivery.Status.WAITING)
    if tried.failure:
        waiting = waiting.filter(tries=delivery.tries)
    waiting.update(**fields)


def look_after_webhooks() -> None:
    """Have sent what is due, and drop what has been in the log for long enough."""
    now = timezone.now()
    for pk in Webhook.objects.with_work(now).values_list("pk", flat=True):
        dispatch.tell_webhook(pk)
    old = Delivery.objects.filter(finished_at__lt=now - KEPT).exclude(
        status=Delivery.Status.WAITING
    )
    some = list(old.values_list("pk", flat=True)[:DROPPED_AT_ONCE])
    Delivery.objects.filter(pk__in=some).delete()
    Webhook.objects.filter(ended_at__lt=now - KEPT).delete()
