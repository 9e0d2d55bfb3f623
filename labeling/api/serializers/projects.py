"""Projects and their label sets."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from labeling.actions.projects import SETTINGS
from labeling.api.base import StrictSerializer
from labeling.models import Label, Project


class LabelSerializer(serializers.ModelSerializer[Label]):
    """A label, as GET gives it and PUT takes it back."""

    examples = serializers.ListField(child=serializers.JSONField(), required=False)
    counter_examples = serializers.ListField(child=serializers.JSONField(), required=False)

    class Meta:
        model = Label
        fields = ["key", "name", "description", "examples", "counter_examples"]


@extend_schema_field(
    {
        "type": "array",
        "minItems": 2,
        "items": {
            "oneOf": [
                {"type": "string", "description": "A name; the key follows from it."},
                {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "key": {"type": "string", "maxLength": 100},
                        "name": {"type": "string", "maxLength": 200},
                        "description": {"type": "string"},
                        "examples": {"type": "array", "items": {"type": "string"}},
                        "counter_examples": {"type": "array", "items": {}},
                    },
                },
            ]
        },
    }
)
class LabelsField(serializers.JSONField):
    """Read by `parse_labels`, which names every mistake."""


class LabelSetSerializer(serializers.Serializer[Any]):
    version = serializers.IntegerField(help_text="Of the label set; grows with every change.")
    labels = LabelSerializer(many=True, help_text="In the order of plain score lists.")


class SetLabelsSerializer(StrictSerializer):
    labels = LabelsField()
    version = serializers.IntegerField(
        required=False, help_text="The version this was made from: 409 if another stands by now."
    )


class ProjectSerializer(serializers.ModelSerializer[Project]):
    """A project's settings, and the caller's role in it."""

    role = serializers.SerializerMethodField(help_text="Yours: admin, expert or regular.")

    class Meta:
        model = Project
        fields = ["slug", *SETTINGS, "role", "created_at"]
        read_only_fields = ["slug"]

    def get_role(self, project: Project) -> str:
        return str(self.context["roles"][project.pk])


class SettingsSerializer(serializers.ModelSerializer[Project], StrictSerializer):
    """Settings to change; those not named stay."""

    class Meta:
        model = Project
        fields = SETTINGS


class NewProjectSerializer(SettingsSerializer):
    labels = LabelsField()

    class Meta:
        model = Project
        fields = ["slug", *SETTINGS, "labels"]
        extra_kwargs: dict[str, Any] = {"slug": {"validators": []}}
