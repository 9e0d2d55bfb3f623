"""Runs and how far they are."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from labeling.actions import runs
from labeling.models import Run


class RunSerializer(serializers.ModelSerializer[Run]):
    status = serializers.CharField(help_text="open, closed (no new tasks) or completed.")
    configuration = serializers.CharField(source="configuration.content_hash")
    model_version = serializers.CharField(source="configuration.content.model_version")
    taxonomy_version = serializers.IntegerField(source="taxonomy.number")

    class Meta:
        model = Run
        fields = [
            "id",
            "kind",
            "status",
            "planned",
            "model_version",
            "configuration",
            "taxonomy_version",
            "note",
            "created_at",
            "closed_at",
            "completed_at",
            "paused_at",
            "cancelled_at",
        ]


class DecisionCountSerializer(serializers.Serializer[Any]):
    outcome = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)
    mode = serializers.CharField()
    n = serializers.IntegerField()


class FailureCountSerializer(serializers.Serializer[Any]):
    message = serializers.CharField()
    n = serializers.IntegerField()


class TookSerializer(serializers.Serializer[Any]):
    """What one validator took in the run. Money at the prices of today."""

    validator = serializers.CharField()
    failures = serializers.IntegerField()
    calls = serializers.IntegerField(help_text="To a server.")
    tokens = serializers.IntegerField(help_text="Read.")
    cached_tokens = serializers.IntegerField(
        allow_null=True, help_text="Of them in the server's cache; null where no server told."
    )
    written_tokens = serializers.IntegerField(
        help_text="One for each call, or as many as the server told."
    )
    cost = serializers.FloatField(allow_null=True, help_text="Null without prices.")


class UsageSerializer(TookSerializer):
    """What the verdicts of one validator took in the run."""

    verdicts = serializers.IntegerField()
    latency_ms = serializers.FloatField(allow_null=True, help_text="Of a task, on average.")
    tasks_per_second = serializers.FloatField(help_text="Over the last five minutes.")


class ReasonsUsageSerializer(TookSerializer):
    """What the reasons took that one validator gave people in the run, after the decision."""

    reasons = serializers.IntegerField()


class BudgetSerializer(serializers.Serializer[Any]):
    tokens = serializers.IntegerField(allow_null=True, help_text="Null: no limit.")
    spent_tokens = serializers.IntegerField()
    money = serializers.FloatField(allow_null=True, help_text="Null: no limit.")
    spent_money = serializers.FloatField(allow_null=True, help_text="Null without prices.")
    stopped_at = serializers.DateTimeField(
        allow_null=True, help_text="When it first kept an LLM from being asked."
    )


class ProgressSerializer(serializers.Serializer[Any]):
    planned = serializers.IntegerField()
    unfinished = serializers.IntegerField()
    stages = serializers.DictField(child=serializers.IntegerField())
    verdicts = serializers.DictField(
        child=serializers.IntegerField(), help_text="Answers by validator."
    )
    decisions = DecisionCountSerializer(many=True)
    failures = FailureCountSerializer(many=True)
    seconds = serializers.DictField(
        child=serializers.FloatField(), help_text="Seconds of work by stage."
    )
    tasks_per_second = serializers.FloatField(help_text="Decided, over the last five minutes.")
    usage = UsageSerializer(many=True)
    reasons = ReasonsUsageSerializer(many=True)
    cost = serializers.FloatField(allow_null=True)
    currency = serializers.CharField(allow_blank=True)
    budget = BudgetSerializer()


class RunDetailSerializer(RunSerializer):
    progress = serializers.SerializerMethodField()

    class Meta(RunSerializer.Meta):
        fields = [*RunSerializer.Meta.fields, "progress"]

    def get_progress(self, run: Run) -> ProgressSerializer:
        return ProgressSerializer(runs.progress(run)).data  # type: ignore[return-value]
