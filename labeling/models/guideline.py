"""Guidelines for people, of a project and of single labels: every version, and who looked when."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.label import Label
from labeling.models.project import Member, Project
from labeling.models.run import FrozenModel


class GuidelineVersion(FrozenModel):
    """Guidelines as they stood from one moment on: the project's, or one label's. The newest one
    holds; the project's stands in `Project.guidelines`, too."""

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="guideline_versions"
    )
    label = models.ForeignKey(
        Label,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="guideline_versions",
        help_text=_("Empty for those of the project."),
    )
    number = models.PositiveIntegerField()
    text = models.TextField(blank=True, help_text=_("Markdown; empty where they were removed."))
    created_by = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "number"],
                condition=Q(label__isnull=True),
                name="guideline_number_once_per_project",
            ),
            models.UniqueConstraint(
                fields=["label", "number"],
                condition=Q(label__isnull=False),
                name="guideline_number_once_per_label",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label or self.project} v{self.number}"


class GuidelinesRead(models.Model):
    """Which version was the project's newest, of whatever label, when a member last looked."""

    member = models.OneToOneField(Member, on_delete=models.CASCADE, related_name="guidelines_read")
    newest = models.ForeignKey(GuidelineVersion, on_delete=models.CASCADE, related_name="+")
    read_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = _("guidelines read")

    def __str__(self) -> str:
        return f"{self.member} read up to {self.newest_id}"
