"""Writes over REST that their sender has given a key, and what they were answered."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from labeling.models.project import Project


class Answered(models.Model):
    """One write of one caller under one key. `status` is empty while it is at work."""

    project = models.ForeignKey(
        Project, null=True, blank=True, on_delete=models.CASCADE, related_name="answered"
    )
    caller = models.CharField(max_length=80)
    key = models.CharField(max_length=200)
    digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    body = models.TextField(blank=True)
    began_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["caller", "key"], name="answered_key_once"),
            models.CheckConstraint(
                condition=Q(status__isnull=True, body="") | Q(status__gte=200, status__lt=500),
                name="answered_is_no_failure",
            ),
        ]

    def __str__(self) -> str:
        return self.key
