"""Answers of experts, in disjoint parts."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.annotation import Annotation, Answer
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


class BenchmarkDraw(models.Model):
    """A random sample of the stream that went into a part: from how many texts, and by which seed.

    `left_out`: {"in_benchmark": n, "may_have_trained": n} texts that could not be drawn. `strata`,
    where it was stratified: [{"label": id, "population": n, "drawn": n}, ...].
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="benchmark_draws")
    part = models.CharField(max_length=7, choices=Part.choices)
    sampling = models.CharField(max_length=10, choices=Sampling.choices)
    seed = models.CharField(max_length=64)
    population = models.PositiveIntegerField(help_text=_("Distinct texts it was drawn from."))
    drawn = models.PositiveIntegerField()
    arrived_since = models.DateTimeField(null=True, blank=True)
    left_out = models.JSONField(default=dict)
    strata = models.JSONField(default=list)
    created_by = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(drawn__gte=1, drawn__lte=models.F("population")),
                name="benchmark_draw_from_population",
            ),
            models.CheckConstraint(
                condition=Q(part__in=Part.values), name="benchmark_draw_part_known"
            ),
            models.CheckConstraint(
                condition=Q(sampling="random")
                | Q(sampling="stratified", part__in=["fit", "tune", "test"]),
                name="benchmark_draw_certify_is_random",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.drawn} of {self.population} into {self.part}"


class BenchmarkItem(models.Model):
    """A task of the benchmark and its reference answer. One part a task, and a text in one place:
    `text_hash` is unique in the project, so a duplicate cannot stand on two sides of a split."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="benchmark_items")
    task = models.OneToOneField(Task, on_delete=models.CASCADE, related_name="benchmark_item")
    text_hash = models.CharField(max_length=64)
    part = models.CharField(max_length=7, choices=Part.choices)
    sampling = models.CharField(max_length=10, choices=Sampling.choices)
    inclusion_probability = models.FloatField(null=True, blank=True)
    draw = models.ForeignKey(
        BenchmarkDraw,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="items",
        help_text=_("The draw that chose it; two people here label it. Empty for an import."),
    )
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
            models.CheckConstraint(
                condition=Q(inclusion_probability__isnull=True)
                | Q(inclusion_probability__gt=0.0, inclusion_probability__lte=1.0),
                name="benchmark_inclusion_is_probability",
            ),
            models.CheckConstraint(
                condition=Q(draw__isnull=True) | Q(inclusion_probability__isnull=False),
                name="benchmark_drawn_has_inclusion",
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
    answer = models.CharField(max_length=5, choices=Answer.choices)
    label = models.ForeignKey(
        Label, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    conf_labels = models.ManyToManyField(Label, blank=True, related_name="+")
    annotation = models.OneToOneField(
        Annotation,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="benchmark_answer",
        help_text=_("The answer given here, with what was visible. Empty for an import."),
    )
    adjudicates = models.BooleanField(
        default=False, help_text=_("It settles what the experts before disagreed on.")
    )
    current = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item"],
                condition=Q(current=True, adjudicates=True),
                name="benchmark_answer_one_adjudicates",
            ),
            models.CheckConstraint(
                condition=Q(annotation__isnull=True) | Q(member__isnull=False),
                name="benchmark_answer_here_has_member",
            ),
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


class BenchmarkLook(models.Model):
    """Somebody looked at the disagreements of a part whose experts agreed little, and lets it
    certify all the same. Holds until another pair of answers comes in."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="benchmark_looks")
    part = models.CharField(max_length=7, choices=Part.choices)
    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="+")
    agreement = models.FloatField(null=True, help_text=_("The coefficient at that time."))
    pairs = models.PositiveIntegerField(help_text=_("Texts with two answers at that time."))
    note = models.CharField(max_length=1000)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(note__gt=""), name="benchmark_look_says_why")
        ]

    def __str__(self) -> str:
        return f"{self.member} on {self.part}"
