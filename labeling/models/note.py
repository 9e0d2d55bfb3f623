"""Notes from experts to the people whose answers they settled otherwise."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from labeling.models.annotation import Annotation
from labeling.models.project import Member

MAX_NOTE = 2000


class NoteQuerySet(models.QuerySet["Note"]):
    def unread(self) -> NoteQuerySet:
        return self.filter(read_at__isnull=True)


class Note(models.Model):
    """Why an expert settled a task otherwise than the member answered, in the expert's words."""

    annotation = models.ForeignKey(Annotation, on_delete=models.CASCADE, related_name="notes")
    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="notes")
    by = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="notes_written")
    text = models.TextField(max_length=MAX_NOTE)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    read_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = NoteQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(text__gt=""), name="note_says_something"),
            models.CheckConstraint(
                condition=~Q(member=models.F("by")), name="note_goes_to_somebody_else"
            ),
        ]
        indexes = [
            models.Index(fields=["member", "-id"], name="note_of_member"),
            models.Index(fields=["member"], condition=Q(read_at__isnull=True), name="note_unread"),
        ]

    def __str__(self) -> str:
        return f"{self.by_id} to {self.member_id} on {self.annotation_id}"
