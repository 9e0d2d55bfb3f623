"""The wire: what is tried again, what is not, and that everything has a bound."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from llm_worker.clients import json_server
from llm_worker.clients.json_server import JsonServer, host_of, root_of
from llm_worker.errors import (
    BadReplyError,
    InvalidRequestError,
    RequestRefusedError,
    ServerAwayError,
    ValidatorError,
    ValidatorUnavailableError,
)
from tests.llm_worker.stub_server import ONE_TRY, Answer, Reply, StubServer, stub_server

THREE_TRIES = replace(ONE_TRY, tries=3, pause_s=0.01)


def one_after_another(replies: Iterable[Reply]) -> Answer:
    waiting = iter(replies)
    return lambda path, body: next(waiting)


def ask(stub: StubServer, *, path: str = "/v1/x", api_key: str | None = None) -> Any:
    async def asked() -> Any:
        async with JsonServer(stub.url, api_key=api_key, patience=THREE_TRIES) as server:
            return await server.ask(path, {"say": "something"})

    return asyncio.run(asked())


def refusal(replies: Iterable[Reply]) -> tuple[ValidatorError, int]:
    """The error that these replies end with, and how often the server was asked."""
    with stub_server(one_after_another(replies)) as stub, pytest.raises(ValidatorError) as raised:
        ask(stub)
    return raised.value, len(stub.asked)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_busy_or_broken_server_is_asked_again(status: int) -> None:
    replies = [Reply({}, status), Reply({}, status), Reply({"fine": 1})]
    with stub_server(one_after_another(replies)) as stub:
        assert ask(stub) == {"fine": 1}
    assert len(stub.asked) == 3


def test_a_server_that_stays_broken_is_unavailable_with_what_it_says() -> None:
    said = {"error": {"message": "out of\nmemory."}}
    error, times = refusal([Reply(said, 500)] * 9)
    assert isinstance(error, ValidatorUnavailableError)
    assert str(error).endswith("answers 500 again and again: out of memory.")
    assert (times, error.retryable) == (3, True)


def test_the_pause_that_a_server_asks_for_is_kept_within_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    waits = [
        Reply({}, 429, {"Retry-After": "2"}),
        Reply({}, 429, {"Retry-After": "999999"}),
        Reply({}),
    ]
    with stub_server(one_after_another(waits)) as stub:
        ask(stub)
    assert slept == [2.0, json_server.MAX_WAIT_SECONDS]


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_a_server_refuses_is_not_asked_again(status: int) -> None:
    error, times = refusal([Reply({"message": "the prompt is too long"}, status)])
    assert isinstance(error, RequestRefusedError)
    assert f"refuses the request ({status}): the prompt is too long." in str(error)
    assert (times, error.retryable) == (1, False)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_may_be_mended(status: int) -> None:
    error, times = refusal([Reply({}, status)])
    assert "refuses the key" in str(error)
    assert (times, error.retryable) == (1, True)


def test_what_is_not_there_may_come_back() -> None:
    error, times = refusal([Reply({"error": "no such model"}, 404)])
    assert "has no /v1/x or no such model: no such model." in str(error)
    assert (times, error.retryable) == (1, True)


def test_a_redirect_is_not_followed() -> None:
    with stub_server(lambda path, body: Reply({"stolen": True})) as other:
        error, times = refusal([Reply({}, 307, {"Location": other.url})])
        assert isinstance(error, RequestRefusedError)
        assert "a redirect, which is not followed" in str(error)
    assert times == 1
    assert other.asked == []


def test_a_server_that_is_too_slow_is_away() -> None:
    over = threading.Event()
    with stub_server(lambda path, body: Reply({}, held_until=over)) as stub:

        async def asked() -> None:
            patience = replace(THREE_TRIES, answer_s=0.2)
            async with JsonServer(stub.url, patience=patience) as server:
                await server.ask("/v1/x", {})

        try:
            with pytest.raises(ServerAwayError, match=r"no answer within 0\.2 seconds"):
                asyncio.run(asked())
        finally:
            over.set()


def test_half_a_reply_is_asked_for_again() -> None:
    with stub_server(one_after_another([Reply({"a": 1}, promised=500), Reply({"a": 2})])) as stub:
        assert ask(stub) == {"a": 2}


def test_nobody_there_is_said_in_words() -> None:
    with pytest.raises(ServerAwayError, match=r"127\.0\.0\.1:9/v1 cannot be reached: .+\.$"):
        ask(StubServer(9))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>hello</html>", "is not JSON"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b'{"a": -Infinity}', "-Infinity is not a number"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"1" * (json_server.MAX_REPLY_BYTES + 1), "more than"),
    ],
    ids=["html", "nan", "infinity", "bytes", "deep", "large"],
)
def test_a_reply_that_is_no_json_of_ours_is_refused(body: bytes, words: str) -> None:
    error, times = refusal([Reply(body)])
    assert isinstance(error, BadReplyError)
    assert words in str(error)
    assert times == 1


def test_the_key_is_sent_and_proxies_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with stub_server(lambda path, body: Reply({})) as stub:
        ask(stub, api_key="sesame")
        ask(stub, path="/tokenize")
    (path, body, headers), (other_path, _body, other_headers) = stub.asked
    assert (path, body) == ("/v1/x", {"say": "something"})
    assert headers["Authorization"] == "Bearer sesame"
    assert other_path == "/tokenize"
    assert "Authorization" not in other_headers


def test_a_server_behind_a_path_is_asked_below_it() -> None:
    with stub_server(lambda path, body: Reply({})) as stub:
        stub.url = stub.url.replace("/v1", "/gpu/one/v1")
        ask(stub, path="/tokenize")
        ask(stub, path="/v1/models")
    assert [path for path, *_rest in stub.asked] == ["/gpu/one/tokenize", "/gpu/one/v1/models"]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://GPU1:8100/v1", "gpu1"),
        ("http://[::1]:8100/v1", "::1"),
        ("https://llm.example.org/v1/", "llm.example.org"),
    ],
)
def test_the_host_of_an_address_is_the_one_that_is_asked(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize("url", ["http://good\\@evil/v1", "http://good@evil/v1"])
def test_an_address_with_two_readings_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequestError):
        host_of(url)


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://127.0.0.1:8100/v1", "http://127.0.0.1:8100/"),
        ("https://llm.example.org/v1/", "https://llm.example.org/"),
        ("http://gpu/behind/a/proxy/v1", "http://gpu/behind/a/proxy"),
    ],
)
def test_a_server_is_the_part_before_v1(url: str, root: str) -> None:
    assert root_of(url) == root


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8100/v1",
        "ftp://host/v1",
        "http:///v1",
        "http://host:8100",
        "http://host/v1?key=secret",
        "http://me:secret@host/v1",
        "http://host/v1#there",
        "",
    ],
)
def test_another_kind_of_address_is_refused_in_words(url: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"cannot be used: write|is no URL"):
        root_of(url)
