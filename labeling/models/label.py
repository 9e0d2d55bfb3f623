"""Labels and the versions of a label set."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.project import Member, Project

KEY_PATTERN = r"^[^\s\x00-\x1f]{1,100}$"


class LabelQuerySet(models.QuerySet["Label"]):
    def active(self) -> LabelQuerySet:
        return self.filter(retired_at__isnull=True)


class Label(models.Model):
    """One class. The key never changes; rows refer to labels by id."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="labels")
    key = models.CharField(max_length=100, validators=[RegexValidator(KEY_PATTERN)], editable=False)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    examples = models.JSONField(default=list, blank=True, help_text=_("Texts that fit."))
    counter_examples = models.JSONField(
        default=list, blank=True, help_text=_("Texts that look alike but do not fit.")
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    retired_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = LabelQuerySet.as_manager()

    class Meta:
        ordering = ["project", "id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "key"], name="label_key_once_per_project"),
            models.UniqueConstraint(
                fields=["project", "name"],
                condition=Q(retired_at__isnull=True),
                name="label_name_once_per_project",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class LabelAlias(models.Model):
    """A former name, still understood at ingest."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="label_aliases")
    name = models.CharField(max_length=200)
    label = models.ForeignKey(Label, on_delete=models.CASCADE, related_name="aliases")

    class Meta:
        verbose_name_plural = _("label aliases")
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="label_alias_once_per_project")
        ]

    def __str__(self) -> str:
        return f"{self.name} → {self.label}"


class TaxonomyVersion(models.Model):
    """The label set at one moment. Score vectors are packed in the order of `label_ids`."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="taxonomies")
    number = models.PositiveIntegerField()
    label_ids = models.JSONField()
    content_hash = models.CharField(max_length=64, help_text=_("Names, descriptions and examples."))
    changes = models.JSONField(
        default=dict,
        blank=True,
        help_text=_(
            "Against the version before, by label id: added, retired, described (lists), renamed "
            "(id to old and new name), merged (id to id), split (id to ids)."
        ),
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ["project", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="taxonomy_number_once")
        ]

    def __str__(self) -> str:
        return f"{self.project} v{self.number}"
