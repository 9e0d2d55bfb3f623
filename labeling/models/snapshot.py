"""Snapshots: an export as it was at one moment, in a file that changes only to erase a text."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.policy import Policy
from labeling.models.project import Member, Project


class Snapshot(models.Model):
    """What was exported, by which choices, under which labels and policy, and the file's SHA-256.

    `filters` are the choices of the export by name. `labels` (pairs of key and name), `columns`,
    `taxonomy_version`, `policy` and `certificate` are as they stood when the rows were read.
    `rewrites` lists every time that texts were erased from the file: {"at", "reason", "rows",
    "old_sha256", "sha256"}.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", _("waiting for a worker")
        WRITING = "writing", _("being written")
        DONE = "done", _("kept")
        FAILED = "failed", _("not made")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="snapshots")
    number = models.PositiveIntegerField()
    note = models.CharField(max_length=200, blank=True, help_text=_("What it is for, in words."))
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.WAITING)
    failure = models.TextField(blank=True, help_text=_("Why there is none, in words."))
    filters = models.JSONField(default=dict, blank=True)
    schema_version = models.CharField(max_length=10, blank=True)
    taxonomy_version = models.PositiveIntegerField(null=True, blank=True)
    labels = models.JSONField(default=list, blank=True)
    columns = models.JSONField(default=list, blank=True)
    policy = models.ForeignKey(
        Policy, null=True, blank=True, on_delete=models.PROTECT, related_name="snapshots"
    )
    certificate = models.JSONField(null=True, blank=True)
    certificate_hash = models.CharField(max_length=64, blank=True)
    file = models.CharField(
        max_length=200, blank=True, help_text=_("Below the folder of the snapshots.")
    )
    sha256 = models.CharField(max_length=64, blank=True)
    size = models.PositiveBigIntegerField(default=0, help_text=_("Bytes of the file."))
    rows = models.PositiveIntegerField(default=0)
    erased = models.PositiveIntegerField(
        default=0, help_text=_("Rows of which only a tombstone is left.")
    )
    rewrites = models.JSONField(default=list, blank=True)
    created_by = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    actor = models.CharField(max_length=150, help_text=_("Who asked, for history."))
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    claimed_until = models.DateTimeField(null=True, blank=True)
    taken_at = models.DateTimeField(null=True, blank=True, help_text=_("When the rows were read."))

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="snapshot_number_once"),
            models.CheckConstraint(
                condition=Q(
                    status="done", sha256__gt="", file__gt="", taken_at__isnull=False, failure=""
                )
                | Q(status="failed", sha256="", file="", failure__gt="")
                | Q(status__in=["waiting", "writing"], sha256="", file="", failure=""),
                name="snapshot_kept_waits_or_failed",
            ),
            models.CheckConstraint(
                condition=Q(erased__lte=models.F("rows")), name="snapshot_erased_within_rows"
            ),
        ]

    def __str__(self) -> str:
        return f"snapshot {self.number}"
