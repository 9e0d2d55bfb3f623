"""Request bodies: JSON and nothing else, perhaps packed, of a bounded size, with finite numbers."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import IO, Any, NoReturn

from django.conf import settings
from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer

from labeling.api.encoding import TooMuch, plain_blocks

# Escapes by which a NUL or a surrogate comes into JSON: bodies without them need no closer look.
SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
IMPORT_COMMAND = "import_predictions"


class TooLarge(APIException):
    """413: more at once than one request takes."""

    status_code = 413
    default_code = "too_large"


def too_large(what: str, command: str) -> TooLarge:
    """The refusal of an oversized request; it names what takes files of any size."""
    if command == IMPORT_COMMAND:
        return TooLarge(
            _(
                "%(what)s; send smaller batches, or a file of any size to %(address)s or with "
                "“%(command)s”."
            )
            % {
                "what": what,
                "address": "POST /api/v1/projects/SLUG/imports/",
                "command": f"python manage.py {command} SLUG FILE",
            }
        )
    return TooLarge(
        _("%(what)s; send smaller batches, or a file of any size with “%(command)s”.")
        % {"what": what, "command": f"python manage.py {command} SLUG FILE"}
    )


class StrictJSONParser(BaseParser):
    """JSON without NaN and Infinity, no longer than INGEST_MAX_BYTES."""

    media_type = "application/json"
    renderer_class = JSONRenderer

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        view = (parser_context or {}).get("view")
        raw = self._read(stream, view, parser_context)
        if view is not None:
            view.body_digest = hashlib.sha256(raw).digest()
        try:
            body = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
        except UnicodeDecodeError:
            raise ParseError(_("The request body is not UTF-8.")) from None
        except RecursionError:
            raise ParseError(_("The JSON is nested too deeply.")) from None
        except ValueError as error:
            raise ParseError(_("The body is not JSON: %(why)s.") % {"why": error}) from None
        if not getattr(view, "checks_rows", False) and SUSPECT.search(raw) and not _storable(body):
            raise ParseError(_("A text holds a NUL character or half of a surrogate pair."))
        return body

    @staticmethod
    def _read(stream: IO[Any], view: Any, parser_context: Mapping[str, Any] | None) -> bytes:
        """The body, unpacked, or 413."""
        length = _content_length(parser_context)
        command = getattr(view, "import_command", IMPORT_COMMAND)
        if length > settings.INGEST_MAX_BYTES:
            raise too_large(
                _("The request has %(n)d bytes; at most %(most)d are taken")
                % {"n": length, "most": settings.INGEST_MAX_BYTES},
                command,
            )
        try:
            blocks = plain_blocks(stream, _encoding(parser_context), settings.INGEST_MAX_BYTES)
            return b"".join(blocks)
        except TooMuch:
            raise too_large(
                _("The unpacked request has more than %(most)d bytes")
                % {"most": settings.INGEST_MAX_BYTES},
                command,
            ) from None


def _storable(body: Any) -> bool:
    """Can both databases store every text in `body`?"""
    waiting = [body]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and ("\x00" in value or not _encodes(value)):
            return False
    return True


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _encoding(context: Mapping[str, Any] | None) -> str:
    request = (context or {}).get("request")
    return str(request.META.get("HTTP_CONTENT_ENCODING", "")) if request is not None else ""


def _content_length(context: Mapping[str, Any] | None) -> int:
    request = (context or {}).get("request")
    raw = request.META.get("CONTENT_LENGTH") if request is not None else None
    return int(raw) if raw and str(raw).isdigit() else 0


def _refuse_constant(name: str) -> NoReturn:
    raise ParseError(_("%(name)s is no number in JSON: scores must be finite.") % {"name": name})
