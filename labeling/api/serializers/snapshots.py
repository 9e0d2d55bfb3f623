"""Snapshots of an export."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from labeling.models import Snapshot


class RewriteSerializer(serializers.Serializer[Any]):
    """Texts were erased from the file: the one way in which it ever changes."""

    at = serializers.DateTimeField()
    reason = serializers.CharField()
    rows = serializers.IntegerField(help_text="Rows that became tombstones.")
    old_sha256 = serializers.CharField()
    sha256 = serializers.CharField()


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A snapshot that is kept",
            value={
                "number": 2,
                "note": "for the classifier of December",
                "status": "done",
                "failure": "",
                "filters": {"status": "resolved", "split": "80,10,10"},
                "rows": 1250,
                "erased": 0,
                "size": 310482,
                "sha256": "9f2c" + "0" * 60,
                "schema_version": "1",
                "taxonomy_version": 3,
                "labels": {"card_arrival": "Card arrival", "fee": "Fee"},
                "policy": 4,
                "certificate": {"rule": "conditional", "alpha": 0.05, "delta": 0.1},
                "certificate_hash": "51d0" + "0" * 60,
                "rewrites": [],
                "created_by": "Ida",
                "created_at": "2026-11-26T09:00:00Z",
                "taken_at": "2026-11-26T09:00:04Z",
            },
            response_only=True,
        )
    ]
)
class SnapshotSerializer(serializers.ModelSerializer[Snapshot]):
    status = serializers.ChoiceField(
        Snapshot.Status.choices, help_text="Its rows can be had once it is done."
    )
    policy = serializers.IntegerField(
        source="policy.version", allow_null=True, default=None, help_text="Version in use then."
    )
    created_by = serializers.CharField(source="actor")
    labels = serializers.SerializerMethodField(help_text="Key to name, as they were then.")
    filters = serializers.DictField(help_text="The choices of the export, by name.")
    certificate = serializers.DictField(
        allow_null=True, help_text="That of the policy, if one held then."
    )
    certificate_hash = serializers.CharField(help_text="SHA-256 of its JSON with sorted keys.")
    rewrites = RewriteSerializer(many=True)

    class Meta:
        model = Snapshot
        fields = [
            "number",
            "note",
            "status",
            "failure",
            "filters",
            "rows",
            "erased",
            "size",
            "sha256",
            "schema_version",
            "taxonomy_version",
            "labels",
            "policy",
            "certificate",
            "certificate_hash",
            "rewrites",
            "created_by",
            "created_at",
            "taken_at",
        ]

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "string"}})
    def get_labels(self, snapshot: Snapshot) -> dict[str, str]:
        return dict(snapshot.labels)
