"""`serve`: the site, a worker and beat, started together and stopped together."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.management.base import WordedCommand

STOP_SECONDS = 15.0


class Command(WordedCommand):
    help = gettext_lazy(
        "Start web, worker and beat on this machine; Ctrl+C stops all three. For one machine and "
        "a few people; docker-compose.yml starts each as a service of its own."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--host", default="127.0.0.1", help=_("address to bind (default loopback)")
        )
        parser.add_argument("--port", type=int, default=8000, help=_("port (default 8000)"))

    def handle(self, *, host: str, port: int, **options: Any) -> None:
        signal.signal(signal.SIGTERM, _stop)
        processes = {name: subprocess.Popen(line) for name, line in _lines(host, port).items()}
        self.stdout.write(
            _("Countersign is at %(address)s (Ctrl+C stops it).")
            % {"address": f"http://{host}:{port}/"}
        )
        try:
            name, code = _first_to_end(processes)
        except KeyboardInterrupt:
            return
        finally:
            _end(processes.values())
        raise CommandError(
            _("The %(name)s process ended with code %(code)d; the others were stopped.")
            % {"name": name, "code": code}
        )


def _lines(host: str, port: int) -> dict[str, list[str]]:
    celery = [sys.executable, "-m", "celery", "--app=annotation_site"]
    quiet = ["--loglevel=WARNING"]
    return {
        "web": [
            *(sys.executable, "-m", "gunicorn", "annotation_site.wsgi"),
            *(f"--bind={host}:{port}", "--workers=2", "--threads=4", "--log-level=warning"),
        ],
        # One process that works on every queue: two cores have no more to give.
        "worker": [
            *celery,
            *("worker", "--pool=solo", f"--queues={','.join(settings.CELERY_TASK_QUEUES)}"),
            *("--without-gossip", "--without-mingle", *quiet),
        ],
        "beat": [*celery, "beat", f"--pidfile={settings.VAR_DIR / 'beat.pid'}", *quiet],
    }


def _first_to_end(processes: dict[str, subprocess.Popen[bytes]]) -> tuple[str, int]:
    while True:
        for name, process in processes.items():
            code = process.poll()
            if code is not None:
                return name, code
        time.sleep(0.5)


def _end(processes: Any) -> None:
    running = [process for process in processes if process.poll() is None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in running:
        try:
            process.wait(timeout=max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _stop(signum: int, frame: object) -> None:
    raise KeyboardInterrupt
