"""The benchmark that is drawn and labeled here."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from labeling.actions.benchmark_draw import DRAWABLE, MAX_SEED, MOST
from labeling.api.base import StrictSerializer
from labeling.models import BenchmarkDraw, Part, Sampling


class NewDrawSerializer(StrictSerializer):
    part = serializers.ChoiceField(Part.choices)
    n = serializers.IntegerField(min_value=1, max_value=MOST)
    sampling = serializers.ChoiceField(
        [str(value) for value in DRAWABLE],
        default=str(Sampling.RANDOM),
        help_text="The part “certify” takes random samples only.",
    )
    seed = serializers.CharField(
        default="", allow_blank=True, max_length=MAX_SEED, help_text="Chosen where none is given."
    )
    since = serializers.DateTimeField(
        required=False, help_text="Only texts that arrived from then on."
    )


class DrawSerializer(serializers.ModelSerializer[BenchmarkDraw]):
    part = serializers.ChoiceField(Part.choices)
    sampling = serializers.CharField()
    left_out = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="Texts that could not be drawn: in_benchmark, may_have_trained.",
    )
    strata = serializers.ListField(
        child=serializers.DictField(child=serializers.IntegerField()),
        help_text="Of a stratified draw: predicted label (by number), population, drawn.",
    )

    class Meta:
        model = BenchmarkDraw
        fields = [
            "id",
            "part",
            "sampling",
            "seed",
            "population",
            "drawn",
            "arrived_since",
            "left_out",
            "strata",
            "created_at",
        ]


class PartSerializer(serializers.Serializer[Any]):
    """A part as it stands. It can certify if there are no obstacles."""

    part = serializers.ChoiceField(Part.choices)
    items = serializers.IntegerField()
    settled = serializers.IntegerField()
    open = serializers.IntegerField(help_text="Waiting for experts to label.")
    disputed = serializers.IntegerField()
    by_sampling = serializers.DictField(child=serializers.IntegerField())
    can_certify = serializers.BooleanField()
    obstacles = serializers.ListField(child=serializers.CharField(), help_text="In sentences.")
    agreement = serializers.FloatField(
        allow_null=True, help_text="Krippendorff's alpha; null where it is not defined."
    )
    agreement_low = serializers.FloatField(allow_null=True, help_text="95 % interval.")
    agreement_high = serializers.FloatField(allow_null=True)
    pairs = serializers.IntegerField(help_text="Texts with two independent answers.")
