"""What people answered, and their short claims on tasks."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.label import Label
from labeling.models.project import Member, Question
from labeling.models.task import Task


class Purpose(models.TextChoices):
    LABEL = "label", _("label")
    BENCHMARK = "benchmark", _("benchmark")
    GOLD = "gold", _("gold")
    REPEAT = "repeat", _("repeat")
    AUDIT = "audit", _("audit")
    ADJUDICATE = "adjudicate", _("adjudicate")
    ONBOARDING = "onboarding", _("onboarding")

    @classmethod
    def queued(cls) -> list[Purpose]:
        """What the labeling page hands out; to its reader these look alike (DESIGN 8.5)."""
        return [cls.LABEL, cls.AUDIT, cls.BENCHMARK, cls.GOLD, cls.REPEAT]


class Answer(models.TextChoices):
    LABEL = "label", _("a label")
    UNK = "unk", _("nobody can choose")
    CONF = "conf", _("several labels fit")
    YES = "yes", _("yes, it holds")
    NO = "no", _("no, it does not")


class UnkReason(models.TextChoices):
    NONE_FITS = "none_fits", _("no label fits")
    NO_CONTEXT = "no_context", _("not enough context")
    BAD_DATA = "bad_data", _("bad data")
    NEEDS_EXPERT = "needs_expert", _("needs an expert")


class AnnotationQuerySet(models.QuerySet["Annotation"]):
    def current(self) -> AnnotationQuerySet:
        return self.filter(current=True)


class Annotation(models.Model):
    """One member's answer to one question on one task revision for one purpose.

    Never changed: an edit is a new row and the old one stops being current. `client_id` is made by
    the client, so that sending twice is harmless.
    """

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="annotations")
    revision = models.PositiveIntegerField()
    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="annotations")
    question = models.CharField(max_length=12, choices=Question.choices)
    asked_label = models.ForeignKey(
        Label, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    purpose = models.CharField(max_length=10, choices=Purpose.choices, default=Purpose.LABEL)
    round = models.PositiveSmallIntegerField(default=1)
    answer = models.CharField(max_length=5, choices=Answer.choices)
    label = models.ForeignKey(
        Label, null=True, blank=True, on_delete=models.PROTECT, related_name="annotations"
    )
    conf_labels = models.ManyToManyField(Label, blank=True, related_name="+")
    unk_reason = models.CharField(max_length=12, choices=UnkReason.choices, blank=True)
    comment = models.TextField(blank=True)
    visible = models.JSONField(
        default=dict, help_text=_("What the person could see: candidates in order, scores, ...")
    )
    client_id = models.UUIDField()
    seconds = models.FloatField(null=True, blank=True, help_text=_("Time on the task."))
    current = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = AnnotationQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["task", "revision", "member", "purpose", "round"],
                condition=Q(current=True, question="multiclass"),
                name="annotation_one_current_multiclass",
            ),
            models.UniqueConstraint(
                fields=["task", "revision", "member", "asked_label", "purpose", "round"],
                condition=Q(current=True, question="binary"),
                name="annotation_one_current_binary",
            ),
            models.UniqueConstraint(
                fields=["member", "client_id"], name="annotation_client_id_once"
            ),
            models.CheckConstraint(
                condition=Q(
                    question="multiclass",
                    asked_label__isnull=True,
                    answer__in=["label", "unk", "conf"],
                )
                | Q(question="binary", asked_label__isnull=False, answer__in=["yes", "no", "unk"]),
                name="annotation_answer_fits_question",
            ),
            models.CheckConstraint(
                condition=Q(answer="label", label__isnull=False)
                | (~Q(answer="label") & Q(label__isnull=True)),
                name="annotation_label_iff_label",
            ),
            models.CheckConstraint(
                condition=Q(answer="unk", unk_reason__in=UnkReason.values)
                | (~Q(answer="unk") & Q(unk_reason="")),
                name="annotation_unk_has_reason",
            ),
        ]
        indexes = [
            models.Index(fields=["member", "-id"], name="annotation_history"),
            models.Index(fields=["task", "member"], name="annotation_own"),
            # What a member answered for what, and when: counted with every answer.
            models.Index(fields=["member", "purpose", "created_at"], name="annotation_turns"),
        ]

    def __str__(self) -> str:
        return f"{self.member_id} on {self.task_id}: {self.answer}"


class LeaseQuerySet(models.QuerySet["Lease"]):
    def live(self) -> LeaseQuerySet:
        return self.filter(expires_at__gt=timezone.now())


class Lease(models.Model):
    """A short, renewable claim of a member on a task. It orders the queue and hides nothing."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="leases")
    member = models.ForeignKey(Member, on_delete=models.CASCADE, related_name="leases")
    purpose = models.CharField(max_length=10, choices=Purpose.choices, default=Purpose.LABEL)
    visible = models.JSONField(
        default=dict, help_text=_("What is shown under this lease, fixed when it was given.")
    )
    leased_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    objects = LeaseQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "member", "purpose"], name="lease_once")
        ]
        indexes = [models.Index(fields=["member", "expires_at"], name="lease_of_member")]

    def __str__(self) -> str:
        return f"{self.member_id} holds {self.task_id}"


class MachineSeen(models.Model):
    """A member had machine output on this text before their eyes without having answered it, so a
    blind answer is no longer theirs to give. What was seen with an answer stands in its `visible`.
    """

    member = models.ForeignKey(Member, on_delete=models.CASCADE, related_name="machine_seen")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="machine_seen")
    revision = models.PositiveIntegerField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "member", "revision"], name="machine_seen_once")
        ]

    def __str__(self) -> str:
        return f"{self.member_id} saw the machines on {self.task_id}"
