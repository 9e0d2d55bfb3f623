"""How pages of a list look in the schema."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import (
    OpenApiParameter,
    PolymorphicProxySerializer,
    inline_serializer,
)
from rest_framework import serializers

PAGE_PARAMETERS = [
    OpenApiParameter("cursor", str, description="Taken from “next” or “previous”."),
    OpenApiParameter("page_size", int, description="1 to 1000; default 100."),
]


def paged(row: Any, either: Any = None) -> serializers.Serializer[Any]:
    """The shape of one page of `row`s, or of rows of another kind for another role."""
    name = row.__name__.removesuffix("Serializer")
    results: Any = row(many=True)
    if either is not None:
        results = PolymorphicProxySerializer(
            component_name=f"{name}InPage",
            serializers=[row, either],
            resource_type_field_name=None,
            many=True,
        )
    return inline_serializer(
        name=f"Page{name}",
        fields={
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
            "results": results,
        },
    )
