"""Webhooks as admins set them up: made, changed, ended, tested, and sent again."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling import dispatch
from labeling.actions.errors import ActionRefused, Detail
from labeling.actions.events import record
from labeling.models import Delivery, Member, Notice, Project, Webhook, WebhookEvent

SECRET_VARIABLE = r"WEBHOOK_SECRET[A-Z0-9_]{0,50}"
ASKED_FOR = tuple(event for event in WebhookEvent if event != WebhookEvent.TEST)
MOST_WEBHOOKS = 20
FIELDS = ("url", "events", "secret_variable", "active")


@transaction.atomic
def make_webhook(
    *, project: Project, url: str, events: Sequence[str], secret_variable: str, by: Member
) -> Webhook:
    """Tell `url` of these events from now on."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    if project.webhooks.filter(ended_at__isnull=True).count() >= MOST_WEBHOOKS:
        raise ActionRefused(
            _("A project has at most %(n)d webhooks; end one first.") % {"n": MOST_WEBHOOKS}
        )
    webhook = Webhook(
        project=project,
        url=url,
        events=_in_order(events),
        secret_variable=secret_variable,
        created_by=by,
    )
    _check(webhook)
    webhook.save()
    record(project, by, "webhook_made", webhook, new=_summary(webhook))
    return webhook


@transaction.atomic
def change_webhook(*, webhook: Webhook, by: Member, **changes: Any) -> Webhook:
    """Change `url`, `events`, `secret_variable` or `active`. While a webhook is paused nothing is
    noted for it; what waited before is sent once it goes on."""
    locked = _standing(webhook)
    before = _summary(locked)
    for name, value in changes.items():
        assert name in FIELDS, name
        setattr(locked, name, _in_order(value) if name == "events" else value)
    _check(locked)
    locked.save(update_fields=FIELDS)
    if _summary(locked) != before:
        record(locked.project, by, "webhook_changed", locked, old=before, new=_summary(locked))
    return locked


@transaction.atomic
def end_webhook(*, webhook: Webhook, by: Member) -> Webhook:
    """Tell it nothing any more. The log of its deliveries stays for a while."""
    locked = _standing(webhook)
    locked.active, locked.ended_at = False, timezone.now()
    locked.save(update_fields=["active", "ended_at"])
    locked.notices.all().delete()
    record(locked.project, by, "webhook_ended", locked, old=_summary(locked))
    return locked


@transaction.atomic
def send_test(*, webhook: Webhook, by: Member) -> None:
    """Send an event that says nothing, so that somebody can see whether it arrives."""
    locked = _standing(webhook)
    _going(locked)
    Notice.objects.create(webhook=locked, event=WebhookEvent.TEST, object_id=locked.pk)
    record(locked.project, by, "webhook_tested", locked)
    dispatch.tell_webhook(locked.pk)


@transaction.atomic
def send_again(*, delivery: Delivery, by: Member) -> Delivery:
    """Send a delivery again now, with the same id and body, and all tries before it."""
    webhook = _standing(delivery.webhook)
    _going(webhook)
    delivery = Delivery.objects.select_for_update().get(pk=delivery.pk)
    Delivery.objects.filter(pk=delivery.pk).update(
        status=Delivery.Status.WAITING, due_at=timezone.now(), tries=0, finished_at=None
    )
    said = {"number": delivery.number, "status": delivery.status}
    record(webhook.project, by, "webhook_sent_again", webhook, old=said)
    dispatch.tell_webhook(webhook.pk)
    delivery.refresh_from_db()
    return delivery


def _standing(webhook: Webhook) -> Webhook:
    locked = Webhook.objects.select_for_update(no_key=True).get(pk=webhook.pk)
    if locked.ended_at is not None:
        raise ActionRefused(_("This webhook is ended."))
    return locked


def _going(webhook: Webhook) -> None:
    if not webhook.active:
        raise ActionRefused(_("The webhook is paused, so nothing is sent. Let it go on first."))


def _in_order(events: Sequence[str]) -> list[str]:
    return [str(event) for event in ASKED_FOR if event in events]


def _summary(webhook: Webhook) -> dict[str, Any]:
    return {name: getattr(webhook, name) for name in FIELDS}


def _check(webhook: Webhook) -> None:
    problems = [Detail(why, "url") for why in url_problems(webhook.url)]
    if not webhook.events:
        problems.append(Detail(_("Choose at least one event."), "events"))
    if not re.fullmatch(SECRET_VARIABLE, webhook.secret_variable):
        why = _(
            "Name an environment variable that begins with WEBHOOK_SECRET: capital letters, digits "
            "and underscores. The secret itself is never entered here."
        )
        problems.append(Detail(why, "secret_variable"))
    if problems:
        raise ActionRefused(problems[0].message, problems)


def url_problems(url: str) -> list[str]:
    """Why nothing can be sent to this address, as far as its letters tell; empty if they do not.
    Which machine its host is gets looked at when something is sent."""
    if len(url) > 500 or not re.fullmatch(r"[!-~]+", url):
        return [_("An address has at most 500 characters, ASCII alone and no spaces.")]
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        return [_("This is no address of the form https://host/path.")]
    if parts.scheme not in ("https", "http") or not host or parts.fragment or "@" in parts.netloc:
        return [_("This is no address of the form https://host/path.")]
    inside = is_inside(host)
    if not inside and not ({host, "*"} & {one.lower() for one in settings.WEBHOOK_HOSTS}):
        return [
            _(
                "The host “%(host)s” is not on the list of hosts that webhooks may call. Who runs "
                "this site can allow it: WEBHOOK_HOSTS for a public host, WEBHOOK_INSIDE_HOSTS for "
                "one of your own network."
            )
            % {"host": host}
        ]
    if not inside and (parts.scheme != "https" or _is_private(host)):
        return [_("A host outside of this network is called by https, at a public address.")]
    return []


def is_inside(host: str) -> bool:
    """Do the settings name `host` as one of this network?"""
    return host.lower() in {one.lower() for one in settings.WEBHOOK_INSIDE_HOSTS}


def _is_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False
