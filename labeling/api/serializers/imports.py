"""Imports of files: what is asked for in the address, and how far the job is."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from labeling.api.base import StrictSerializer
from labeling.api.serializers.mappings import MAPPING_HELP
from labeling.models import ScoreKind, Upload


class ImportQuerySerializer(StrictSerializer):
    """How the file is read; the body is the file."""

    model_version = serializers.CharField(
        max_length=200, help_text="The classifier that the scores come from."
    )
    on_error = serializers.ChoiceField(
        ["reject_batch", "skip_row"],
        default="reject_batch",
        help_text="Store nothing of a file that has a mistake, or leave such rows out.",
    )
    on_changed_text = serializers.ChoiceField(
        ["error", "revise"],
        default="error",
        help_text="What new text for a known external_id is: an error, or a new revision.",
    )
    score_kind = serializers.ChoiceField(
        ScoreKind.choices,
        required=False,
        help_text="What the label columns of a table hold; default: seen from its first row.",
    )
    labels = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="The order of lists of scores, the parameter named once for each label; "
        "default: the order of the project's labels.",
    )
    mapping = serializers.CharField(required=False, max_length=64, help_text=MAPPING_HELP)
    name = serializers.CharField(
        max_length=200, required=False, help_text="What the file is called in sentences."
    )


class ImportSerializer(serializers.ModelSerializer[Upload]):
    """An import: `rows_checked` and `rows_read` grow while it is at work; the counts are of rows
    that are stored. `said` tells why it ended otherwise than “done”."""

    by = serializers.CharField(source="member.name")
    model_version = serializers.SerializerMethodField()
    on_error = serializers.SerializerMethodField()
    mapping = serializers.SerializerMethodField()
    runs = serializers.ListField(child=serializers.IntegerField())

    class Meta:
        model = Upload
        fields = [
            "id",
            "name",
            "size",
            "status",
            "said",
            "model_version",
            "on_error",
            "mapping",
            "by",
            "rows_checked",
            "rows_read",
            "created",
            "updated",
            "unchanged",
            "refused",
            "runs",
            "created_at",
            "finished_at",
        ]

    def get_model_version(self, upload: Upload) -> str:
        return str(upload.options.get("model_version", ""))

    def get_on_error(self, upload: Upload) -> str:
        return str(upload.options.get("on_error", ""))

    def get_mapping(self, upload: Upload) -> str:
        return str(upload.options.get("mapping", ""))


class ErrorsQuerySerializer(StrictSerializer):
    format = serializers.ChoiceField(["jsonl", "csv"], default="jsonl")


EXAMPLE: dict[str, Any] = {
    "id": 7,
    "name": "predictions.ndjson",
    "size": 73400320,
    "status": "storing",
    "said": "",
    "model_version": "intents-7",
    "on_error": "skip_row",
    "mapping": "crm",
    "by": "ida",
    "rows_checked": 0,
    "rows_read": 41000,
    "created": 40997,
    "updated": 0,
    "unchanged": 0,
    "refused": 3,
    "runs": [12, 13, 14, 15, 16],
    "created_at": "2026-11-26T09:00:00Z",
    "finished_at": None,
}
