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
        ]


class DecisionCountSerializer(serializers.Serializer[Any]):
    outcome = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)
    mode = serializers.CharField()
    n = serializers.IntegerField()


class FailureCountSerializer(serializers.Serializer[Any]):
    message = serializers.CharField()
    n = serializers.IntegerField()


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


class RunDetailSerializer(RunSerializer):
    progress = serializers.SerializerMethodField()

    class Meta(RunSerializer.Meta):
        fields = [*RunSerializer.Meta.fields, "progress"]

    def get_progress(self, run: Run) -> ProgressSerializer:
        return ProgressSerializer(runs.progress(run)).data  # type: ignore[return-value]
