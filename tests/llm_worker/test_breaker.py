"""A server that keeps failing is left alone for a while, and is found again."""

from __future__ import annotations

import asyncio

import pytest

from llm_worker.clients.breaker import FAILURES, PAUSE_SECONDS, Breaker
from llm_worker.clients.json_server import JsonServer
from llm_worker.errors import RequestRefusedError, ServerAwayError, ValidatorError
from tests.llm_worker.stub_server import ONE_TRY, Reply, stub_server


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def failing(times: int) -> tuple[Breaker, Clock]:
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(times):
        breaker.check()
        breaker.failed("It cannot be reached.")
    return breaker, clock


def test_a_few_failures_leave_a_server_in_use() -> None:
    breaker, _clock = failing(FAILURES - 1)
    breaker.check()


def test_a_server_that_keeps_failing_is_left_alone_in_words() -> None:
    breaker, _clock = failing(FAILURES)
    words = r"cannot be reached\. It failed 8 times in a row"
    with pytest.raises(ServerAwayError, match=words) as told:
        breaker.check()
    assert "for 4 more seconds" in str(told.value)
    assert told.value.retryable


def test_an_answer_forgives_all_failures() -> None:
    breaker, _clock = failing(FAILURES - 1)
    breaker.answered()
    breaker.failed("It cannot be reached.")
    breaker.check()


def test_after_the_pause_one_call_tries_for_all() -> None:
    breaker, clock = failing(FAILURES)
    clock.now += PAUSE_SECONDS
    breaker.check(tries=False)
    breaker.check()
    with pytest.raises(ServerAwayError):
        breaker.check()  # the others wait for what becomes of it
    breaker.failed("It cannot be reached.")
    with pytest.raises(ServerAwayError, match="9 times"):
        breaker.check()
    clock.now += PAUSE_SECONDS
    breaker.check()
    breaker.answered()
    breaker.check()


def test_a_failing_server_is_not_flooded() -> None:
    with stub_server(lambda path, body: Reply({}, 500)) as stub:

        async def ask_often() -> list[str]:
            said = []
            async with JsonServer(stub.url, patience=ONE_TRY) as server:
                for _ in range(FAILURES + 5):
                    try:
                        await server.ask("/v1/x", {})
                    except ValidatorError as error:
                        said.append(str(error))
            return said

        said = asyncio.run(ask_often())
        assert len(stub.asked) == FAILURES
    assert len(said) == FAILURES + 5
    assert all("answers 500 again and again" in sentence for sentence in said)
    assert ["left alone" in sentence for sentence in said] == [False] * FAILURES + [True] * 5


def test_a_refusal_is_an_answer() -> None:
    with stub_server(lambda path, body: Reply({}, 400)) as stub:

        async def ask_often() -> None:
            async with JsonServer(stub.url, patience=ONE_TRY) as server:
                for _ in range(FAILURES + 1):
                    with pytest.raises(RequestRefusedError):
                        await server.ask("/v1/x", {})

        asyncio.run(ask_often())
        assert len(stub.asked) == FAILURES + 1
