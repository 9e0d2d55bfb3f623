"""The texts that are most worth labeling next."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from labeling.api.serializers.tasks import LabelNameSerializer


class NextTextSerializer(serializers.Serializer[Any]):
    external_id = serializers.CharField(source="task.external_id")
    revision = serializers.IntegerField(source="task.revision")
    text = serializers.CharField(source="task.text")
    metadata = serializers.DictField(source="task.metadata")
    value = serializers.FloatField(
        allow_null=True, help_text="By which it was chosen; null where machines said too little."
    )
    predicted = LabelNameSerializer(
        source="task.prediction.label",
        allow_null=True,
        default=None,
        help_text="By the classifier",
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Two texts by margin",
            value={
                "strategy": "margin",
                "looked_at": 4096,
                "all_seen": False,
                "texts": [
                    {
                        "external_id": "chat/7",
                        "revision": 1,
                        "text": "Why was I charged for a card that never came?",
                        "metadata": {"channel": "app"},
                        "value": 0.98,
                        "predicted": {"key": "fee", "name": "Fee"},
                    },
                    {
                        "external_id": "chat/3",
                        "revision": 1,
                        "text": "It is about my card.",
                        "metadata": {},
                        "value": 0.91,
                        "predicted": {"key": "card_lost", "name": "Card lost"},
                    },
                ],
            },
            response_only=True,
        )
    ]
)
class NextSerializer(serializers.Serializer[Any]):
    """Best first."""

    strategy = serializers.CharField()
    looked_at = serializers.IntegerField(help_text="How many texts these were chosen from.")
    all_seen = serializers.BooleanField(help_text="Were these all that wait?")
    texts = NextTextSerializer(many=True)
