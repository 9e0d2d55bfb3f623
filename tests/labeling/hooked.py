"""A server that webhooks call, and a project with one."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from labeling.actions.webhooks import make_webhook
from labeling.models import Member, Webhook

SECRET = "a secret of at least thirty-two characters"
VARIABLE = "WEBHOOK_SECRET_TEST"
EVERYTHING = ("run.completed", "task.resolved", "alarm.raised", "snapshot.ready")


@dataclass
class Hook:
    """What arrived, and what is answered: a code for each request, the last one for all others."""

    url: str = ""
    codes: list[int] = field(default_factory=lambda: [200])
    reply: bytes = b"thank you"
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    before_reply: Callable[[], object] = lambda: None

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _headers, body in self.requests]


@contextmanager
def hooked() -> Iterator[Hook]:
    """A real server on loopback."""
    hook = Hook()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.requests.append((dict(self.headers), body))
            code = hook.codes.pop(0) if len(hook.codes) > 1 else hook.codes[0]
            hook.before_reply()
            self.send_response(code)
            if 300 <= code < 400:
                self.send_header("Location", f"{hook.url}elsewhere")
            self.send_header("Content-Length", str(len(hook.reply)))
            self.end_headers()
            self.wfile.write(hook.reply)

        def log_message(self, *_arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield hook
        server.shutdown()
        thread.join()


def a_webhook(member: Member, url: str, events: tuple[str, ...] = EVERYTHING) -> Webhook:
    return make_webhook(
        project=member.project, url=url, events=events, secret_variable=VARIABLE, by=member
    )
