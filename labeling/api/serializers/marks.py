"""Flags and skips, and what is done to many tasks at once."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from labeling.actions.assign import DAYS, MOST_DAYS
from labeling.actions.many import MOST
from labeling.api.base import StrictSerializer
from labeling.models import Assignment, Flag, Role, Skip, SkipReason


class MarkSerializer(serializers.ModelSerializer[Any]):
    external_id = serializers.CharField(source="task.external_id")
    member = serializers.CharField(source="member.name")


class SkipSerializer(MarkSerializer):
    reason = serializers.ChoiceField(SkipReason.choices)

    class Meta:
        model = Skip
        fields = ["id", "external_id", "revision", "member", "reason", "until", "created_at"]


@extend_schema_serializer(
    examples=[OpenApiExample("Later", {"external_id": "chat/1", "reason": "later"})]
)
class NewSkipSerializer(StrictSerializer):
    external_id = serializers.CharField(max_length=200)
    reason = serializers.ChoiceField(
        SkipReason.choices, help_text="“later” brings it back after an hour, the others do not."
    )


class FlagSerializer(MarkSerializer):
    note = serializers.SerializerMethodField(
        help_text="Null where it may tell what machines think of a text to be labeled blind."
    )

    class Meta:
        model = Flag
        fields = ["id", "external_id", "revision", "member", "note", "created_at", "closed_at"]

    def get_note(self, flag: Flag) -> str | None:
        return None if getattr(flag, "withheld", False) else flag.note


@extend_schema_serializer(
    examples=[OpenApiExample("A flag", {"external_id": "chat/1", "note": "Two questions in one."})]
)
class NewFlagSerializer(StrictSerializer):
    external_id = serializers.CharField(max_length=200)
    note = serializers.CharField(max_length=300, allow_blank=True, default="")


class ChosenSerializer(StrictSerializer):
    external_ids = serializers.ListField(
        child=serializers.CharField(max_length=200), min_length=1, max_length=MOST
    )


DO = {
    "reopen": "What stands is withdrawn, and people are asked anew.",
    "expert": "The tasks go among the disputes.",
    "audit": "An expert labels blind what machines accepted; no estimate counts it.",
}


@extend_schema_serializer(
    examples=[OpenApiExample("Audit", {"do": "audit", "external_ids": ["chat/1", "chat/2"]})]
)
class ReviewSerializer(ChosenSerializer):
    do = serializers.ChoiceField(
        list(DO), help_text=" ".join(f"“{name}”: {words}" for name, words in DO.items())
    )


@extend_schema_serializer(
    examples=[OpenApiExample("Keep", {"expert_only": True, "external_ids": ["chat/1"]})]
)
class ExpertOnlySerializer(ChosenSerializer):
    expert_only = serializers.BooleanField()


class DoneSerializer(serializers.Serializer[Any]):
    changed = serializers.IntegerField()
    left = serializers.IntegerField(help_text="Left as they were.")


class AssignmentSerializer(serializers.ModelSerializer[Assignment]):
    member = serializers.CharField(source="member.name", allow_null=True, default=None)
    role = serializers.CharField(help_text="Empty where it is for one member.")
    given_by = serializers.CharField(source="given_by.name")

    class Meta:
        model = Assignment
        fields = [
            "id",
            "member",
            "role",
            "count",
            "given_by",
            "created_at",
            "expires_at",
            "released_at",
        ]


class AssignedSerializer(DoneSerializer):
    assignment = AssignmentSerializer()


@extend_schema_serializer(
    examples=[
        OpenApiExample("One person", {"external_ids": ["chat/1"], "member": "ann", "days": 3}),
        OpenApiExample("A role", {"external_ids": ["chat/1"], "role": "expert"}),
    ]
)
class NewAssignmentSerializer(ChosenSerializer):
    member = serializers.CharField(
        required=False, max_length=150, help_text="The name that the person signs in with."
    )
    role = serializers.ChoiceField(Role.choices, required=False)
    days = serializers.IntegerField(default=DAYS, min_value=1, max_value=MOST_DAYS)
