"""What replies to one task are said to have taken."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llm_worker.clients.meter import count_reply, metered
from llm_worker.types import Spent


def chat(read: Any, wrote: Any, cached: Any = None) -> dict[str, Any]:
    usage = {"prompt_tokens": read, "completion_tokens": wrote}
    if cached is not None:
        usage["prompt_tokens_details"] = {"cached_tokens": cached}
    return {"choices": [], "usage": usage}


def test_replies_are_added_up_while_the_meter_runs() -> None:
    count_reply(chat(9, 9))  # nobody counts
    with metered() as meter:
        count_reply(chat(100, 20, cached=60))
        count_reply(chat(50, 5))
    count_reply(chat(9, 9))
    assert meter.spent == Spent(2, 150, 60, 25)


def test_a_decision_counts_like_a_chat() -> None:
    usage = {"input_tokens": 70, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 64}}
    with metered() as meter:
        count_reply({"answers": [], "usage": usage})
    assert meter.spent == Spent(1, 70, 64, 1)


def test_tokens_counted_for_their_own_sake_are_no_call() -> None:
    with metered() as meter:
        count_reply({"count": 12, "tokens": [1, 2]})
        count_reply(["usage"])
        count_reply(None)
    assert meter.spent == Spent()


@pytest.mark.parametrize("bad", [None, -1, 1.5, True, "9", 10**12, [], {}])
def test_a_count_that_cannot_be_counts_as_nothing(bad: Any) -> None:
    with metered() as meter:
        count_reply(chat(bad, bad, cached=bad))
    assert meter.spent == Spent(1, 0, None, 0)


def test_more_cached_than_read_is_not_believed() -> None:
    with metered() as meter:
        count_reply(chat(10, 1, cached=11))
    assert meter.spent == Spent(1, 10, None, 1)


def test_tasks_that_are_asked_at_once_do_not_share_a_meter() -> None:
    async def task(own: int) -> Spent:
        with metered() as meter:
            for _ in range(own):
                await asyncio.sleep(0)
                count_reply(chat(own, 1))
        return meter.spent

    async def both() -> list[Spent]:
        return list(await asyncio.gather(task(3), task(5)))

    assert asyncio.run(both()) == [Spent(3, 9, None, 3), Spent(5, 25, None, 5)]
