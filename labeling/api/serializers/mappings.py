"""Saved label mappings."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from labeling.actions.mappings import standing_names
from labeling.api.base import StrictSerializer
from labeling.models import LabelMapping

MAPPING_HELP = "The saved mapping from the names that are sent to labels of the project."
_SENT = {"CARD-01": "card_arrival", "CARD-02": "card_lost", "BILLING": "fee"}
_LABELS_HELP = "By the outside system's name a label of the project: its name or key."


@extend_schema_field({"type": "object", "additionalProperties": {"type": "string"}})
class NamesField(serializers.DictField):
    """Read by `parse_names`, which names every mistake."""


@extend_schema_serializer(examples=[OpenApiExample("Other names", {"labels": _SENT})])
class MappedNamesSerializer(StrictSerializer):
    labels = NamesField(help_text=_LABELS_HELP)


@extend_schema_serializer(
    examples=[
        OpenApiExample("A new mapping", {"name": "crm", "labels": _SENT}, request_only=True),
    ]
)
class NewMappingSerializer(MappedNamesSerializer):
    name = serializers.CharField(max_length=64, help_text="Letters, digits, “-” and “_”.")


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A mapping",
            {
                "name": "crm",
                "labels": _SENT,
                "retired": {"OLD": "cheque"},
                "changed_at": "2026-11-26T09:00:00Z",
                "changed_by": "ida",
            },
            response_only=True,
        )
    ]
)
class MappingSerializer(serializers.ModelSerializer[LabelMapping]):
    """A mapping as it stands today, with the keys of labels."""

    labels = serializers.DictField(
        child=serializers.CharField(),
        help_text="By outside name; a merged label is the one that stayed.",
    )
    retired = serializers.DictField(
        child=serializers.CharField(),
        help_text="Names whose label was retired or split: predictions that use them are refused.",
    )
    changed_by = serializers.CharField(source="changed_by.name", default="", allow_blank=True)

    class Meta:
        model = LabelMapping
        fields = ["name", "labels", "retired", "changed_at", "changed_by"]

    def to_representation(self, mapping: LabelMapping) -> dict[str, Any]:
        standing = standing_names(mapping)
        return {
            "name": mapping.name,
            "labels": {name: label.key for name, label in standing.labels.items()},
            "retired": {name: label.key for name, label in standing.retired.items()},
            "changed_at": self.fields["changed_at"].to_representation(mapping.changed_at),
            "changed_by": mapping.changed_by.name if mapping.changed_by else "",
        }
