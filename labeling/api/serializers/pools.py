"""Frozen pools and their certificates."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from labeling.actions.pool_certificate import pool_certificate, pool_in_words
from labeling.api.base import StrictSerializer
from labeling.models import Pool


class PoolCertificateSerializer(serializers.Serializer[Any]):
    """Null figures cannot be told yet. Which labels were drawn is told to nobody."""

    answered = serializers.IntegerField()
    holds = serializers.BooleanField(help_text="At most alpha is wrong.")
    sampled = serializers.IntegerField(
        source="bound.sampled", allow_null=True, default=None, help_text="Draws it rests on."
    )
    wrong = serializers.IntegerField(
        source="bound.errors",
        allow_null=True,
        default=None,
        help_text="Of them, the unanswered included.",
    )
    unanswered = serializers.IntegerField(help_text="Of a closed pool; they count as wrong.")
    most = serializers.IntegerField(
        source="bound.most", allow_null=True, default=None, help_text="Wrong in the pool at most."
    )
    share = serializers.FloatField(source="bound.share", allow_null=True, default=None)
    left = serializers.IntegerField(
        allow_null=True, help_text="Wrong at most, without those found that stand no more."
    )


class PoolSerializer(serializers.ModelSerializer[Pool]):
    policy = serializers.IntegerField(
        source="policy.version", allow_null=True, default=None, help_text="Version."
    )
    method = serializers.ChoiceField(Pool.Method.choices)
    certificate = serializers.SerializerMethodField()
    words = serializers.SerializerMethodField(help_text="The certificate in sentences.")

    class Meta:
        model = Pool
        fields = [
            "id",
            "policy",
            "method",
            "alpha",
            "delta",
            "size",
            "sample_size",
            "rows_hash",
            "created_at",
            "certified_at",
            "closed_at",
            "certificate",
            "words",
        ]

    @extend_schema_field(PoolCertificateSerializer)
    def get_certificate(self, pool: Pool) -> dict[str, Any]:
        return dict(PoolCertificateSerializer(pool_certificate(pool)).data)

    def get_words(self, pool: Pool) -> list[str]:
        return pool_in_words(pool)


class NewPoolSerializer(StrictSerializer):
    alpha = serializers.FloatField(help_text="Share of wrong labels to be kept.")
    delta = serializers.FloatField(default=0.1, help_text="One less the confidence.")
    method = serializers.ChoiceField(Pool.Method.choices, default=Pool.Method.FIXED)
    policy = serializers.IntegerField(
        required=False, min_value=1, max_value=2**31 - 1, help_text="Version; all without one."
    )
    errors = serializers.IntegerField(  # type: ignore[assignment]  # a field of that name
        default=0,
        min_value=0,
        max_value=2**31 - 1,
        help_text="Wrong ones among the drawn that it shall survive.",
    )
