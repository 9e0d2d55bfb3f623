"""Answers of experts, in disjoint parts."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.label import Label
from labeling.models.project import Member, Project, Question
from labeling.models.task import Task


class Part(models.TextChoices):
    FIT = "fit", _("fit")
    TUNE = "tune", _("tune")
    CERTIFY = "certify", _("certify")
    TEST = "test", _("test")


class Sampling(models.TextChoices):
    RANDOM = "random", _("simple random sample of the stream")
    STRATIFIED = "stratified", _("stratified")
    CHOSEN = "chosen", _("chosen")


class ReferenceOutcome(models.TextChoices):
    OPEN = "open", _("not settled yet")
    LABEL = "label", _("a label")
    UNK = "unk", _("nobody can choose")
    CONF = "conf", _("several labels fit")


class BenchmarkItem(models.Model):
    """A task of the benchmark and its reference answer. One part a task, and a text in one place:
    `text_hash` is unique in the project, so a duplicate cannot stand on two sides of a split."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="benchmark_items")
    task = models.OneToOneField(Task, on_delete=models.CASCADE, related_name="benchmark_item")
    text_hash = models.CharField(max_length=64)
    part = models.CharField(max_length=7, choices=Part.choices)
    sampling = models.CharField(max_length=10, choices=Sampling.choices)
    inclusion_probability = models.FloatField(null=True, blank=True)
    reference = models.CharField(
        max_length=5, choices=ReferenceOutcome.choices, default=ReferenceOutcome.OPEN
    )
    reference_label = models.ForeignKey(
        Label, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    reference_conf_labels = models.ManyToManyField(Label, blank=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "text_hash"], name="benchmark_text_in_one_place"
            ),
            models.CheckConstraint(condition=Q(part__in=Part.values), name="benchmark_part_known"),
            models.CheckConstraint(
                condition=Q(sampling__in=Sampling.values), name="benchmark_sampling_known"
            ),
            models.CheckConstraint(
                condition=Q(reference="label", reference_label__isnull=False)
                | (~Q(reference="label") & Q(reference_label__isnull=True)),
                name="benchmark_reference_label_iff_label",
            ),
        ]
        indexes = [models.Index(fields=["project", "part"], name="benchmark_parts")]

    def __str__(self) -> str:
        return f"{self.task} ({self.part})"


class BenchmarkAnswer(models.Model):
    """One expert's answer, given here or imported. The latest of an expert counts."""

    item = models.ForeignKey(BenchmarkItem, on_delete=models.CASCADE, related_name="answers")
    question = models.CharField(
        max_length=12, choices=Question.choices, default=Question.MULTICLASS
    )
    asked_label = models.ForeignKey(
        Label, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    expert = models.CharField(max_length=150, help_text=_("Name of the expert, as imported."))
    member = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.PROTECT, related_name="benchmark_answers"
    )
    answer = models.CharField(max_length=5)
    label = models.ForeignKey(
        Label, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    conf_labels = models.ManyToManyField(Label, blank=True, related_name="+")
    current = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item", "expert"],
                condition=Q(current=True, question="multiclass"),
                name="benchmark_answer_one_multiclass",
            ),
            models.UniqueConstraint(
                fields=["item", "expert", "asked_label"],
                condition=Q(current=True, question="binary"),
                name="benchmark_answer_one_binary",
            ),
            models.CheckConstraint(
                condition=Q(
                    question="multiclass",
                    asked_label__isnull=True,
                    answer__in=["label", "unk", "conf"],
                )
                | Q(question="binary", asked_label__isnull=False, answer__in=["yes", "no", "unk"]),
                name="benchmark_answer_fits_question",
            ),
            models.CheckConstraint(
                condition=Q(answer="label", label__isnull=False)
                | (~Q(answer="label") & Q(label__isnull=True)),
                name="benchmark_answer_label_iff_label",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.expert} on {self.item_id}: {self.answer}"
