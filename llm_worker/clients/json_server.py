"""JSON over HTTP to one server, with everything bounded: connections, time, tries, size.

Named errors only are tried again: no connection, no answer in time, 429 and 5xx. Redirects are
not followed and proxies of the environment are not used, for texts go where the validator's URL
says and nowhere else.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NoReturn

import httpx2

from llm_worker.clients.breaker import breaker_of
from llm_worker.clients.meter import count_reply
from llm_worker.errors import (
    BadReplyError,
    InvalidRequestError,
    RequestRefusedError,
    ServerAwayError,
    ValidatorUnavailableError,
)

MAX_REPLY_BYTES = 4_000_000
MAX_WAIT_SECONDS = 5.0
_MAX_QUOTED = 300


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for: seconds to connect, seconds to answer, tries, and seconds
    before the second try, doubled before each further one."""

    connect_s: float = 5.0
    answer_s: float = 20.0
    tries: int = 3
    pause_s: float = 0.5


class JsonServer:
    """One server, for use in an `async with` block.

    `url` is what OpenAI's clients call the base URL and ends in /v1; `ask` takes paths below the
    server itself, such as /v1/models and /tokenize. `turn` lets as many callers through at a time
    as there are connections.

    Raises `InvalidRequestError` for any other URL.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        connections: int = 32,
        patience: Patience | None = None,
    ) -> None:
        self.url = url
        self._patience = patience or Patience()
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self.turn = asyncio.Semaphore(connections)
        self._breaker = breaker_of(url)
        self._client = httpx2.AsyncClient(
            base_url=root_of(url),
            headers=headers,
            timeout=httpx2.Timeout(self._patience.answer_s, connect=self._patience.connect_s),
            limits=httpx2.Limits(
                max_connections=connections, max_keepalive_connections=connections
            ),
            follow_redirects=False,
            trust_env=False,
        )

    async def __aenter__(self) -> JsonServer:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What the server answers: POST with a body, GET without.

        A server that kept failing is left alone for a while (`breaker`).

        Raises `ServerAwayError` or `ValidatorUnavailableError` when no try helped,
        `RequestRefusedError` where the server says no, `BadReplyError` for a reply that is not JSON
        or too large.
        """
        is_question = body is not None
        self._breaker.check(tries=is_question)
        try:
            status, content = await self._tried(path, body)
        except ValidatorUnavailableError as error:
            self._breaker.failed(str(error))
            raise
        if is_question:
            self._breaker.answered()
        reply = self._read(path, status, content)
        count_reply(reply)
        return reply

    async def _tried(self, path: str, body: Mapping[str, Any] | None) -> tuple[int, bytes]:
        """Status and content of the first try that is no failure of the server."""
        for attempt in range(1, self._patience.tries + 1):
            try:
                status, wait, content = await self._once(path, body)
            except (httpx2.TransportError, TimeoutError) as error:
                if attempt == self._patience.tries:
                    self._give_up(error)
                await asyncio.sleep(self._pause(attempt))
                continue
            if status != 429 and status < 500:
                return status, content
            if attempt < self._patience.tries:
                await asyncio.sleep(wait if wait is not None else self._pause(attempt))
        said = _message_of(content)
        raise ValidatorUnavailableError(f"{self.url} answers {status} again and again{said}.")

    async def _once(
        self, path: str, body: Mapping[str, Any] | None
    ) -> tuple[int, float | None, bytes]:
        """Status, seconds that the server asks to wait, and content of one request."""
        method = "GET" if body is None else "POST"
        # Between two bytes the timeout starts anew; this bounds the whole.
        try:
            async with (
                asyncio.timeout(self._patience.connect_s + self._patience.answer_s),
                self._client.stream(method, path, json=body) as response,
            ):
                content = bytearray()
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_REPLY_BYTES:
                        raise BadReplyError(f"{self.url} sent more than {MAX_REPLY_BYTES} bytes.")
        except httpx2.DecodingError as error:
            raise BadReplyError(f"{self.url} sent what cannot be unpacked: {error}.") from error
        return response.status_code, _wait_of(response), bytes(content)

    def _read(self, path: str, status: int, content: bytes) -> Any:
        if 300 <= status < 400:
            raise RequestRefusedError(
                f"{self.url} answers {status}, a redirect, which is not followed: register the "
                "address it leads to."
            )
        if status >= 400:
            self._refused(path, status, content)
        try:
            return json.loads(content, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise BadReplyError(f"The reply of {self.url} is not JSON: {error}") from error

    def _refused(self, path: str, status: int, content: bytes) -> NoReturn:
        said = _message_of(content)
        if status in (401, 403):
            raise ValidatorUnavailableError(
                f"{self.url} refuses the key ({status}){said}. Is the environment variable that "
                "the validator names set for the workers?"
            )
        if status == 404:  # a model that is being changed is away for a moment
            raise ValidatorUnavailableError(f"{self.url} has no {path} or no such model{said}.")
        raise RequestRefusedError(f"{self.url} refuses the request ({status}){said}.")

    def _pause(self, attempt: int) -> float:
        return min(self._patience.pause_s * 2.0 ** (attempt - 1), MAX_WAIT_SECONDS)

    def _give_up(self, error: Exception) -> NoReturn:
        if isinstance(error, TimeoutError | httpx2.TimeoutException):
            what = f"no answer within {self._patience.answer_s:g} seconds"
        else:
            what = str(error).rstrip(".") or type(error).__name__
        raise ServerAwayError(f"{self.url} cannot be reached: {what}.") from error


def root_of(url: str) -> str:
    """The address below which both /v1 and /tokenize lie. Raises `InvalidRequestError`."""
    parts = _checked(url)
    return str(parts.copy_with(path=parts.path.rstrip("/").removesuffix("/v1") or "/"))


def host_of(url: str) -> str:
    """The host that requests to `url` go to, as the client itself reads the URL, in lower case.

    Raises `InvalidRequestError`.
    """
    return _checked(url).raw_host.decode("ascii").lower().strip("[]")


def _checked(url: str) -> httpx2.URL:
    try:
        parts = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError) as error:
        raise InvalidRequestError(f"{url!r} is no URL: {error}.") from error
    bare = parts.path.rstrip("/")
    sound = parts.scheme in ("http", "https") and parts.host and bare.endswith("/v1")
    if not sound or parts.query or parts.fragment or parts.userinfo:
        raise InvalidRequestError(
            f"{url!r} cannot be used: write http://host:port/v1, without a user, a query or a key."
        )
    return parts


def _wait_of(response: httpx2.Response) -> float | None:
    """Seconds of the header Retry-After, where it gives seconds; never more than is bearable."""
    value = response.headers.get("Retry-After", "")
    return min(float(value), MAX_WAIT_SECONDS) if value.isdecimal() else None


def _message_of(content: bytes) -> str:
    """What the server says went wrong, for the end of a sentence; cut, and on one line."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    error = body.get("error", body) if isinstance(body, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    if not isinstance(message, str) or not message.strip():
        return ""
    return f": {' '.join(message.split())[:_MAX_QUOTED].rstrip('.')}"


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number.")
