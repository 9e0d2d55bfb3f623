"""Registrations: somebody asked for a server to be probed and put in use as a validator."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.project import Member, Project
from labeling.models.verdict import Validator


class Registration(models.Model):
    """What was asked for on the page, and what became of it. The probe is work of a job, since
    the web process knows no client."""

    class Status(models.TextChoices):
        WAITING = "waiting", _("waiting for a worker")
        RUNNING = "running", _("the server is being asked")
        DONE = "done", _("registered")
        REFUSED = "refused", _("refused")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="registrations")
    options = models.JSONField(help_text=_("What the job takes; keys are named, never stored."))
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.WAITING)
    said = models.TextField(blank=True, help_text=_("What came of it, in words."))
    validator = models.ForeignKey(
        Validator, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    asked_by = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    actor = models.CharField(max_length=150, help_text=_("Who asked, for history."))
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project"],
                condition=Q(finished_at__isnull=True),
                name="registration_one_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["done", "refused"], finished_at__isnull=False)
                | Q(status__in=["waiting", "running"], finished_at__isnull=True),
                name="registration_ended_has_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.options.get('name')}: {self.status}"

    @property
    def is_open(self) -> bool:
        return self.finished_at is None
