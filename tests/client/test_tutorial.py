"""The script of the tutorial, run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django.live_server_helper import LiveServer

from labeling.actions.projects import create_token
from labeling.models import Run, Scope
from tests.labeling.builders import make_user
from tests.support import ROOT

PAGE = ROOT / "docs" / "tutorial-classifier.md"
MOST_LINES = 40


def script() -> str:
    found = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def test_the_script_is_short() -> None:
    assert len([line for line in script().splitlines() if line.strip()]) < MOST_LINES


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_script_labels_texts_and_the_classifier_gets_better(
    live_server: LiveServer, tmp_path: Path
) -> None:
    user = make_user("anna")
    _token, secret = create_token(user=user, name="tutorial", scopes=list(Scope.values))
    file = tmp_path / "tutorial.py"
    file.write_text(script(), encoding="utf-8")
    ended = threading.Event()

    def work() -> None:
        """What `make serve` does beside the site."""
        while not ended.wait(1.0):
            if Run.objects.filter(completed_at__isnull=True).exclude(closed_at=None).exists():
                call_command("run_pipeline", "mine", "--wait")
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        done = subprocess.run(
            [sys.executable, str(file)],
            cwd=ROOT,
            env={"SITE": live_server.url, "TOKEN": secret, "PYTHONPATH": str(ROOT), "PATH": ""},
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
    finally:
        ended.set()
        worker.join()
    assert done.returncode == 0, done.stderr
    said = re.fullmatch(
        r"600 texts labeled; right before ([\d.]+)%, after ([\d.]+)%\n", done.stdout
    )
    assert said is not None, done.stdout
    before, after = (float(share) for share in said.groups())
    assert after > before + 3.0
