"""kombu's `filesystem` transport, made safe for several processes on one folder.

kombu opens a message file and then writes it, and takes messages out through the system's temporary
folder; a process that looks in between finds half a message and stops. Here a message appears under
its name only when it is whole, is claimed by a rename inside one file system, and the table of
queues is read and written under a lock.
"""

from __future__ import annotations

import fcntl
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem
from kombu.utils.encoding import bytes_to_str, str_to_bytes
from kombu.utils.json import dumps, loads


class Channel(filesystem.Channel):
    """Messages are files `<nanoseconds>_<random>.<queue>.msg`, taken oldest first."""

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        with open(Path(self.control_folder) / ".lock", "w") as file:
            fcntl.flock(file, how)
            yield

    def get_table(self, exchange: str) -> Any:
        with self._locked(fcntl.LOCK_SH):
            return super().get_table(exchange)

    def _queue_bind(self, exchange: str, routing_key: Any, pattern: Any, queue: Any) -> None:
        with self._locked(fcntl.LOCK_EX):
            super()._queue_bind(exchange, routing_key, pattern, queue)

    def _put(  # type: ignore[override]  # kombu's own signatures differ here
        self, queue: str, payload: Any, **kwargs: Any
    ) -> None:
        path = Path(self.data_folder_out) / f"{time.time_ns():020}_{uuid.uuid4()}.{queue}.msg"
        aside = path.with_suffix(".part")
        aside.write_bytes(str_to_bytes(dumps(payload)))
        aside.rename(path)

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        for path in sorted(Path(self.data_folder_in).glob(f"*.{queue}.msg")):
            claimed = Path(self.processed_folder) / path.name
            try:
                path.rename(claimed)
            except FileNotFoundError:
                continue  # another process took it first
            payload = claimed.read_bytes()
            claimed.unlink()
            return loads(bytes_to_str(payload))
        raise Empty


class Transport(filesystem.Transport):
    """The transport that settings name when there is no Redis."""

    Channel = Channel
