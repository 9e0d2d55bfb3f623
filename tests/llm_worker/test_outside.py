"""Where a POST that somebody else addresses may go, and how it ends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from llm_worker.clients.outside import MOST_BYTES, OutsideError, OutsideReply, may_reach, post

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def server(serve: Callable[[socket.socket, bytes], None]) -> Iterator[int]:
    """A server of one connection on loopback, which does what `serve` does with the request."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def work() -> None:
            with listener.accept()[0] as one:
                received = b""
                while not received.endswith(b"the end"):
                    received += one.recv(65536)
                with suppress(OSError):
                    serve(one, received)

        thread = threading.Thread(target=work)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def send(port: int, *, host: str = "127.0.0.1", seconds: float = 20.0) -> OutsideReply:
    url = f"http://{host}:{port}/hook?a=1"
    return post(url, b"the end", {"X-One": "1"}, inside=True, seconds=seconds)


@pytest.mark.parametrize(
    ("address", "outside", "inside"),
    [
        ("93.184.216.34", True, True),
        ("2606:2800:220:1::1", True, True),
        ("127.0.0.1", False, True),
        ("10.1.2.3", False, True),
        ("192.168.0.1", False, True),
        ("100.64.0.1", False, True),
        ("::1", False, True),
        ("fd12::1", False, True),
        ("::ffff:127.0.0.1", False, True),
        ("::ffff:169.254.169.254", False, False),
        ("64:ff9b::7f00:1", False, True),
        ("64:ff9b::a9fe:a9fe", False, False),
        ("2002:7f00:1::", False, True),
        ("::127.0.0.1", False, True),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("169.254.169.254", False, False),
        ("fe80::1%eth0", False, False),
        ("100.100.100.200", False, False),
        ("fd00:ec2::254", False, False),
        ("fd00:ec2::23", False, False),
        ("fd20:ce::254", False, False),
        ("fec0::1", False, True),
        ("64:ff9b:1::a9fe:a9fe", False, True),
        ("2001::1", False, True),
        ("::ffff:0:127.0.0.1", False, True),
        ("::169.254.169.254", False, False),
        ("2002:a9fe:a9fe::1", False, False),
        ("224.0.0.1", False, False),
        ("255.255.255.255", False, True),
    ],
)
def test_which_addresses_may_be_asked(address: str, outside: bool, inside: bool) -> None:
    assert may_reach(address, inside=False) is outside
    assert may_reach(address, inside=True) is inside


def test_the_reply_comes_back_and_the_request_names_the_host() -> None:
    seen: list[bytes] = []

    def serve(one: socket.socket, received: bytes) -> None:
        seen.append(received)
        one.sendall(OK)

    with server(serve) as port:
        assert send(port) == OutsideReply(200, "ok")
    head = seen[0].decode()
    assert head.startswith("POST /hook?a=1 HTTP/1.1\r\n")
    assert f"\r\nHost: 127.0.0.1:{port}\r\n" in head
    assert "\r\nX-One: 1\r\n" in head


def test_nothing_is_sent_to_a_private_address_that_is_not_inside() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(OutsideError, match="nothing may be sent"):
            post(url, b"", {}, inside=False, seconds=5)
        with pytest.raises(BlockingIOError):
            listener.accept()


def resolver(*answers: list[str]) -> Callable[..., list[Any]]:
    """A stand-in for `getaddrinfo` that gives these addresses, another list each time."""
    left = list(answers)

    def resolve(host: str, port: int, **_more: Any) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in left.pop(0)
        ]

    return resolve


def test_one_private_address_among_public_ones_is_enough_to_refuse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver(["93.184.216.34", "10.0.0.1"]))
    with pytest.raises(OutsideError, match=r"10\.0\.0\.1"):
        post("http://hooks.test/", b"", {}, inside=False, seconds=5)


def test_a_name_that_means_another_machine_a_moment_later_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The name is resolved once, and the connection goes to the address that was looked at."""
    with server(lambda one, _received: one.sendall(OK)) as port:
        monkeypatch.setattr(socket, "getaddrinfo", resolver(["127.0.0.1"]))
        assert send(port, host="hooks.test").code == 200


def test_a_server_that_drips_is_left_when_the_time_is_up() -> None:
    over = threading.Event()

    def drip(one: socket.socket, _received: bytes) -> None:
        one.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not over.wait(0.02):
            one.sendall(b"x")

    with server(drip) as port:
        with pytest.raises(OutsideError, match="did not answer within"):
            send(port, seconds=0.5)
        over.set()


def test_a_server_that_says_nothing_is_left_when_the_time_is_up() -> None:
    over = threading.Event()

    def wait(_one: socket.socket, _received: bytes) -> None:
        over.wait()

    with server(wait) as port:
        with pytest.raises(OutsideError, match="did not answer within"):
            send(port, seconds=0.3)
        over.set()


def test_a_reply_without_end_is_read_to_its_bound() -> None:
    def flood(one: socket.socket, _received: bytes) -> None:
        one.sendall(b"HTTP/1.1 500 No\r\n\r\n")
        while True:
            one.sendall(b"y" * 4096)

    with server(flood) as port:
        reply = send(port)
    assert (reply.code, len(reply.text)) == (500, MOST_BYTES)


@pytest.mark.parametrize("said", [b"", b"no HTTP at all\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_what_is_no_http_is_a_failure(said: bytes) -> None:
    with (
        server(lambda one, _received: one.sendall(said)) as port,
        pytest.raises(OutsideError, match="gave no answer"),
    ):
        send(port)


def test_a_certificate_that_nobody_vouches_for_is_a_failure() -> None:
    """TLS is spoken, and a server that does not speak it gets no byte of the body."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            with listener.accept()[0] as one:
                assert b"the end" not in one.recv(65536)
                one.sendall(OK)

        thread = threading.Thread(target=refuse)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(OutsideError, match="gave no answer"):
            post(url, b"the end", {}, inside=True, seconds=20)
        thread.join()


def test_a_host_that_is_not_there_is_a_failure() -> None:
    with pytest.raises(OutsideError, match="cannot be found"):
        post("http://nowhere.invalid/", b"", {}, inside=True, seconds=20)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(OutsideError, match="cannot be reached"):
        send(port)
