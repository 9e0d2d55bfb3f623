"""ETags: what a reader has is not sent again, and nobody overwrites what they have not seen.

A tag is the hash of the answer as this caller sees it. On its way out it may turn weak (`W/`),
since the answer may be packed; here both forms mean the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.http import HttpResponse
from django.utils.cache import get_conditional_response, patch_cache_control
from django.utils.http import parse_etags
from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.models import Project


class ChangedMeanwhile(APIException):
    """412: what the request wants to change is not what its sender has seen."""

    status_code = 412
    default_code = "changed_meanwhile"


def tag_of(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def tag_response(request: Request, response: Response) -> None:
    """Have the answer to a GET carry its tag, and be a bare 304 where the reader has it."""

    def when_rendered(rendered: HttpResponse) -> HttpResponse:
        tag = tag_of(rendered.content)
        rendered.headers["ETag"] = tag
        patch_cache_control(rendered, private=True, no_cache=True)
        found = get_conditional_response(request._request, etag=tag, response=rendered)
        return rendered if found is None else found

    response.add_post_render_callback(when_rendered)


@contextmanager
def if_match(request: Request, project: Project, shown: Callable[[], Any]) -> Iterator[None]:
    """Let the block change the project only if `If-Match`, where given, names what `shown` gives
    now; nobody else changes the project's settings or labels meanwhile. Raises ChangedMeanwhile."""
    given = request.headers.get("If-Match", "")
    if not given:
        yield
        return
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        project.refresh_from_db()
        now = tag_of(JSONRenderer().render(shown()))
        known = [tag.removeprefix("W/") for tag in parse_etags(given)]
        if "*" not in known and now not in known:
            raise ChangedMeanwhile(
                _("This has changed since you read it: read it again, then send your change.")
            )
        yield
