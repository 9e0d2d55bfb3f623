"""What is known of a trained reranker, for the people who look at it."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.run import Artifact


class RerankerReport(models.Model):
    """What the training measured on validation rows: the web never loads the reranker itself.

    `content` holds "mode", "training_rows", "validation_rows", "settings", "validation" (accuracy
    and negative log-likelihood by mode), "curves" (accuracy and hard share by threshold) and
    "heat" (similarities of labels before and after); see `actions.artifacts`.
    """

    artifact = models.OneToOneField(
        Artifact, on_delete=models.CASCADE, related_name="reranker_report"
    )
    content = models.JSONField(help_text=_("Figures, curves and similarities, as measured."))
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"report of {self.artifact}"
