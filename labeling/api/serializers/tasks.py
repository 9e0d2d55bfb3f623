"""Tasks as two kinds of people see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers

from labeling.models import (
    Annotation,
    Decision,
    Label,
    Prediction,
    Reasoning,
    Resolution,
    Retrieved,
    Source,
    Task,
    TaskStatus,
    Verdict,
)


class LabelNameSerializer(serializers.ModelSerializer[Label]):
    class Meta:
        model = Label
        fields = ["key", "name"]


class OwnAnswerSerializer(serializers.ModelSerializer[Annotation]):
    """An answer as its author sees it: without the purpose, which is not for them to know."""

    label = LabelNameSerializer(allow_null=True)  # type: ignore[assignment]  # a field of that name
    asked_label = LabelNameSerializer(allow_null=True)
    conf_labels = LabelNameSerializer(many=True)

    class Meta:
        model = Annotation
        fields = [
            "client_id",
            "revision",
            "question",
            "asked_label",
            "answer",
            "label",
            "conf_labels",
            "unk_reason",
            "comment",
            "seconds",
            "created_at",
        ]


class AnswerSerializer(OwnAnswerSerializer):
    member = serializers.CharField(source="member.name")

    class Meta(OwnAnswerSerializer.Meta):
        fields = [*OwnAnswerSerializer.Meta.fields, "member", "purpose", "round", "visible"]


class AnnotatorTaskSerializer(serializers.ModelSerializer[Task]):
    """A task for a regular annotator: no trace of what machines said (DESIGN 8.5)."""

    status = serializers.CharField(
        source="seen_status",
        help_text="processing; deferred; or resolved, once the annotator has answered it.",
    )

    class Meta:
        model = Task
        fields = [
            "external_id",
            "revision",
            "text",
            "language",
            "turns",
            "metadata",
            "status",
            "created_at",
        ]


class AnnotatorTaskDetailSerializer(AnnotatorTaskSerializer):
    own_answers = OwnAnswerSerializer(many=True)

    class Meta(AnnotatorTaskSerializer.Meta):
        fields = [*AnnotatorTaskSerializer.Meta.fields, "own_answers"]


class PredictionSerializer(serializers.ModelSerializer[Prediction]):
    model_version = serializers.CharField(source="model_version.name")
    label = LabelNameSerializer()  # type: ignore[assignment]  # a field of that name

    class Meta:
        model = Prediction
        fields = ["model_version", "revision", "label", "confidence", "created_at"]


class ResolutionSerializer(serializers.ModelSerializer[Resolution]):
    label = LabelNameSerializer(allow_null=True)  # type: ignore[assignment]  # a field of that name
    member = serializers.CharField(source="member.name", default=None, allow_null=True)
    policy = serializers.IntegerField(
        source="decision.policy.version", default=None, allow_null=True
    )

    class Meta:
        model = Resolution
        fields = [
            "outcome",
            "label",
            "unk_reason",
            "source",
            "member",
            "policy",
            "revision",
            "created_at",
        ]


class CandidateSerializer(serializers.Serializer[Any]):
    label = LabelNameSerializer()  # type: ignore[assignment]  # a field of that name
    probability = serializers.FloatField(help_text="After reranking.")
    before = serializers.FloatField(help_text="Before reranking.")


BY_MACHINES = ("prediction", "hard", "priority", "candidates")
"""What machines said of a task, and what follows from it."""


class TaskSerializer(serializers.ModelSerializer[Task]):
    """A task in a list, for those who may see machine output."""

    status = serializers.ChoiceField(TaskStatus.choices)
    prediction = PredictionSerializer(
        allow_null=True, help_text="Null, too, where the reader is to label the task blind."
    )
    priority = serializers.FloatField(allow_null=True)
    resolution = serializers.SerializerMethodField()
    candidates = serializers.SerializerMethodField(
        help_text="By the newest ranking of the text, best first. Null where machines are hidden."
    )
    hard = serializers.BooleanField(
        allow_null=True, help_text="By the newest ranking; null where that does not say."
    )

    class Meta:
        model = Task
        fields = [
            *AnnotatorTaskSerializer.Meta.fields,
            "hidden_metadata",
            "question",
            "priority",
            "expert_only",
            "prediction",
            "hard",
            "resolution",
            "candidates",
        ]

    def to_representation(self, instance: Task) -> Any:
        shown = super().to_representation(instance)
        if getattr(instance, "withheld", False):
            return shown | dict.fromkeys((*BY_MACHINES, "resolution"))
        if not self.context.get("machines", True):
            shown |= dict.fromkeys(BY_MACHINES)
            if shown["resolution"] and shown["resolution"]["source"] == Source.AUTO:
                shown["resolution"] = {**shown["resolution"], "label": None}
        return shown

    @extend_schema_field(CandidateSerializer(many=True, allow_null=True))
    def get_candidates(self, task: Task) -> Any:
        ranked = task.ranked  # type: ignore[attr-defined]  # prefetched by the view
        newest = next((one for one in ranked if one.revision == task.revision), None)
        labels: Mapping[int, Label] = self.context["labels"]
        rows = [
            {"label": labels[int(pk)], "probability": after, "before": before}
            for pk, after, before, *_rest in (newest.candidates if newest else ())
        ]
        return CandidateSerializer(rows, many=True).data

    @extend_schema_field(ResolutionSerializer(allow_null=True))
    def get_resolution(self, task: Task) -> Any:
        standing = task.standing  # type: ignore[attr-defined]  # prefetched by the view
        return ResolutionSerializer(standing[0]).data if standing else None


class VerdictSerializer(serializers.ModelSerializer[Verdict]):
    validator = serializers.CharField(source="validator.name")
    version = serializers.IntegerField(source="validator.version")
    kind = serializers.CharField(source="validator.kind")
    asked_label = LabelNameSerializer(allow_null=True)
    probabilities = serializers.SerializerMethodField(
        help_text="By key of a label, or “unk”, “yes”, “no”."
    )

    class Meta:
        model = Verdict
        fields = [
            "run",
            "validator",
            "version",
            "kind",
            "question",
            "asked_label",
            "probabilities",
            "mass",
            "latency_ms",
            "tokens",
            "failure",
            "created_at",
        ]

    def get_probabilities(self, verdict: Verdict) -> dict[str, float]:
        keys: dict[str, str] = self.context["keys"]
        return {keys.get(option, option): p for option, p in verdict.probabilities.items()}


class DecisionSerializer(serializers.ModelSerializer[Decision]):
    label = LabelNameSerializer(allow_null=True)  # type: ignore[assignment]  # a field of that name
    policy = serializers.IntegerField(source="policy.version", default=None, allow_null=True)

    class Meta:
        model = Decision
        fields = [
            "run",
            "policy",
            "mode",
            "outcome",
            "label",
            "confidence",
            "reason",
            "detail",
            "stage",
            "created_at",
        ]


class PassageSerializer(serializers.ModelSerializer[Retrieved]):
    document = serializers.CharField(source="document.external_id")
    title = serializers.CharField(source="document.title")

    class Meta:
        model = Retrieved
        fields = ["rank", "score", "document", "title", "passage"]


class ReasoningSerializer(serializers.ModelSerializer[Reasoning]):
    validator = serializers.CharField(source="validator.name")

    class Meta:
        model = Reasoning
        fields = ["validator", "text", "created_at"]


class TaskDetailSerializer(TaskSerializer):
    """Everything that stands about a task's present text; `views.tasks.detail` puts it together."""

    verdicts = VerdictSerializer(many=True)
    decisions = DecisionSerializer(many=True)
    documents = PassageSerializer(many=True)
    reasoning = ReasoningSerializer(many=True)
    answers = AnswerSerializer(many=True)

    class Meta(TaskSerializer.Meta):
        fields = [
            *TaskSerializer.Meta.fields,
            "verdicts",
            "decisions",
            "documents",
            "reasoning",
            "answers",
        ]


def either(name: str, *kinds: type[serializers.ModelSerializer[Task]]) -> Any:
    """In the schema: what a reviewer gets, or what a regular annotator gets."""
    return PolymorphicProxySerializer(
        component_name=name, serializers=list(kinds), resource_type_field_name=None
    )
