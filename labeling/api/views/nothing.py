"""Addresses below /api/v1/ that mean nothing answer in the one error shape, too."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from labeling.api.errors import error_body


@csrf_exempt
def nothing_here(request: HttpRequest, **kwargs: Any) -> JsonResponse:
    """404 for everybody, whatever the method."""
    message = _("Nothing is at this address. Addresses end with a slash; /api/v1/docs/ lists them.")
    return JsonResponse(error_body("not_found", message), status=404)


nothing_here.access_rule = "shows nothing"  # type: ignore[attr-defined]
