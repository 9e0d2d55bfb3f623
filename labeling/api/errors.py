"""One error shape everywhere: {"error": {"code", "message", "details": [...]}}."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.translation import gettext as _
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

from labeling.actions.errors import ActionRefused, Conflict, Detail
from labeling.formats.records import FileRefused


def error_body(code: str, message: str, details: list[Detail] | None = None) -> dict[str, Any]:
    return {
        "error": {
            "code": code,
            "message": str(message),
            "details": [
                {"field": detail.field, "index": detail.index, "message": detail.message}
                for detail in details or []
            ],
        }
    }


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: every refusal in the one shape; anything else stays a 500."""
    if isinstance(error, ActionRefused):
        conflict = isinstance(error, Conflict)
        http = status.HTTP_409_CONFLICT if conflict else status.HTTP_422_UNPROCESSABLE_ENTITY
        return Response(error_body(error.code, error.message, error.details), status=http)
    if isinstance(error, FileRefused):
        http = status.HTTP_422_UNPROCESSABLE_ENTITY
        return Response(error_body(ActionRefused.code, str(error)), status=http)
    response = exception_handler(error, context)
    if response is None:
        return None
    code, message, details = _explain(error)
    response.data = error_body(code, message, details)
    return response


def _explain(error: Exception) -> tuple[str, str, list[Detail]]:
    if isinstance(error, exceptions.ValidationError):
        return "invalid", _("The request has mistakes."), _flatten(error.detail)
    if isinstance(error, Http404):
        return "not_found", str(error) or _("Nothing is here."), []
    if isinstance(error, PermissionDenied):
        return "permission_denied", str(error) or _("You may not do this."), []
    if isinstance(error, exceptions.APIException):
        codes = error.get_codes()
        return codes if isinstance(codes, str) else "invalid", str(error.detail), []
    return "error", str(error), []


def _flatten(detail: Any, field: str = "", index: int | None = None) -> list[Detail]:
    """DRF's nested error detail as one flat list, with dotted fields and list positions."""
    if isinstance(detail, dict):
        found: list[Detail] = []
        for name, inner in detail.items():
            if isinstance(name, int):
                found += _flatten(inner, field, name)
            else:
                found += _flatten(inner, f"{field}.{name}" if field else str(name), index)
        return found
    if isinstance(detail, list):
        found = []
        for place, inner in enumerate(detail):
            deeper = isinstance(inner, (dict, list))
            if inner:
                found += _flatten(inner, field, place if deeper and index is None else index)
        return found
    return [Detail(str(detail), field, index)]
