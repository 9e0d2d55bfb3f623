"""Webhooks: who outside is told what happened, and every request that tells it."""

from __future__ import annotations

import datetime
import uuid

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.project import Member, Project


class WebhookEvent(models.TextChoices):
    """What a webhook may ask to be told; `TEST` is sent on request alone."""

    RUN_COMPLETED = "run.completed", _("a run is completed")
    TASK_RESOLVED = "task.resolved", _("a task is resolved")
    ALARM_RAISED = "alarm.raised", _("an alarm is raised")
    SNAPSHOT_READY = "snapshot.ready", _("a snapshot is ready")
    TEST = "test", _("a test")


class WebhookQuerySet(models.QuerySet["Webhook"]):
    def standing(self) -> WebhookQuerySet:
        """Those that nobody has ended, of projects in use."""
        return self.filter(ended_at__isnull=True, project__archived_at__isnull=True)

    def with_work(self, now: datetime.datetime) -> WebhookQuerySet:
        """Those with something to send at `now` that no worker has in hand."""
        untold = Notice.objects.filter(webhook=OuterRef("pk"))
        due = Delivery.objects.due(now).filter(webhook=OuterRef("pk"))
        return (
            self.standing()
            .filter(Q(claimed_until__isnull=True) | Q(claimed_until__lt=now), active=True)
            .filter(Exists(untold) | Exists(due))
        )


class Webhook(models.Model):
    """An address outside that is told of events of a project.

    `secret_variable` names the environment variable of the workers that holds the secret; the
    secret itself is never stored (DESIGN 8.8). `claimed_by` has the webhook in hand until
    `claimed_until`: one worker at a time, so that requests keep their order.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="webhooks")
    url = models.CharField(max_length=500)
    events = models.JSONField(default=list)
    secret_variable = models.CharField(max_length=64)
    active = models.BooleanField(default=True)
    formed = models.PositiveIntegerField(default=0, help_text=_("Deliveries so far."))
    claimed_by = models.CharField(max_length=80, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = WebhookQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(secret_variable__startswith="WEBHOOK_SECRET"),
                name="webhook_names_its_secret",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(active=False),
                name="webhook_ended_is_not_active",
            ),
        ]

    def __str__(self) -> str:
        return f"webhook {self.pk}"

    def event_words(self) -> list[str]:
        """What it is told, in words."""
        return [str(WebhookEvent(event).label) for event in self.events]


class Notice(models.Model):
    """Something happened that a webhook is to be told. Written in the transaction of what happened,
    and gone once a delivery tells it. Holds ids and names, never a text."""

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="notices")
    event = models.CharField(max_length=20, choices=WebhookEvent.choices)
    object_id = models.BigIntegerField()
    said = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(event__in=WebhookEvent.values), name="notice_event_known"
            )
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.object_id}"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def due(self, now: datetime.datetime) -> DeliveryQuerySet:
        return self.filter(status=Delivery.Status.WAITING, due_at__lte=now)


class Delivery(models.Model):
    """One request to a webhook: the same body and id however often it is tried."""

    class Status(models.TextChoices):
        WAITING = "waiting", _("waiting")
        DELIVERED = "delivered", _("delivered")
        DEAD = "dead", _("given up")

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    number = models.PositiveIntegerField(help_text=_("Counts the deliveries of a webhook."))
    uid = models.UUIDField(default=uuid.uuid4, editable=False)
    events = models.PositiveIntegerField(help_text=_("How many events it tells."))
    body = models.TextField()
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.WAITING)
    due_at = models.DateTimeField(default=timezone.now)
    tries = models.PositiveSmallIntegerField(
        default=0, help_text=_("Since it was formed, or sent again by hand.")
    )
    response_code = models.PositiveSmallIntegerField(null=True, blank=True)
    reply = models.TextField(blank=True, help_text=_("The first part of the last reply."))
    failure = models.TextField(blank=True, help_text=_("Why the last try failed, in words."))
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    tried_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["webhook", "number"], name="delivery_number_once"),
            models.CheckConstraint(
                condition=Q(status="waiting", finished_at__isnull=True)
                | Q(status="delivered", finished_at__isnull=False, failure="")
                | Q(status="dead", finished_at__isnull=False, failure__gt=""),
                name="delivery_waits_or_ended",
            ),
        ]
        indexes = [
            models.Index(
                fields=["webhook", "due_at", "number"],
                condition=Q(status="waiting"),
                name="delivery_due",
            ),
            models.Index(
                fields=["finished_at"],
                condition=~Q(status="waiting"),
                name="delivery_ended",
            ),
        ]

    def __str__(self) -> str:
        return f"delivery {self.number} of webhook {self.webhook_id}"
