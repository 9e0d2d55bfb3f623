"""A site of our own for a benchmark: its folder, its commands, its running processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 120.0


class Site:
    """Runs commands and the server on the database and broker of the environment, with files in
    `folder`. Without DATABASE_URL and REDIS_URL that is SQLite and the file broker."""

    def __init__(self, folder: Path) -> None:
        os.environ["VAR_DIR"] = str(folder)
        os.environ.setdefault("LOG_LEVEL", "WARNING")
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation_site.settings")
        self.token = ""
        self.port = _free_port()

    def manage(self, *arguments: str) -> str:
        """Run a command and return what it printed; ends the program where it fails."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"manage.py {arguments[0]} failed with code {done.returncode}.")
        return done.stdout

    @contextmanager
    def serving(self, *, web_only: bool = False) -> Iterator[subprocess.Popen[bytes]]:
        """The site, with worker and beat unless `web_only`; yields the parent process once all of
        it is ready."""
        line = [sys.executable, "manage.py", "serve", f"--port={self.port}"]
        if web_only:
            line = [
                *(sys.executable, "-m", "gunicorn", "annotation_site.wsgi", "--log-level=warning"),
                *(f"--bind=127.0.0.1:{self.port}", "--workers=2", "--threads=4"),
            ]
        process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            self._wait_until_ready(process, "/healthz" if web_only else "/readyz")
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)

    def _wait_until_ready(self, process: subprocess.Popen[bytes], path: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(self.url(path), timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        raise SystemExit("The site did not become ready.")

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """One REST call; ends the program with the server's sentence where it is refused."""
        request = urllib.request.Request(
            self.url(f"/api/v1{path}"),
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Token {self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=300) as reply:
                answer: dict[str, Any] = json.load(reply)
                return answer
        except urllib.error.HTTPError as error:
            sentence = error.read().decode(errors="replace")[:2000]
            raise SystemExit(f"{method} {path}: {error.code} {sentence}") from error


def peak_memory(parent: int) -> dict[str, float]:
    """Peak resident memory in MB of a process and its descendants, by what they run."""
    peaks: dict[str, float] = {}
    for pid in family(parent):
        status = Path(f"/proc/{pid}/status")
        line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        for entry in status.read_text().splitlines():
            if entry.startswith("VmHWM:"):
                name = _role(line)
                peaks[name] = max(peaks.get(name, 0.0), round(int(entry.split()[1]) / 1024, 1))
    return dict(sorted(peaks.items()))


def family(parent: int) -> list[int]:
    """A process and all those that it and they started."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [parent, *(pid for child in children for pid in family(int(child)))]


def _role(command: list[str]) -> str:
    for word, role in (("gunicorn", "web"), ("worker", "worker"), ("beat", "beat")):
        if word in command:
            return role
    return "serve"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
