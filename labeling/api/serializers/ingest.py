"""Batches that come in: predictions, documents, benchmark answers."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from labeling.api.base import StrictSerializer, items_of
from labeling.api.schema import ErrorDetailSerializer
from labeling.api.serializers.mappings import MAPPING_HELP
from labeling.models import Document, Part, Question, Sampling


@extend_schema_field(
    {
        "oneOf": [
            {"type": "array", "items": {"type": "number"}},
            {"type": "object", "additionalProperties": {"type": "number"}},
        ],
        "description": "In the order of “labels” (or of the project's labels), or by label name.",
    }
)
class ScoresField(serializers.JSONField):
    """Only described here; the action reads it."""


class TurnSerializer(serializers.Serializer[Any]):
    speaker = serializers.CharField()
    text = serializers.CharField()


class PredictionItemSerializer(serializers.Serializer[Any]):
    """One prediction. Logits or probabilities; none where the project has its own classifier."""

    external_id = serializers.CharField(max_length=200)
    text = serializers.CharField()
    logits = ScoresField(required=False)
    probabilities = ScoresField(required=False)
    metadata = serializers.DictField(required=False, help_text="Annotators see it.")
    hidden_metadata = serializers.DictField(required=False, help_text="Annotators do not.")
    turns = TurnSerializer(many=True, required=False)


@extend_schema_field(PredictionItemSerializer(many=True))
class PredictionItemsField(serializers.Field[Any, Any, Any, Any]):
    command = "import_predictions"

    def to_internal_value(self, data: Any) -> list[Any]:
        return items_of(data, settings.INGEST_MAX_ITEMS, self.command)

    def to_representation(self, value: Any) -> Any:
        return value


class PredictionsSerializer(StrictSerializer):
    model_version = serializers.CharField(max_length=200)
    labels = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="The order of the scores; default: the order of the project's labels.",
    )
    mapping = serializers.CharField(required=False, max_length=64, help_text=MAPPING_HELP)
    on_error = serializers.ChoiceField(["reject_batch", "skip_row"], default="reject_batch")
    on_changed_text = serializers.ChoiceField(
        ["error", "revise"],
        default="error",
        help_text="What new text for a known external_id is: an error, or a new revision.",
    )
    items = PredictionItemsField()


class PredictionsReportSerializer(serializers.Serializer[Any]):
    run = serializers.IntegerField(
        allow_null=True, help_text="Where the tasks are worked on; null if nothing is to be done."
    )
    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    errors = ErrorDetailSerializer(many=True)  # type: ignore[assignment]  # a field of that name


class DocumentItemSerializer(serializers.Serializer[Any]):
    id = serializers.CharField(max_length=200)
    title = serializers.CharField(max_length=500, required=False)
    text = serializers.CharField()
    section = serializers.CharField(max_length=200, required=False)


@extend_schema_field(DocumentItemSerializer(many=True))
class DocumentItemsField(PredictionItemsField):
    command = "import_documents"


class DocumentsSerializer(StrictSerializer):
    items = DocumentItemsField()


class DocumentsReportSerializer(serializers.Serializer[Any]):
    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField()


class DocumentSerializer(serializers.ModelSerializer[Document]):
    id = serializers.CharField(source="external_id")

    class Meta:
        model = Document
        fields = ["id", "title", "section", "text", "updated_at"]


class BenchmarkItemSerializer(serializers.Serializer[Any]):
    """One expert's answer: exactly one of `label`, `unk` and `conf`."""

    external_id = serializers.CharField(max_length=200)
    text = serializers.CharField(required=False, help_text="Needed where the task is unknown.")
    question = serializers.ChoiceField(Question.choices, required=False)
    label = serializers.CharField(  # type: ignore[assignment]  # a field of that name
        required=False,
        help_text="A label's name, “unk” or “conf”; “yes”, “no” or “unk” to a binary question.",
    )
    unk = serializers.BooleanField(required=False)
    conf = serializers.ListField(child=serializers.CharField(), required=False)
    asked_label = serializers.CharField(required=False, help_text="With a binary question.")
    expert = serializers.CharField(max_length=150)


@extend_schema_field(BenchmarkItemSerializer(many=True))
class BenchmarkItemsField(PredictionItemsField):
    command = "import_benchmark"


class BenchmarkSerializer(StrictSerializer):
    part = serializers.ChoiceField(Part.choices)
    sampling = serializers.ChoiceField(Sampling.choices)
    items = BenchmarkItemsField()


class BenchmarkReportSerializer(serializers.Serializer[Any]):
    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    not_scored = serializers.ListField(
        child=serializers.CharField(),
        help_text="External ids without a prediction of the policy's model version.",
    )
    errors = ErrorDetailSerializer(many=True)  # type: ignore[assignment]  # a field of that name
