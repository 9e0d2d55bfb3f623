"""What a server says it read and wrote for one task, whether or not its answer could be used.

A reply without an answer was computed and is paid for like any other, so it is counted where
replies arrive and not where answers are read. The meter is a context variable: calls of other
tasks, which run between those of this one, have meters of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from llm_worker.types import Spent

MAX_COUNT = 10_000_000
"""Tokens that no model reads or writes in one call; more is nothing that a server counted."""


class Meter:
    """Adds up what the replies to one task took."""

    def __init__(self) -> None:
        self._replies: list[Spent] = []

    def read(self, reply: Any) -> None:
        """Count a reply of a chat or of a decision. What it does not say, or what cannot be, counts
        as nothing: it is no reason to throw an answer away."""
        usage = reply.get("usage") if isinstance(reply, dict) else None
        if isinstance(usage, dict):
            self._replies.append(_spent(usage))

    @property
    def spent(self) -> Spent:
        told = [one.cached_tokens for one in self._replies if one.cached_tokens is not None]
        return Spent(
            calls=len(self._replies),
            tokens=sum(one.tokens for one in self._replies),
            cached_tokens=sum(told) if told else None,
            written_tokens=sum(one.written_tokens for one in self._replies),
        )


_meter: ContextVar[Meter | None] = ContextVar("meter", default=None)


@contextmanager
def metered() -> Iterator[Meter]:
    """Counts the replies that arrive in this block."""
    meter = Meter()
    token = _meter.set(meter)
    try:
        yield meter
    finally:
        _meter.reset(token)


def count_reply(reply: Any) -> None:
    """Count a reply on the meter that runs, if one does."""
    meter = _meter.get()
    if meter is not None:
        meter.read(reply)


def _spent(usage: dict[str, Any]) -> Spent:
    read = _count(usage.get("prompt_tokens", usage.get("input_tokens")))
    wrote = _count(usage.get("completion_tokens", usage.get("output_tokens")))
    details = usage.get("prompt_tokens_details", usage.get("input_tokens_details"))
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    is_told = type(cached) is int and 0 <= cached <= read
    return Spent(1, read, cached if is_told else None, wrote)


def _count(told: Any) -> int:
    return told if type(told) is int and 0 <= told <= MAX_COUNT else 0
