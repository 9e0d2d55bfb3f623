"""Validators and what they said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.label import Label
from labeling.models.project import Project, Question
from labeling.models.run import Artifact, FrozenModel, Run
from labeling.models.task import Task

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise as _StrOrPromise


def price_field(help_text: _StrOrPromise) -> models.FloatField[float | None, float | None]:
    return models.FloatField(
        null=True, blank=True, help_text=help_text, validators=[MinValueValidator(0.0)]
    )


def not_below_zero(*names: str) -> Q:
    """Each of these fields is empty or at least 0."""
    return Q(*(Q(**{f"{name}__isnull": True}) | Q(**{f"{name}__gte": 0.0}) for name in names))


class Validator(FrozenModel):
    """One way to give a probability to each option of a task, versioned.

    `settings` holds what shapes its answers (model, prompt family, retrieval); secrets are named
    by their environment variable, never stored (DESIGN 8.8).
    """

    class Kind(models.TextChoices):
        KNN = "knn", _("nearest labeled texts (local, not an LLM)")
        CROSS_ENCODER = "cross_encoder", _("cross-encoder (local, not an LLM)")
        LLM = "llm", _("large language model")

    mutable = ("active", "price_input", "price_cached", "price_output")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="validators")
    name = models.CharField(max_length=100)
    version = models.PositiveIntegerField()
    kind = models.CharField(max_length=16, choices=Kind.choices)
    settings = models.JSONField(default=dict, blank=True)
    artifact = models.ForeignKey(
        Artifact, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    uses_documents = models.BooleanField(default=False)
    active = models.BooleanField(default=True)
    price_input = price_field(_("Price of a million tokens read, in the project's currency."))
    price_cached = price_field(
        _("Price of a million tokens that were in the server's cache; empty: as those read.")
    )
    price_output = price_field(_("Price of a million tokens written."))
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["project", "name", "-version"]
        constraints = [
            models.CheckConstraint(
                condition=not_below_zero("price_input", "price_cached", "price_output"),
                name="validator_prices_not_negative",
            ),
            models.UniqueConstraint(
                fields=["project", "name", "version"], name="validator_version_once"
            ),
            models.UniqueConstraint(
                fields=["project", "name"],
                condition=Q(active=True),
                name="validator_one_active_version",
            ),
            models.CheckConstraint(
                condition=Q(kind="llm") | Q(artifact__isnull=False),
                name="validator_local_has_artifact",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class Verdict(models.Model):
    """What one validator said of one task revision to one question in one run, or why not."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="verdicts")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="verdicts")
    revision = models.PositiveIntegerField()
    validator = models.ForeignKey(Validator, on_delete=models.PROTECT, related_name="verdicts")
    question = models.CharField(max_length=12, choices=Question.choices)
    asked_label = models.ForeignKey(
        Label, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    probabilities = models.JSONField(
        default=dict,
        help_text=_("Option to probability; options are label ids, “unk”, “yes”, “no”."),
    )
    mass = models.FloatField(null=True, help_text=_("Probability mass on the options."))
    calls = models.JSONField(default=list, blank=True, help_text=_("The shifted calls behind it."))
    route = models.CharField(max_length=40, blank=True)
    latency_ms = models.FloatField(default=0.0)
    tokens = models.PositiveIntegerField(default=0, help_text=_("Tokens read, by all calls."))
    cached_tokens = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Of them in the server's cache, where it tells.")
    )
    server_calls = models.PositiveSmallIntegerField(
        default=0, help_text=_("Calls to a server that gave probabilities, or the answer.")
    )
    written_tokens = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Tokens written; without a number, one for each call.")
    )
    text_was_cut = models.BooleanField(default=False)
    prompt_hash = models.CharField(max_length=64, blank=True)
    failure = models.TextField(blank=True, help_text=_("Why there is no answer, in words."))
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["task", "revision", "run", "validator"],
                condition=Q(question="multiclass"),
                name="verdict_once_multiclass",
            ),
            models.UniqueConstraint(
                fields=["task", "revision", "run", "validator", "asked_label"],
                condition=Q(question="binary"),
                name="verdict_once_binary",
            ),
            models.CheckConstraint(
                condition=Q(question="multiclass", asked_label__isnull=True)
                | Q(question="binary", asked_label__isnull=False),
                name="verdict_binary_names_its_label",
            ),
            models.CheckConstraint(
                condition=Q(mass__isnull=True, failure__gt="")
                | Q(mass__isnull=False, mass__gte=0.0, mass__lte=1.000001, failure=""),
                name="verdict_answers_or_fails",
            ),
        ]
        indexes = [models.Index(fields=["run", "validator"], name="verdict_progress")]

    def __str__(self) -> str:
        return f"run {self.run_id} task {self.task_id} {self.validator_id}"

    @property
    def wrote(self) -> int:
        """Tokens written by all calls; a probability takes one."""
        return self.server_calls if self.written_tokens is None else self.written_tokens


class Reasoning(models.Model):
    """Why, in words, or why there are no words: made later than the verdict, so a row of its own.

    What was written before a verdict was given counts with the verdict, and has no calls here.
    """

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="reasonings")
    revision = models.PositiveIntegerField()
    validator = models.ForeignKey(Validator, on_delete=models.PROTECT, related_name="reasonings")
    run = models.ForeignKey(
        Run,
        null=True,
        editable=False,
        on_delete=models.CASCADE,
        related_name="reasonings",
        help_text=_("Unknown of rows from before this was stored."),
    )
    text = models.TextField(blank=True)
    failure = models.TextField(blank=True, help_text=_("Why there are no reasons, in words."))
    server_calls = models.PositiveSmallIntegerField(default=0)
    tokens = models.PositiveIntegerField(default=0, help_text=_("Tokens read, by all calls."))
    cached_tokens = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Of them in the server's cache, where it tells.")
    )
    written_tokens = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["task", "revision", "validator"],
                condition=Q(failure=""),
                name="reasoning_once",
            ),
            models.CheckConstraint(
                condition=Q(text="", failure__gt="") | Q(text__gt="", failure=""),
                name="reasoning_says_or_fails",
            ),
        ]
        indexes = [models.Index(fields=["run", "validator"], name="reasoning_of_a_run")]

    def __str__(self) -> str:
        return f"{self.validator} on {self.task_id}"
