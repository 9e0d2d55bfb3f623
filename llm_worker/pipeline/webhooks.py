"""Telling webhooks: rows to requests, signed, and what came of them back to rows."""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from labeling.actions.webhook_sending import (
    Tried,
    claim_webhook,
    hold_webhook,
    let_go,
    next_delivery,
    note_try,
)
from labeling.actions.webhooks import is_inside, url_problems
from labeling.models import Delivery, Webhook
from llm_worker.clients.outside import OutsideError, post

ROUND_SECONDS = 20.0
"""How long a worker stays with one webhook while others may wait; the sweep sends it back."""


def tell(webhook_id: int, *, worker: str) -> int:
    """Send what a webhook has due, in order, for a while; how many requests were made.

    Where nobody answers, the round ends: the next request would not be answered either.
    """
    webhook = claim_webhook(webhook_id, worker=worker)
    if webhook is None:
        return 0
    sent, until = 0, time.monotonic() + ROUND_SECONDS
    try:
        while time.monotonic() < until and hold_webhook(webhook):
            delivery = next_delivery(webhook)
            if delivery is None:
                break
            tried = send(webhook, delivery)
            note_try(delivery, tried)
            sent += 1
            if tried.code is None:
                break
    finally:
        let_go(webhook)
    return sent


def send(webhook: Webhook, delivery: Delivery) -> Tried:
    """One request. What the settings allow is looked at anew, for they may have changed."""
    secret = os.environ.get(webhook.secret_variable, "").strip()
    if not secret:
        words = _("The environment variable %(name)s, which holds the secret, is not set here.")
        return Tried(failure=words % {"name": webhook.secret_variable})
    problems = url_problems(webhook.url)
    if problems:
        return Tried(failure=problems[0])
    body = delivery.body.encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Countersign",
        "Countersign-Delivery": str(delivery.uid),
        "Countersign-Signature": signature(body, secret, at=int(time.time())),
    }
    inside = is_inside(urlsplit(webhook.url).hostname or "")
    try:
        reply = post(webhook.url, body, headers, inside=inside, seconds=settings.WEBHOOK_SECONDS)
    except OutsideError as error:
        return Tried(failure=str(error))
    if 200 <= reply.code < 300:
        return Tried(code=reply.code, reply=reply.text)
    words = _("The server answered %(code)d; only 200 to 299 is a success.")
    if 300 <= reply.code < 400:
        words = _("The server answered %(code)d, which leads elsewhere; that is not followed.")
    return Tried(code=reply.code, reply=reply.text, failure=words % {"code": reply.code})


def signature(body: bytes, secret: str, *, at: int) -> str:
    """`t=SECONDS,v1=HEX`: HMAC-SHA256 of the seconds, a full stop, and the body."""
    signed = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={signed}"
