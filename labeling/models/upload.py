"""Files that come in: looked at on a page or sent over REST, then imported by a job."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.project import Member, Project


class Upload(models.Model):
    """A file and, once somebody has it imported, the job that does so.

    The file lies below the folder of the uploads until the job has ended; nobody who only looks at
    one keeps it for more than a day. `options` say how it is read: see `actions.imports.Options`.
    `rows_read` rows are stored or refused for good: a worker goes on from there.
    """

    class Kind(models.TextChoices):
        PREDICTIONS = "predictions", _("texts and predictions")
        DOCUMENTS = "documents", _("documents")
        PROJECT = "project", _("a project of another annotation tool")

    class Status(models.TextChoices):
        KEPT = "kept", _("looked at")
        WAITING = "waiting", _("waiting for a worker")
        CHECKING = "checking", _("being checked")
        STORING = "storing", _("being stored")
        DONE = "done", _("stored")
        REFUSED = "refused", _("refused: nothing is stored")
        FAILED = "failed", _("ended before its end")
        CANCELLED = "cancelled", _("cancelled by a person")

    OPEN = (Status.WAITING, Status.CHECKING, Status.STORING)
    ENDED = (Status.DONE, Status.REFUSED, Status.FAILED, Status.CANCELLED)

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="uploads")
    member = models.ForeignKey(Member, on_delete=models.CASCADE, related_name="uploads")
    kind = models.CharField(max_length=11, choices=Kind.choices)
    name = models.CharField(max_length=200)
    file = models.CharField(
        max_length=250, blank=True, help_text=_("Below the folder of the uploads.")
    )
    size = models.PositiveBigIntegerField(default=0, help_text=_("Bytes of the file."))
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.KEPT)
    said = models.TextField(blank=True, help_text=_("Why it ended as it did, in words."))
    options = models.JSONField(default=dict, blank=True)
    rows_checked = models.PositiveIntegerField(default=0)
    rows_read = models.PositiveIntegerField(default=0)
    created = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    runs = models.JSONField(
        default=list, blank=True, help_text=_("Numbers of the runs that took its tasks.")
    )
    attempts = models.PositiveSmallIntegerField(
        default=0, help_text=_("Workers that took it since a row of it was last stored.")
    )
    claimed_by = models.CharField(max_length=36, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=["predictions", "documents", "project"]),
                name="upload_kind_known",
            ),
            models.CheckConstraint(
                condition=Q(
                    status__in=["kept", "waiting", "checking", "storing"],
                    finished_at__isnull=True,
                    file__gt="",
                )
                | Q(
                    status__in=["done", "refused", "failed", "cancelled"],
                    finished_at__isnull=False,
                    file="",
                ),
                name="upload_has_its_file_until_it_ended",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_open(self) -> bool:
        """Is a worker at it, or to come?"""
        return self.status in self.OPEN

    @property
    def stored(self) -> int:
        """Rows that brought something new."""
        return self.created + self.updated


class RefusedRow(models.Model):
    """A row of an upload that was not taken: its number, from 0, and why, in a sentence."""

    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="refused_rows")
    row = models.PositiveIntegerField()
    field = models.CharField(max_length=200, blank=True)
    message = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["upload", "row"], name="refused_row_once"),
        ]

    def __str__(self) -> str:
        return f"{self.row}: {self.message}"
