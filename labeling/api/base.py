"""What every endpoint has in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.pagination import CursorPagination
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.access import sees_machine_output
from labeling.api.once import HEADER, WRITES, answer_once
from labeling.api.parsers import IMPORT_COMMAND, StrictJSONParser, too_large
from labeling.api.tags import tag_response
from labeling.api.throttle import TokenThrottle
from labeling.models import Member, Project, User


class AlwaysJSON(BaseContentNegotiation):
    """One format, whatever `Accept` or `?format=` says (export has a `format` of its own)."""

    def select_parser(self, request: Request, parsers: Iterable[Any]) -> Any:
        content_type = (request.content_type or "").split(";")[0].strip().lower()
        return next((one for one in parsers if one.media_type == content_type), None)

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)


class Endpoint(APIView):
    """A view of the API. Subclasses name in `required` what each method takes."""

    parser_classes = [StrictJSONParser]
    throttle_classes = [TokenThrottle]
    content_negotiation_class = AlwaysJSON
    checks_rows = False
    """Does the action look for texts that cannot be stored, and name their rows?"""
    import_command = IMPORT_COMMAND
    """The command that takes what is too large for one request."""
    answers_once = True
    """Is a write under an Idempotency-Key kept here? A view that reads its body itself says no."""
    body_digest = b""
    """SHA-256 of the request body, once it was parsed."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if self.answers_once and request.method in WRITES and HEADER in request.headers:
            # REST framework looks the handler up by its name after this.
            name = str(request.method).lower()
            setattr(self, name, partial(self._once, getattr(self, name)))

    def _once(
        self, handler: Callable[..., Response], request: Request, *args: Any, **kwargs: Any
    ) -> Response:
        assert request.data is not None  # it is parsed now, which gives its digest
        return answer_once(
            request,
            project=getattr(self, "project", None),
            digest=self.body_digest,
            handler=partial(handler, request, *args, **kwargs),
            explain=self.handle_exception,
        )

    def signed_in(self) -> User:
        user = self.request.user
        assert isinstance(user, User), "ApiAccess lets nobody else in"
        return user

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Answers to GET carry an ETag, but for streams: nobody knows their end beforehand."""
        final = super().finalize_response(request, response, *args, **kwargs)
        if request.method == "GET" and type(final) is Response and final.status_code == 200:
            tag_response(request, final)
        return final


class ProjectEndpoint(Endpoint):
    """A view inside a project; `ApiAccess` finds the project and the member."""

    project: Project
    member: Member
    machine_output = False
    """Does what is shown here come from machines? Then regular annotators get 403 (DESIGN 8.5)."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # A method that the view does not answer is let through to its 405, without a member.
        found = getattr(self, "member", None)
        if self.machine_output and found is not None and not sees_machine_output(found):
            raise PermissionDenied(_("Your role in this project does not show machine output."))


class CursorPages(CursorPagination):
    """Pages of the same cost at any depth."""

    page_size = 100
    page_size_query_param = "page_size"
    max_page_size = 1000
    ordering = "id"

    def decode_cursor(self, request: Request) -> Any:
        """Positions are ids; anything else would break the query."""
        cursor = super().decode_cursor(request)
        position = cursor.position if cursor else None
        if position is not None and not re.fullmatch("[0-9]{1,18}", str(position)):
            raise NotFound(self.invalid_cursor_message)
        return cursor


PAGE_QUERY = frozenset({"cursor", CursorPages.page_size_query_param})


class NewestFirst(CursorPages):
    ordering = "-id"


def page_of(
    view: APIView,
    rows: QuerySet[Any, Any],
    serializer: type[serializers.BaseSerializer[Any]],
    *,
    pages: type[CursorPages] = CursorPages,
    context: dict[str, Any] | None = None,
) -> Response:
    """One page of `rows` as {"next", "previous", "results"}."""
    paginator = pages()
    found = paginator.paginate_queryset(rows, view.request, view=view)
    data = serializer(found, many=True, context=context or {}).data
    return paginator.get_paginated_response(data)


class StrictSerializer(serializers.Serializer[Any]):
    """A request body in which every field is known; a misspelt one is not ignored."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            known = {name for name, field in self.fields.items() if not field.read_only}
            unknown = sorted(str(name) for name in set(data) - known)
            if unknown:
                raise serializers.ValidationError(
                    {name[:200]: [_("There is no field of this name.")] for name in unknown}
                )
        return super().to_internal_value(data)


def items_of(body: Any, most: int, command: str) -> list[Any]:
    """The rows of a batch, unread: the action checks them one by one and names the bad ones."""
    if not isinstance(body, list):
        raise serializers.ValidationError(_("This is a list of objects."))
    if len(body) > most:
        raise too_large(
            _("The batch has %(n)d items; at most %(most)d are taken")
            % {"n": len(body), "most": most},
            command,
        )
    return body


def read(
    serializer: type[serializers.BaseSerializer[Any]], request: Request, *, partial: bool = False
) -> dict[str, Any]:
    """The checked body of the request, or 400 with every mistake."""
    bound = serializer(data=request.data, partial=partial)
    bound.is_valid(raise_exception=True)
    checked: dict[str, Any] = bound.validated_data
    return checked


def read_query(serializer: type[StrictSerializer], request: Request) -> dict[str, Any]:
    """The checked query parameters, or 400; those of paging are left to the pages."""
    given = {name: value for name, value in request.query_params.items() if name not in PAGE_QUERY}
    bound = serializer(data=given)
    bound.is_valid(raise_exception=True)
    checked: dict[str, Any] = bound.validated_data
    return checked
