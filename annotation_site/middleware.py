"""A strict Content-Security-Policy on every response, packed answers, and the reader's language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.middleware.locale import LocaleMiddleware
from django.utils import translation

POLICY = {
    "default-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "img-src": "'self' data:",
    "object-src": "'none'",
}
# The page of the API documentation styles itself inline; it shows nothing that users wrote.
DOCS_PATH = "/api/v1/docs/"
DOCS_POLICY = POLICY | {"style-src": "'self' 'unsafe-inline'"}

API_PATH = "/api/v1/"
# These are packed already.
PACKED = ("application/zip", "application/vnd.apache.parquet")


def header(policy: dict[str, str]) -> str:
    return "; ".join(f"{directive} {sources}" for directive, sources in policy.items())


class ContentSecurityPolicyMiddleware:
    """Everything a page loads comes from this site, and no inline script or style runs."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.strict = header(POLICY)
        self.docs = header(DOCS_POLICY)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        policy = self.docs if request.path == DOCS_PATH else self.strict
        response.headers.setdefault("Content-Security-Policy", policy)
        return response


class PackMiddleware(GZipMiddleware):
    """gzip for the API and for files to download, which hold no secret of the reader's. Pages stay
    as they are: beside what others wrote they hold a form's token, and its letters could be guessed
    by how well the two pack together (BREACH)."""

    def process_response(self, request: HttpRequest, response: Any) -> Any:
        kind = response.headers.get("Content-Type", "").split(";")[0]
        is_file = response.streaming and "Content-Disposition" in response.headers
        is_answer = request.path.startswith(API_PATH) and request.path != DOCS_PATH
        if kind in PACKED or not (is_file or is_answer):
            return response
        return super().process_response(request, response)


class LanguageMiddleware(LocaleMiddleware):
    """This browser's cookie, else the choice of the account, else what the browser asks for."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        chosen = getattr(request.user, "language", "")
        remembered = settings.LANGUAGE_COOKIE_NAME in request.COOKIES
        if not remembered and chosen in dict(settings.LANGUAGES):
            translation.activate(chosen)
            request.LANGUAGE_CODE = translation.get_language()
