"""`Idempotency-Key`: a write that is sent again is answered again, and done once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress

from django.db import transaction
from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.actions.answered import Stored, begin, forget, keep_answer
from labeling.actions.errors import Conflict
from labeling.api.throttle import caller
from labeling.models import Project

HEADER = "Idempotency-Key"
LONGEST = 200
WRITES = ("POST", "PUT", "PATCH", "DELETE")

Explain = Callable[[Exception], Response]


def answer_once(
    request: Request,
    *,
    project: Project | None,
    digest: bytes,
    handler: Callable[[], Response],
    explain: Explain,
) -> Response:
    """What `handler` answers, or what it answered when the same caller sent the same request under
    the same key. What it does and the answer are stored in one transaction; refusals are kept as
    well. `digest` is that of the body; `explain` turns an exception into the answer, or raises
    it."""
    key = request.headers.get(HEADER, "")
    who = caller(request)
    if not key or not who:
        return handler()
    if len(key) > LONGEST or not key.isprintable():
        raise ParseError(_("An Idempotency-Key is one line of 1 to 200 characters."))
    path = request.get_full_path()
    said = b"\n".join([str(request.method).encode(), path.encode(), digest])
    found = begin(project=project, caller=who, key=key, digest=hashlib.sha256(said).hexdigest())
    if isinstance(found, Stored):
        replay = Response(json.loads(found.body or "null"), status=found.status)
        replay["Idempotency-Replayed"] = "true"
        return replay
    try:
        return _answer(found, handler, explain)
    except BaseException:
        forget(found)
        raise


def _answer(pk: int, handler: Callable[[], Response], explain: Explain) -> Response:
    try:
        with transaction.atomic():
            response = handler()
            keep_answer(pk, status=response.status_code, body=_text(response))
    except Exception as error:  # noqa: BLE001  (it is raised again where it has no answer)
        response = explain(error)
        with suppress(Conflict):  # what is refused has done nothing, whoever has the key now
            keep_answer(pk, status=response.status_code, body=_text(response))
    return response


def _text(response: Response) -> str:
    rendered: bytes = JSONRenderer().render(response.data)
    return rendered.decode()
