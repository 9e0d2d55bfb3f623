"""How sure a policy's rule is of the tasks of a run, counted once for every threshold."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.run import Run


class Tally(models.Model):
    """Tasks of one run outside the benchmark, by label and confidence under one way of scoring.

    `scoring` is the hash of a rule without its thresholds (`actions.tally.scoring_of`), so one
    tally serves every policy that differs in nothing else.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="tallies")
    scoring = models.CharField(max_length=64)
    groups = models.JSONField(
        help_text=_(
            "[[side, label id], ...]: a side is “accept” or, of a binary question, “reject”."
        )
    )
    counts = models.BinaryField(help_text=_("Packed by labeling.statistics.tally, a row a group."))
    never = models.JSONField(
        default=dict, help_text=_("Tasks that no threshold accepts, by the reason to defer them.")
    )
    tasks = models.PositiveIntegerField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "scoring"], name="tally_once")]
        verbose_name_plural = _("tallies")

    def __str__(self) -> str:
        return f"run {self.run_id}: {self.tasks} tasks"


class StreamSample(models.Model):
    """A fixed random sample of the tasks of a configuration, with what the validators said, for
    looking at weights: those change every task's confidence, so no tally can serve them."""

    configuration = models.OneToOneField(
        "labeling.Configuration", on_delete=models.CASCADE, related_name="stream_sample"
    )
    seed = models.PositiveBigIntegerField()
    population = models.PositiveIntegerField(help_text=_("Tasks it was drawn from."))
    tasks = models.PositiveIntegerField()
    content = models.BinaryField(help_text=_("Packed by labeling.statistics.verdict_table."))
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"{self.tasks} of {self.population} tasks"
