"""Webhooks and their deliveries."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from labeling.actions.webhooks import ASKED_FOR
from labeling.api.base import StrictSerializer
from labeling.models import Delivery, Webhook

_EVENTS = [(event.value, event.label) for event in ASKED_FOR]
_SAID = {
    "url": "https://hooks.example.org/countersign",
    "events": ["task.resolved", "alarm.raised"],
    "secret_variable": "WEBHOOK_SECRET_SHOP",
}
_SECRET = "Name of the environment variable of the workers that holds the secret; WEBHOOK_SECRET…"


@extend_schema_serializer(
    examples=[OpenApiExample("A new webhook", value=_SAID, request_only=True)]
)
class NewWebhookSerializer(StrictSerializer):
    url = serializers.CharField(max_length=500, help_text="https://host/path")
    events = serializers.ListField(child=serializers.ChoiceField(_EVENTS), min_length=1)
    secret_variable = serializers.CharField(max_length=64, help_text=_SECRET)


@extend_schema_serializer(
    examples=[OpenApiExample("Pause", value={"active": False}, request_only=True)]
)
class WebhookChangesSerializer(StrictSerializer):
    url = serializers.CharField(max_length=500, required=False)
    events = serializers.ListField(
        child=serializers.ChoiceField(_EVENTS), min_length=1, required=False
    )
    secret_variable = serializers.CharField(max_length=64, required=False, help_text=_SECRET)
    active = serializers.BooleanField(required=False)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A webhook",
            value={"id": 3, **_SAID, "active": True, "created_at": "2026-11-26T09:00:00Z"},
            response_only=True,
        )
    ]
)
class WebhookSerializer(serializers.ModelSerializer[Webhook]):
    events = serializers.ListField(child=serializers.ChoiceField(_EVENTS))

    class Meta:
        model = Webhook
        fields = ["id", "url", "events", "secret_variable", "active", "created_at"]


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "One that is tried again",
            value={
                "number": 12,
                "delivery": "0f8b5c1e-6d0c-4c63-9d0e-0c6a3f6d7f10",
                "status": "waiting",
                "events": 2,
                "tries": 1,
                "response_code": 503,
                "reply": "upstream is away",
                "failure": "The server answered 503; only 200 to 299 is a success.",
                "due_at": "2026-11-26T09:00:34Z",
                "created_at": "2026-11-26T09:00:00Z",
                "tried_at": "2026-11-26T09:00:02Z",
                "finished_at": None,
            },
            response_only=True,
        )
    ]
)
class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    status = serializers.ChoiceField(Delivery.Status.choices)
    delivery = serializers.UUIDField(source="uid", help_text="The id that the request carries.")
    reply = serializers.CharField(help_text="The first 1,000 characters of the last reply.")
    tries = serializers.IntegerField(help_text="Since it was formed, or sent again.")

    class Meta:
        model = Delivery
        fields = [
            "number",
            "delivery",
            "status",
            "events",
            "tries",
            "response_code",
            "reply",
            "failure",
            "due_at",
            "created_at",
            "tried_at",
            "finished_at",
        ]


class SentSerializer(serializers.Serializer[Any]):
    queued = serializers.BooleanField(help_text="A worker sends it; see the deliveries.")
