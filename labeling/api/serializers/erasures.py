"""Erased texts."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from labeling.api.base import StrictSerializer
from labeling.models import Erasure


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "At the customer's request",
            value={
                "external_id": "chat/1",
                "confirm": "chat/1",
                "reason": "request 4711 of the customer",
                "copies": True,
            },
            request_only=True,
        )
    ]
)
class NewErasureSerializer(StrictSerializer):
    external_id = serializers.CharField(max_length=200)
    confirm = serializers.CharField(
        max_length=200, help_text="The id of the task once more: this cannot be undone."
    )
    reason = serializers.CharField(max_length=300, help_text="Why, without quoting the text.")
    copies = serializers.BooleanField(
        default=False, help_text="Also every other task with the same normalised text."
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "An erased text",
            value={
                "id": 1,
                "external_id": "chat/1",
                "reason": "request 4711 of the customer",
                "removed": {"embedding": 1, "comment": 2, "reasoning": 1},
                "by": "Ida",
                "created_at": "2026-11-26T09:00:00Z",
                "finished_at": None,
            },
            response_only=True,
        )
    ]
)
class ErasureSerializer(serializers.ModelSerializer[Erasure]):
    external_id = serializers.CharField(source="task.external_id")
    removed = serializers.DictField(
        child=serializers.IntegerField(), help_text="Rows of each kind, in that request."
    )
    by = serializers.CharField(source="actor")
    finished_at = serializers.DateTimeField(
        allow_null=True, help_text="When it was out of every snapshot, too."
    )

    class Meta:
        model = Erasure
        fields = ["id", "external_id", "reason", "removed", "by", "created_at", "finished_at"]


class ErasedSerializer(serializers.Serializer[Any]):
    """What became of a request to erase."""

    erasures = ErasureSerializer(many=True)
    copies_left = serializers.IntegerField(help_text="Other tasks that have the same text still.")
    validators = serializers.ListField(  # type: ignore[assignment]  # a field of the reply
        child=serializers.CharField(),
        help_text="Out of use, since a solved example of theirs was erased: register them anew.",
    )
    models_may_know_it = serializers.BooleanField(
        help_text="Models in use were trained from labeled texts; train them anew."
    )
