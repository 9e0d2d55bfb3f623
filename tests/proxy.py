"""What stands between a client and a server, and can be cut or go wrong."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.vllm import free_port


class Wire:
    """Forwards connections on a port of its own to `target` while it is whole."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._server: socketserver.ThreadingTCPServer | None = None

    def mend(self) -> None:
        target = self.target

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with socket.create_connection(("127.0.0.1", target)) as far:
                    back = threading.Thread(target=_pour, args=(far, self.request))
                    back.start()
                    _pour(self.request, far)
                    back.join()

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def cut(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def _pour(source: Any, sink: Any) -> None:
    """Everything from one socket to the other, until one of them ends."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


class FaultyProxy:
    """HTTP before a server: it forwards what is asked, unless `fault` says what goes wrong.

    `fault` is given the path and the place of a request among the questions (0 for the first, -1
    for anything but a question) and names one of `FAULTS`, or nothing.
    """

    def __init__(self, target: int, fault: Callable[[str, int], str]) -> None:
        self.fault = fault
        self.done: list[str] = []
        self._lock = threading.Lock()
        self.asked = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._pass_on(b"")

            def do_POST(self) -> None:
                self._pass_on(self.rfile.read(int(self.headers["Content-Length"])))

            def _pass_on(self, body: bytes) -> None:
                fault = proxy.next_fault(self.path)
                if fault == "drop":
                    self.close_connection = True
                    return
                if fault == "slow":
                    time.sleep(SLOW_SECONDS)
                try:
                    status, content = FAULTS.get(fault) or forwarded(target, self.path, body)
                except (OSError, http.client.HTTPException):  # it died: so does this connection
                    self.close_connection = True
                    return
                if fault == "nan":
                    content = _LOGPROB.sub(b'"logprob":NaN', content)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if fault == "half":
                    content = content[: len(content) // 2]
                    self.close_connection = True
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that gave up is what some tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def next_fault(self, path: str) -> str:
        with self._lock:
            place = -1
            if path.endswith("/chat/completions"):
                place, self.asked = self.asked, self.asked + 1
            fault = self.fault(path, place)
            self.done += [fault] if fault else []
            return fault

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


SLOW_SECONDS = 3.0
_LOGPROB = re.compile(rb'"logprob": ?-?[0-9.e-]+')
FAULTS: dict[str, tuple[int, bytes]] = {
    "500": (500, b'{"error": {"message": "internal error"}}'),
    "gone": (404, b'{"error": {"message": "The model `tiny` does not exist."}}'),
    "overflow": (400, b'{"error": {"message": "maximum context length is 2048 tokens"}}'),
    "empty": (200, b"{}"),
}
"""What is said in place of the server; "drop", "half", "nan" and "slow" spoil what it says."""


def forwarded(target: int, path: str, body: bytes) -> tuple[int, bytes]:
    """Status and content of the real server's reply."""
    connection = http.client.HTTPConnection("127.0.0.1", target, timeout=120)
    try:
        method = "POST" if body else "GET"
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, body or None, headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()
