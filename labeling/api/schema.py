"""What drf-spectacular cannot see by itself: the token, and the one error shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

if TYPE_CHECKING:
    from drf_spectacular.openapi import AutoSchema


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Puts `TokenAuthentication` into the schema."""

    target_class = "labeling.api.auth.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "“Token cs_…”: the word Token, a space, and the token.",
        }


class ErrorDetailSerializer(serializers.Serializer[Any]):
    field = serializers.CharField(allow_blank=True, help_text="Dotted name, empty if none.")
    index = serializers.IntegerField(allow_null=True, help_text="Row in the request, from 0.")
    message = serializers.CharField()


class ErrorBodySerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField(help_text="One plain sentence.")
    details = ErrorDetailSerializer(many=True)


class ErrorSerializer(serializers.Serializer[Any]):
    """Every refusal has this shape."""

    error = ErrorBodySerializer()


def let_kinds_overlap(result: dict[str, Any], **_generator: Any) -> dict[str, Any]:
    """What differs by role (`PolymorphicProxySerializer` without a field that tells the kinds
    apart) may look like both: `anyOf`, where the generator writes that exactly one fits."""
    for schema in result.get("components", {}).get("schemas", {}).values():
        if set(schema) == {"oneOf"} and all("$ref" in kind for kind in schema["oneOf"]):
            schema["anyOf"] = schema.pop("oneOf")
    return result


MEANINGS = {
    400: "The request is not well formed.",
    401: "No valid token or session.",
    403: "The role or the token's scopes do not allow this.",
    404: "Nothing here, or no project of yours.",
    409: "Something else stands already.",
    412: "Changed since it was read, as If-Match tells.",
    413: "More at once than one request takes.",
    415: "A content type, or an encoding, that is not read here.",
    422: "Understood and refused; nothing was changed.",
    429: "Too many requests in this minute; Retry-After tells how many seconds to wait.",
}

IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The ETag of what you read: the change is refused with 412 if it is no more so.",
)


def answers(success: dict[Any, Any], *refusals: int) -> dict[Any, Any]:
    """The responses of an endpoint: what it gives, and the refusals that any endpoint may give
    besides those named. Keys of `success` are a status, or a status and a content type."""
    return success | {
        status: OpenApiResponse(ErrorSerializer, description=MEANINGS[status])
        for status in sorted({401, 403, 429, *refusals})
    }
