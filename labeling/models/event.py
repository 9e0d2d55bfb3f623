"""The history: every change of meaning, in the transaction of the change."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from labeling.models.project import Member, Project


class Event(models.Model):
    """Who did what to which row, old and new value. Never holds a text (DESIGN 8.9)."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="events")
    member = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.PROTECT, related_name="events"
    )
    actor = models.CharField(max_length=150, help_text="The member's name, or which machine.")
    verb = models.CharField(max_length=40)
    object_type = models.CharField(max_length=40)
    object_id = models.BigIntegerField()
    old = models.JSONField(null=True, blank=True)
    new = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["object_type", "object_id", "id"], name="event_of_object"),
            models.Index(fields=["project", "-id"], name="event_of_project"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.verb} {self.object_type} {self.object_id}"
