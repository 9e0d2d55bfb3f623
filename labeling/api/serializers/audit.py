"""Audits, alarms and what was sent back."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from labeling.api.base import StrictSerializer
from labeling.models import Alarm, SendBack


class LabelErrorSerializer(serializers.Serializer[Any]):
    """How often a label was wrong where it was audited, with a 95 % interval."""

    label = serializers.CharField(  # type: ignore[assignment]  # a field of that name
        help_text="Key."
    )
    n = serializers.IntegerField()
    wrong = serializers.IntegerField()
    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)


class PointSerializer(serializers.Serializer[Any]):
    n = serializers.IntegerField(help_text="Observations.")
    error = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class AlarmSerializer(serializers.ModelSerializer[Alarm]):
    policy = serializers.IntegerField(source="policy.version")
    did = serializers.ChoiceField(Alarm.Did.choices)
    stricter = serializers.IntegerField(
        source="stricter.version", allow_null=True, default=None, help_text="Version."
    )
    figures = serializers.DictField(child=serializers.FloatField(allow_null=True))
    closed_by = serializers.CharField(source="closed_by.name", allow_null=True, default=None)

    class Meta:
        model = Alarm
        fields = [
            "id",
            "policy",
            "figures",
            "did",
            "stricter",
            "created_at",
            "closed_at",
            "closed_by",
            "note",
        ]


class PickedSerializer(serializers.Serializer[Any]):
    """Accepted labels that people picked for an audit, of the whole project. Nobody drew them, so
    no figure beside these counts them."""

    picked = serializers.IntegerField()
    waiting = serializers.IntegerField()
    answered = serializers.IntegerField()
    wrong = serializers.IntegerField()


class AuditSerializer(serializers.Serializer[Any]):
    """The audit of one policy. A level is `good` only with enough observed, no contradiction and
    none waiting for too long."""

    policy = serializers.IntegerField(help_text="Version.")
    level = serializers.ChoiceField(["good", "waiting", "bad"])
    reasons = serializers.ListField(child=serializers.CharField())
    paused_at = serializers.DateTimeField(allow_null=True)
    promised_error = serializers.FloatField(allow_null=True)
    delta = serializers.FloatField(allow_null=True)
    drawn = serializers.IntegerField()
    observed = serializers.IntegerField()
    waiting = serializers.IntegerField()
    overdue = serializers.IntegerField()
    standing = serializers.IntegerField(help_text="Labels that stand by this policy alone.")
    sequence = PointSerializer(many=True)
    labels = LabelErrorSerializer(many=True)
    alarm = AlarmSerializer(allow_null=True)
    picked = PickedSerializer()


class CloseSerializer(StrictSerializer):
    note = serializers.CharField(max_length=1000, help_text="What was done about it.")


class SendBackSerializer(serializers.ModelSerializer[SendBack]):
    policy = serializers.IntegerField(source="policy.version")
    labels = serializers.ListField(child=serializers.IntegerField(), help_text="By number.")

    class Meta:
        model = SendBack
        fields = ["id", "policy", "labels", "count", "created_at", "undone_at", "restored"]


class PreviewedSendBackSerializer(SendBackSerializer):
    """What sending back would do: nothing was done, so there is no number and no time."""

    id = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField(allow_null=True)


class NewSendBackSerializer(StrictSerializer):
    policy = serializers.IntegerField(min_value=1, max_value=2**31 - 1, help_text="Version.")
    labels = serializers.ListField(
        child=serializers.CharField(), default=list, help_text="Names or keys; all without any."
    )
    preview = serializers.BooleanField(default=False, help_text="Count only, change nothing.")
