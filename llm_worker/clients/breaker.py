"""A server that keeps failing is left alone for a while, by each worker process for itself.

After `FAILURES` calls in a row that failed for good (each has had its tries), the server is not
asked for `PAUSE_SECONDS`; what would be asked fails at once, and may be tried again later. Then one
call goes through: if it succeeds all may, if it fails the pause starts anew.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable

from llm_worker.errors import ServerAwayError

FAILURES = 8
PAUSE_SECONDS = 4.0
"""Less than the first pause of a task before it is tried again, so that each try of it is one."""


class Breaker:
    """Counts the failures of one server; `clock` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._closed_until = 0.0
        self._said = ""

    def check(self, *, tries: bool = True) -> None:
        """Raise `ServerAwayError` while the server is left alone. A call that `tries` is the one
        that goes through after the pause; one that only looks whether the server is there is not.
        """
        with self._lock:
            if self._failures < FAILURES:
                return
            left = self._closed_until - self._clock()
            if left > 0.0:
                raise ServerAwayError(
                    f"{self._said} It failed {self._failures} times in a row and is left alone for "
                    f"{left:.0f} more seconds."
                )
            if tries:  # the others wait for what becomes of this call
                self._closed_until = self._clock() + PAUSE_SECONDS

    def failed(self, sentence: str) -> None:
        """Note a call that failed for good, and why."""
        with self._lock:
            self._failures += 1
            self._said = sentence
            if self._failures >= FAILURES:
                self._closed_until = self._clock() + PAUSE_SECONDS

    def answered(self) -> None:
        """Note that the server answered a question, be it with a refusal."""
        with self._lock:
            self._failures = 0


@functools.lru_cache(maxsize=64)
def breaker_of(url: str) -> Breaker:
    """The breaker of the server at `url` in this process."""
    return Breaker()
