"""Policies, what they would do, and how good what they do is."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from labeling.actions.certificate_words import certificate_notes
from labeling.actions.policy_kinds import KINDS, TUNED
from labeling.actions.scorer_rule import CALIBRATIONS
from labeling.api.base import StrictSerializer
from labeling.models import Part, Policy, TaskStatus
from labeling.statistics.pooling import MEAN, POOLS


class PolicySerializer(serializers.ModelSerializer[Policy]):
    status = serializers.CharField(help_text="draft, active or retired.")
    configuration = serializers.CharField(source="configuration.content_hash")
    model_version = serializers.CharField(source="configuration.content.model_version")
    rule = serializers.DictField(
        help_text="How verdicts are pooled, validators by number, the thresholds."
    )
    evidence = serializers.DictField(help_text="What the rule was fitted on.")
    certificate = serializers.DictField(
        allow_null=True, help_text="Null for a rule that was tuned and not certified."
    )
    certified = serializers.BooleanField(
        source="is_certified", help_text="Whether there is a certificate that still holds."
    )
    notes = serializers.SerializerMethodField(
        help_text="What changed since the certificate was given, in sentences."
    )

    class Meta:
        model = Policy
        fields = [
            "version",
            "status",
            "model_version",
            "configuration",
            "rule",
            "evidence",
            "certificate",
            "certified",
            "notes",
            "created_at",
            "activated_at",
            "paused_at",
        ]

    def get_notes(self, policy: Policy) -> list[str]:
        return certificate_notes(policy)


class FitSerializer(StrictSerializer):
    target_accuracy = serializers.FloatField(
        required=False, min_value=0.0, max_value=1.0, help_text="Default: the project's."
    )
    model_version = serializers.CharField(
        required=False, help_text="Default: the newest the project has predictions of."
    )
    pool = serializers.ChoiceField(
        POOLS,
        default=MEAN,
        help_text="How verdicts are put together. Weights are fitted on tune, and give way to the "
        "mean where they are not better on answers that they were not fitted on.",
    )
    cascade = serializers.BooleanField(
        default=False,
        help_text="Ask the cheapest validator first and the others only while undecided.",
    )
    least_mass = serializers.FloatField(
        required=False,
        min_value=0.0,
        max_value=1.0,
        help_text="Probability on the options below which an answer settles nothing. Default: the "
        "project's.",
    )
    rule = serializers.ChoiceField(
        KINDS,
        default=TUNED,
        help_text="tuned: the loosest threshold that reaches the target on tune. manual: "
        "`threshold`. people: as good as the regular annotators on the same tasks, less `margin`. "
        "conditional: at most `alpha` of the accepted are wrong, joint: at most `alpha` of all are "
        "accepted and wrong, each with confidence 1 - `delta`, tested on certify.",
    )
    threshold = serializers.FloatField(required=False, min_value=0.0, max_value=1.0)
    margin = serializers.FloatField(default=0.0, min_value=0.0, max_value=1.0)
    alpha = serializers.FloatField(
        required=False, help_text="Default: what the project's target accuracy leaves."
    )
    delta = serializers.FloatField(default=0.1)
    groups = serializers.IntegerField(
        default=0, min_value=0, max_value=50, help_text="Promise it for so many groups of labels."
    )
    each_alone = serializers.BooleanField(
        default=False, help_text="For each group alone, not for all at once."
    )
    off_topic = serializers.FloatField(
        required=False, help_text="Accept at most this share of the texts that fit no label."
    )
    open_as_errors = serializers.BooleanField(
        default=False, help_text="Rows that are not settled yet count as errors."
    )
    fresh = serializers.BooleanField(
        default=False, help_text="Certify with rows that no test has used."
    )
    scorer = serializers.BooleanField(
        default=False, help_text="Rank by more than the probability where that is better on tune."
    )
    calibration = serializers.ChoiceField(list(CALIBRATIONS), required=False)


class PreviewSerializer(StrictSerializer):
    threshold = serializers.FloatField(min_value=0.0, max_value=1.0)
    part = serializers.ChoiceField(Part.choices, default=Part.TUNE)
    model_version = serializers.CharField(required=False)


class ShareSerializer(serializers.Serializer[Any]):
    """A share with its 95 % Wilson interval; null where nothing was counted."""

    successes = serializers.IntegerField()
    n = serializers.IntegerField()
    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)


class AcceptanceSerializer(serializers.Serializer[Any]):
    accuracy = ShareSerializer(help_text="Right among the accepted.")
    coverage = ShareSerializer(help_text="Accepted among all.")
    total_accuracy = ShareSerializer(help_text="Accepted and right among all.")


class PreviewReportSerializer(AcceptanceSerializer):
    part = serializers.ChoiceField(Part.choices)
    threshold = serializers.FloatField()
    model_version = serializers.CharField()
    note = serializers.CharField(allow_blank=True)


class ActivePolicySerializer(serializers.Serializer[Any]):
    version = serializers.IntegerField()
    certified = serializers.BooleanField()
    parts = serializers.DictField(child=AcceptanceSerializer(), help_text="By benchmark part.")


class AskedPartSerializer(StrictSerializer):
    part = serializers.ChoiceField(
        Part.choices, default=Part.TEST, help_text="Of the benchmark, for `against_experts`."
    )


class MetricsSerializer(serializers.Serializer[Any]):
    policy = ActivePolicySerializer(allow_null=True)
    classifier = serializers.DictField(
        child=ShareSerializer(),
        help_text="Share of benchmark answers that the current predictions get right, by part.",
    )
    tasks = serializers.DictField(
        child=serializers.IntegerField(), help_text=f"By status: {', '.join(TaskStatus.values)}."
    )
    resolutions = serializers.DictField(
        child=serializers.IntegerField(), help_text="Labels that stand, by how they came about."
    )
