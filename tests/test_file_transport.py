"""The embedded broker under several processes' worth of threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection

from annotation_site.embedded import file_broker
from annotation_site.file_transport import Channel, Transport


@contextmanager
def channel(folder: Path) -> Iterator[Channel]:
    """A channel of its own connection, as each process has."""
    options = file_broker(folder)
    with Connection("filesystem://", transport=Transport, transport_options=options) as connection:
        yield connection.channel()  # type: ignore[misc]


def test_messages_come_out_in_order_and_once(tmp_path: Path) -> None:
    with channel(tmp_path) as one:
        for number in range(5):
            one._put("rerank", {"number": number})
        assert [one._get("rerank")["number"] for _ in range(5)] == [0, 1, 2, 3, 4]
        with pytest.raises(Empty):
            one._get("rerank")


def test_queues_are_kept_apart(tmp_path: Path) -> None:
    with channel(tmp_path) as one:
        one._put("llm", {"for": "llm"})
        with pytest.raises(Empty):
            one._get("rerank")
        assert one._get("llm") == {"for": "llm"}


def test_several_readers_and_writers_lose_and_double_nothing(tmp_path: Path) -> None:
    taken: list[int] = []
    writing = threading.Event()
    writing.set()

    def write(start: int) -> None:
        with channel(tmp_path) as one:
            for number in range(start, start + 100):
                one._put("rerank", {"number": number, "padding": "x" * 20_000})

    def read() -> None:
        with channel(tmp_path) as one:
            while True:
                last = not writing.is_set()
                try:
                    taken.append(one._get("rerank")["number"])
                except Empty:
                    if last:
                        return

    writers = [threading.Thread(target=write, args=(100 * k,)) for k in range(3)]
    readers = [threading.Thread(target=read) for _ in range(3)]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    writing.clear()
    for thread in readers:
        thread.join()
    assert sorted(taken) == list(range(300))


def test_processes_that_bind_queues_together_all_stand_in_the_table(tmp_path: Path) -> None:
    barrier = threading.Barrier(6)

    def bind(name: str) -> None:
        with channel(tmp_path) as one:
            barrier.wait()
            one._queue_bind("shared", name, "", name)

    threads = [threading.Thread(target=bind, args=(f"q{k}",)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with channel(tmp_path) as one:
        assert {row[2] for row in one.get_table("shared")} == {f"q{k}" for k in range(6)}
