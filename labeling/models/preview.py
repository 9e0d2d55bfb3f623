"""What an LLM validator would be shown of a task, put together by a job for people to look at."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.task import Task
from labeling.models.verdict import Validator


class PromptPreview(models.Model):
    """The prompt of one task revision for one validator, or why there is none; the newest alone."""

    class Status(models.TextChoices):
        WAITING = "waiting", _("waiting for a worker")
        DONE = "done", _("made")
        FAILED = "failed", _("not made")

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="prompt_previews")
    revision = models.PositiveIntegerField()
    validator = models.ForeignKey(
        Validator, on_delete=models.CASCADE, related_name="prompt_previews"
    )
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.WAITING)
    messages = models.JSONField(
        default=list, blank=True, help_text=_("The chat that is sent: a list of {role, content}.")
    )
    tokens = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("As the server's tokenizer counts them.")
    )
    cut = models.JSONField(default=list, blank=True, help_text=_("What is not shown whole."))
    prompt_hash = models.CharField(max_length=64, blank=True)
    notes = models.JSONField(default=list, blank=True, help_text=_("What a reader should know."))
    failure = models.TextField(blank=True, help_text=_("Why there is no prompt, in words."))
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["task", "validator"], name="preview_newest_alone"),
            models.CheckConstraint(
                condition=Q(status="waiting", failure="", prompt_hash="")
                | Q(status="done", failure="", prompt_hash__gt="")
                | Q(status="failed", failure__gt="", prompt_hash=""),
                name="preview_waits_is_made_or_failed",
            ),
        ]
        indexes = [
            models.Index(
                fields=["created_at"], condition=Q(status="waiting"), name="preview_waiting"
            )
        ]

    def __str__(self) -> str:
        return f"{self.validator} on {self.task_id}"
