"""How pages of a list look in the schema."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, inline_serializer
from rest_framework import serializers

PAGE_PARAMETERS = [
    OpenApiParameter("cursor", str, description="Taken from “next” or “previous”."),
    OpenApiParameter("page_size", int, description="1 to 1000; default 100."),
]


def paged(row: Any) -> serializers.Serializer[Any]:
    """The shape of one page of `row`s."""
    return inline_serializer(
        name=f"Page{row.__name__.removesuffix('Serializer')}",
        fields={
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
            "results": row(many=True),
        },
    )
