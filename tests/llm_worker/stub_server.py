"""A server that says what a test tells it to: for replies that a real server gives only when it is
broken, misconfigured or hostile. Nothing that a server does well is tested with it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from llm_worker.clients.json_server import Patience


@dataclass
class Reply:
    """One reply: JSON, or bytes as they are; `promised` is a false Content-Length, which breaks the
    connection off; `held_until` keeps it back until then."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    promised: int | None = None
    held_until: threading.Event | None = None


ONE_TRY = Patience(connect_s=60.0, answer_s=60.0, tries=1)
"""The stand-in answers at once: what passes in a minute is a machine at work, not a slow reply."""
Answer = Callable[[str, dict[str, Any]], Reply]
"""Path and body of a request to its reply."""


class StubServer:
    """What was asked, with headers, and where."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self.asked: list[tuple[str, dict[str, Any], dict[str, str]]] = []


@contextmanager
def stub_server(answer: Answer) -> Iterator[StubServer]:
    """A server on loopback, in a thread, that lives as long as the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._reply({})

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self._reply(json.loads(self.rfile.read(length)))

        def _reply(self, body: dict[str, Any]) -> None:
            stub.asked.append((self.path, body, dict(self.headers)))
            reply = answer(self.path, body)
            if reply.held_until is not None:
                reply.held_until.wait()
            content = reply.body
            if not isinstance(content, bytes):
                content = json.dumps(content).encode()
            self.send_response(reply.status)
            length = len(content) if reply.promised is None else reply.promised
            for name, value in {**reply.headers, "Content-Length": str(length)}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            if length != len(content):
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that went away in mid-reply is what the test is about."""

    server = Server(("127.0.0.1", 0), Handler)
    stub = StubServer(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
