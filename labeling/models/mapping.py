"""Saved label mappings: what an outside system calls the labels of a project."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.label import Label
from labeling.models.project import Member, Project


class LabelMapping(models.Model):
    """Names of one outside system, used by its name wherever predictions come in."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="mappings")
    name = models.SlugField(max_length=64, db_index=False)
    changed_at = models.DateTimeField(default=timezone.now, editable=False)
    changed_by = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ["project", "name"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="mapping_once_per_project")
        ]

    def __str__(self) -> str:
        return self.name


class MappedName(models.Model):
    """One outside name and the label that it means. Where that label was merged since, it means
    the one that stayed (`actions.label_mapping`)."""

    mapping = models.ForeignKey(LabelMapping, on_delete=models.CASCADE, related_name="names")
    name = models.CharField(max_length=200, help_text=_("What the outside system says."))
    label = models.ForeignKey(Label, on_delete=models.CASCADE, related_name="mapped_names")

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["mapping", "name"], name="mapped_name_once")]

    def __str__(self) -> str:
        return f"{self.name} → {self.label}"
