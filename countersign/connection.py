"""Requests to one site: sent again where it is away or busy, and in words where it refuses."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, NoReturn

import httpx2

from countersign.errors import ClientError, RefusedError, SignedOutError, UnreachableError

PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
# Answers that say "not now": the request is sent again, and that is safe, for sending predictions
# or closing a run twice changes nothing, and what makes something new has a key.
_LATER = frozenset({429, 502, 503, 504})


class Connection:
    """One site and one token; the arguments are those of `Client`."""

    def __init__(self, site: str, token: str, *, timeout: float, tries: int) -> None:
        self._tries = max(1, tries)
        try:
            self._http = httpx2.Client(
                base_url=f"{site.rstrip('/')}/api/v1/",
                headers={"Authorization": f"Token {token}", "Accept-Language": "en"},
                timeout=timeout,
                follow_redirects=False,
            )
        except (httpx2.InvalidURL, ValueError) as error:
            raise ClientError(f"{site!r} is no address of a site: {error}.") from error
        if self._http.base_url.scheme not in ("http", "https") or not self._http.base_url.host:
            raise ClientError(f"{site!r} is no address of a site: write https://host.")

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        return self.send("GET", path, params=query or {})

    def post(self, path: str, body: str = "{}", **headers: str) -> Any:
        headers = {"Content-Type": "application/json", **headers}
        return self.send("POST", path, content=body.encode(), headers=headers)

    def make(self, path: str, body: str) -> Any:
        """Like `post`, for what would be made twice where an answer is lost on its way."""
        return self.post(path, body, **a_key())

    def pages(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
        page = self.get(path, query)
        while True:
            yield from page["results"]
            if not page["next"]:
                return
            # The site's own words for the next page; its host is the one that was asked.
            page = self.get(path, dict(httpx2.URL(page["next"]).params))

    def send(self, method: str, path: str, **more: Any) -> Any:
        """One request, sent again where the site is away or busy; `content` may be a function that
        gives the blocks of the body anew each time."""
        content = more.pop("content", None)
        for attempt in itertools.count(1):
            body = content() if callable(content) else content
            try:
                reply = self._http.request(method, path, content=body, **more)
            except httpx2.TransportError as error:
                self._pause(attempt, error=error)
                continue
            if reply.status_code in _LATER and attempt < self._tries:
                self._pause(attempt, after=reply.headers.get("Retry-After", ""))
                continue
            return self._read(reply)
        raise AssertionError  # the loop ends by return or by an error

    def lines(self, path: str) -> Iterator[str]:
        """The lines of a reply as they come."""
        with self.stream(path, {}) as reply:
            yield from filter(None, reply.iter_lines())

    def stream(self, path: str, query: Mapping[str, str]) -> Streamed:
        return Streamed(self._http, path, query)

    def _pause(self, attempt: int, *, error: Exception | None = None, after: str = "") -> None:
        if attempt >= self._tries and error is not None:
            raise _away(self._http, error) from error
        pause = float(after) if after.isdecimal() else PAUSE_SECONDS * 2.0 ** (attempt - 1)
        time.sleep(min(pause, LONGEST_PAUSE_SECONDS))

    @staticmethod
    def _read(reply: httpx2.Response) -> Any:
        if reply.status_code >= 300:
            _refuse(reply)
        if not reply.content:
            return None
        try:
            return reply.json()
        except ValueError as error:
            raise ClientError(
                "The site's answer is not JSON. Is this the right address?"
            ) from error


class Streamed:
    """A reply that is read while it comes; an error in it is raised on entering."""

    def __init__(self, http: httpx2.Client, path: str, query: Mapping[str, str]) -> None:
        self._http = http
        self._context = http.stream("GET", path, params=dict(query))

    def __enter__(self) -> httpx2.Response:
        try:
            reply = self._context.__enter__()
        except httpx2.TransportError as error:
            raise _away(self._http, error) from error
        if reply.status_code >= 300:
            reply.read()
            self._context.__exit__(None, None, None)
            _refuse(reply)
        return reply

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._context.__exit__(kind, error, trace)
        if isinstance(error, httpx2.TransportError):
            raise UnreachableError(f"The connection broke before the end: {error}.") from error


def _away(http: httpx2.Client, error: Exception) -> UnreachableError:
    why = str(error).rstrip(".") or type(error).__name__
    return UnreachableError(f"{http.base_url.host} cannot be reached: {why}.")


def a_key() -> dict[str, str]:
    """A header by which the site knows a request that is sent again."""
    return {"Idempotency-Key": str(uuid.uuid4())}


def _refuse(reply: httpx2.Response) -> NoReturn:
    """Raise what a reply that is no success says."""
    try:
        said = reply.json()["error"]
        message, code, details = said["message"], said["code"], said["details"]
    except (ValueError, KeyError, TypeError):
        message, code, details = f"The site answers {reply.status_code}.", "unknown", []
    kind = SignedOutError if reply.status_code in (401, 403) else RefusedError
    raise kind(message, status=reply.status_code, code=code, details=details)
