"""Files that somebody looks at before they are imported."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.project import Member, Project


class Upload(models.Model):
    """A file as it came, kept while its member looks at it, and for a day at most. In a row, so
    that any web process can read it."""

    class Kind(models.TextChoices):
        PREDICTIONS = "predictions", _("texts and predictions")
        DOCUMENTS = "documents", _("documents")
        PROJECT = "project", _("a project of another annotation tool")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="uploads")
    member = models.ForeignKey(Member, on_delete=models.CASCADE, related_name="uploads")
    kind = models.CharField(max_length=11, choices=Kind.choices)
    name = models.CharField(max_length=200)
    content = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind__in=["predictions", "documents", "project"]),
                name="upload_kind_known",
            )
        ]

    def __str__(self) -> str:
        return self.name
