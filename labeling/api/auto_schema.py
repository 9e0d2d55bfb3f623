"""What every write has in common, for the OpenAPI generator."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

WRITES = ("POST", "PUT", "PATCH", "DELETE")
KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="A name of your own for this request. Sent again within a day, the same request is "
    "answered as before and done once; another request under the same key is refused (422), and "
    "one that is still at work is told so (409).",
)


class Schema(AutoSchema):
    """Every write takes an Idempotency-Key, and may be refused for it."""

    def get_override_parameters(self) -> list[Any]:
        given = list(super().get_override_parameters())
        return [*given, KEY] if self.method in WRITES else given

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        # Here, since the views import this module's users before they are views.
        from labeling.api.schema import MEANINGS, ErrorSerializer

        found: dict[str, Any] = super()._get_response_bodies(direction)
        if self.method in WRITES:
            for status in (400, 409, 422):
                refusal = OpenApiResponse(ErrorSerializer, description=MEANINGS[status])
                if str(status) not in found:
                    found[str(status)] = self._get_response_for_code(  # type: ignore[no-untyped-call]
                        refusal, str(status), direction=direction
                    )
        return found
