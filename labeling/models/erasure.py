"""Erased texts: what stays of one is that there was one, and why it went."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.project import Member, Project
from labeling.models.task import Task


class Erasure(models.Model):
    """The tombstone of a task whose text was erased (DESIGN 8.9). It never holds a text.

    `removed`: {kind of row: how many}. Until `finished_at` a worker has yet to put a tombstone in
    the place of the task's row in the files of snapshots.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="erasures")
    task = models.OneToOneField(Task, on_delete=models.CASCADE, related_name="erasure")
    reason = models.CharField(max_length=300, help_text=_("Why, without quoting the text."))
    removed = models.JSONField(default=dict, blank=True)
    member = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    actor = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(reason__gt=""), name="erasure_says_why")
        ]
        indexes = [
            models.Index(
                fields=["project"],
                condition=models.Q(finished_at__isnull=True),
                name="erasure_unfinished",
            )
        ]

    def __str__(self) -> str:
        return f"{self.task_id} erased"
