"""Real processes of the site for tests that kill them: web server, workers, beat."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.support import ROOT, process_environment

READY_SECONDS = 60.0
PATIENCE = 150.0  # seconds; a run takes some ten of them on two free cores


class WebServer:
    """gunicorn as it is in production, on one port, in a process group that can be killed."""

    def __init__(self, **environment: str) -> None:
        self.environment = process_environment(**environment)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "annotation_site.wsgi", "--log-level=warning"),
                *(f"--bind=127.0.0.1:{self.port}", "--workers=1", "--threads=4"),
            ],
            cwd=ROOT,
            env=self.environment,
            start_new_session=True,
        )
        until = time.monotonic() + READY_SECONDS
        while not self._answers():
            assert time.monotonic() < until, "the web server does not answer"
            time.sleep(0.1)

    def kill(self) -> None:
        """End it as a crash does."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False


class Fleet:
    """Worker and beat processes of this test, in process groups of their own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.environment = process_environment(
            CLAIM_SECONDS="2", SWEEP_SECONDS="0.5", OMP_NUM_THREADS="1", **environment
        )

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        log = self.folder / f"{len(self.processes)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", "--app=annotation_site", *arguments],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def worker(self, name: str, *queues: str) -> subprocess.Popen[bytes]:
        return self.start(
            "worker",
            "--pool=solo",
            f"--hostname={name}@test",
            f"--queues={','.join(queues)}",
            "--without-gossip",
            "--without-mingle",
            "--loglevel=INFO",
        )

    def wait_until_ready(self) -> None:
        logs = [self.folder / f"{number}.log" for number in range(len(self.processes))]
        self.wait(lambda: all(" ready." in log.read_text() for log in logs), "ready workers")

    def beat(self) -> subprocess.Popen[bytes]:
        return self.start(
            "beat",
            f"--pidfile={self.folder / 'beat.pid'}",
            f"--schedule={self.folder / 'schedule'}",
            "--loglevel=WARNING",
        )

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def logs(self) -> str:
        return "\n".join(path.read_text()[-3000:] for path in sorted(self.folder.glob("*.log")))

    def wait(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < deadline, f"{what}: not in time\n{self.logs()}"
            time.sleep(0.05)

    def end(self) -> None:
        for process in self.processes:
            self.kill(process)
