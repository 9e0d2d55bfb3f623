"""A wire to a server that a test can cut and mend."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
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
