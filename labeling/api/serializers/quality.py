"""How good the labels are, as `/metrics/` tells it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from labeling.api.serializers.policies import MetricsSerializer, ShareSerializer
from labeling.models import Part


class EstimateSerializer(serializers.Serializer[Any]):
    """A figure with its 95 % bootstrap interval over `n` tasks; null where it is not defined."""

    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField()


class CoefficientSerializer(serializers.Serializer[Any]):
    """A coefficient of agreement over `tasks`. Where `value` is null, `why` is "empty" (no task has
    two answers) or "one_label" (only one label was ever used)."""

    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    tasks = serializers.IntegerField()
    why = serializers.CharField(allow_blank=True)


class AnswerMetricsSerializer(serializers.Serializer[Any]):
    n = serializers.IntegerField(help_text="Answers.")
    tasks = serializers.IntegerField()
    coverage = ShareSerializer(help_text="Answers that are a label, of all.")
    coverage_with_conf = ShareSerializer(help_text="Answers that are a label or `conf`, of all.")
    accuracy = ShareSerializer(help_text="Right, of the answers that are a label.")
    accuracy_conf_wrong = ShareSerializer(
        help_text="Right, of the answers that are a label or `conf`."
    )
    total_accuracy = ShareSerializer(help_text="Right, of all.")


class LabelMetricsSerializer(serializers.Serializer[Any]):
    """One label (or *yes* and *no*, where that was asked) among the answers that are a label."""

    label = serializers.CharField()  # type: ignore[assignment]
    precision = ShareSerializer(help_text="Right, of the answers that are this label.")
    recall = ShareSerializer(help_text="Answered right, of the answered tasks that are this label.")
    f1 = serializers.FloatField()


class AnswererSerializer(serializers.Serializer[Any]):
    """Somebody or something against the experts."""

    kind = serializers.CharField(help_text="person, people, validator, classifier or policy.")
    name = serializers.CharField()
    simulated = serializers.BooleanField()
    metrics = AnswerMetricsSerializer()
    macro_f1 = EstimateSerializer()
    kappa = CoefficientSerializer(help_text="Cohen's, with the experts.")
    seconds = serializers.FloatField(allow_null=True, help_text="Median time of an answer.")
    aided = serializers.IntegerField(
        help_text="Answers of a person given with validators' output in sight."
    )
    labels = LabelMetricsSerializer(many=True)
    left_out = serializers.IntegerField(
        help_text="Tasks that do not score a machine because an expert had validators in sight."
    )


class SameDataSerializer(serializers.Serializer[Any]):
    """People and the policy on just the tasks that the policy accepted and people answered."""

    people = AnswerMetricsSerializer()
    machine = AnswerMetricsSerializer()
    gain = EstimateSerializer(help_text="Accuracy of the machine less that of people.")


class AgainstExpertsSerializer(serializers.Serializer[Any]):
    part = serializers.ChoiceField(Part.choices)
    settled = serializers.IntegerField(help_text="Tasks of the part that the experts settled.")
    sampled = serializers.IntegerField(
        help_text="Of how many of them the figures are: all, or a fixed random sample."
    )
    random = serializers.BooleanField(help_text="Were all of them sampled at random?")
    note = serializers.CharField(allow_blank=True, help_text="What not to do with the figures.")
    answerers = AnswererSerializer(many=True)
    same_data = SameDataSerializer(allow_null=True)


class CoefficientsSerializer(serializers.Serializer[Any]):
    answers = serializers.IntegerField()
    percent_agreement = CoefficientSerializer()
    fleiss_kappa = CoefficientSerializer()
    krippendorff_alpha = CoefficientSerializer()
    gwet_ac1 = CoefficientSerializer()


class WeekOfAgreementSerializer(serializers.Serializer[Any]):
    start = serializers.DateField()
    alpha = CoefficientSerializer()


class ReplacementSerializer(serializers.Serializer[Any]):
    """May the validator replace people? Null where too few people answered with it out of sight."""

    validator = serializers.CharField()
    winning_rate = serializers.FloatField(allow_null=True)
    average_advantage = serializers.FloatField(allow_null=True)
    passes = serializers.BooleanField(allow_null=True)
    decided = serializers.BooleanField(allow_null=True)
    more_labels_each = serializers.IntegerField(allow_null=True)


class AgreementSerializer(serializers.Serializer[Any]):
    """Of the newest 20,000 answers; `unaided` ones were given without validators in sight."""

    all = CoefficientsSerializer()
    unaided = CoefficientsSerializer()
    without_unk_and_conf = CoefficientsSerializer()
    weeks = WeekOfAgreementSerializer(many=True)
    replacements = ReplacementSerializer(many=True)


class AreasSerializer(serializers.Serializer[Any]):
    roc = serializers.FloatField(allow_null=True)
    pr = serializers.FloatField(allow_null=True)
    labels = serializers.IntegerField(help_text="Labels whose areas the means are of.")


class PeriodSerializer(serializers.Serializer[Any]):
    """A version of the classifier in one week (null: in all) on one kind of random sample."""

    sample = serializers.ChoiceField(["benchmark", "audit"], source="source")
    version = serializers.CharField()
    week = serializers.DateField(allow_null=True)
    metrics = AnswerMetricsSerializer()
    macro_f1 = EstimateSerializer()
    areas = AreasSerializer()


class SavingsSerializer(serializers.Serializer[Any]):
    accepted = serializers.IntegerField(help_text="Labels that stand by the policy alone.")
    tasks = serializers.IntegerField()
    answers_each = serializers.FloatField(help_text="Answers a task takes where people settle it.")
    seconds = serializers.FloatField(allow_null=True, help_text="Of one answer.")
    measured = serializers.BooleanField(help_text="Are the seconds measured, or a setting?")
    hours = serializers.FloatField(allow_null=True, help_text="Saved, less those of the audit.")
    money = serializers.FloatField(allow_null=True)
    currency = serializers.CharField(allow_blank=True)
    error = ShareSerializer(help_text="Wrong among the audited.")
    unanswered = serializers.IntegerField(help_text="Drawn for audit and not answered yet.")


class MetricsReportSerializer(MetricsSerializer):
    against_experts = AgainstExpertsSerializer()
    agreement = AgreementSerializer()
    classifier_periods = PeriodSerializer(many=True)
    savings = SavingsSerializer()
