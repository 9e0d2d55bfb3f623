"""Snapshots of an export."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from labeling.models import Snapshot

_SIDE = {
    "revision": 1,
    "outcome": "label",
    "conf_labels": [],
    "unk_reason": None,
    "status": "resolved",
}


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


class SideSerializer(serializers.Serializer[Any]):
    """A task in one of two snapshots."""

    revision = serializers.IntegerField()
    label_key = serializers.CharField(allow_null=True)
    outcome = serializers.CharField(allow_null=True)
    conf_labels = serializers.ListField(child=serializers.CharField())
    unk_reason = serializers.CharField(allow_null=True)
    status = serializers.CharField()
    source = serializers.CharField(allow_null=True)  # type: ignore[assignment]  # of that name


class ChangeSerializer(serializers.Serializer[Any]):
    external_id = serializers.CharField()
    changes = serializers.ListField(child=serializers.CharField())
    before = SideSerializer(allow_null=True, help_text="Null where the task was not there.")
    after = SideSerializer(allow_null=True, help_text="Null where it is there no more.")


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "One label changed",
            value={
                "since": 1,
                "snapshot": 2,
                "changes": [
                    {
                        "external_id": "chat/1",
                        "changes": ["label", "source"],
                        "before": _SIDE | {"label_key": "fee", "source": "auto"},
                        "after": _SIDE | {"label_key": "card_lost", "source": "override"},
                    }
                ],
                "counts": {
                    "same": 1249,
                    "added": 0,
                    "removed": 0,
                    "label": 1,
                    "status": 0,
                    "source": 1,
                    "text": 0,
                    "erased": 0,
                },
            },
            response_only=True,
        )
    ]
)
class SnapshotChangesSerializer(serializers.Serializer[Any]):
    """What differs between two snapshots."""

    since = serializers.IntegerField()
    snapshot = serializers.IntegerField()
    changes = ChangeSerializer(many=True)
    counts = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="Tasks by what changed, and `same`; `erased` ones are not among the changes.",
    )
