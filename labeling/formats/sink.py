"""Bytes that a library writes to a file, taken as they come."""

from __future__ import annotations

import io
from typing import Any


class Sink(io.RawIOBase):
    """A file that is only ever appended to, and whose bytes are taken as they come."""

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._length = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._length

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._held.append(piece)
        self._length += len(piece)
        return len(piece)

    def drain(self) -> bytes:
        """What was written since the last time."""
        piece = b"".join(self._held)
        self._held.clear()
        return piece
