"""`bench.web`: tiny and whole, and that it would see an answer lost or one too many."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid

import pytest

from bench.web import account, spread
from labeling.models import Member, Project
from tests.labeling.builders import make_member, make_project
from tests.labeling.cast import deferred, say
from tests.support import ROOT


@pytest.mark.browser
def test_a_tiny_site_is_filled_measured_and_accounted_for() -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
    environment["DJANGO_SETTINGS_MODULE"] = "annotation_site.settings"
    sizes = ("--tasks", "60", "120", "--annotators", "2", "--seconds", "3")
    done = subprocess.run(
        [sys.executable, "-m", "bench.web", *sizes, "--json"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert set(result["tasks"]) == {"60", "120"}
    for figures in result["tasks"].values():
        assert figures["answers"] > 0
        assert figures["answers_lost"] == figures["answers_doubled"] == 0
        assert figures["handed_out_beyond_overlap"] == 0
        assert figures["key_to_paint_ms"]["n"] > 0
        assert figures["queries"]["submit"] < 60
    assert set(result["ratio_p95"]) == {"next_task_ms", "submit_ms", "key_to_paint_ms"}


@pytest.fixture
def project() -> Project:
    return make_project(answers_needed=2)


@pytest.fixture
def people(project: Project) -> list[Member]:
    return [make_member(project) for _ in range(3)]


@pytest.mark.django_db
def test_what_is_missing_and_what_is_too_much_is_counted(
    project: Project, people: list[Member]
) -> None:
    task, visible = deferred(project), {"revision": 1}
    given = [say(one, task, "a", visible=visible).annotation for one in people[:2]]
    known = [str(annotation.client_id) for annotation in given]
    counted = account(project, people[2], 0, known)
    assert counted == {
        "answers": 2,
        "answers_lost": 0,
        "answers_doubled": 0,
        "handed_out_beyond_overlap": 0,
    }
    say(people[2], task, "a", visible=visible)
    counted = account(project, people[2], 2, [*known, str(uuid.uuid4())])
    assert counted["answers_lost"] == 2
    assert counted["handed_out_beyond_overlap"] == 1


def test_a_spread_of_nothing_is_empty_and_names_how_many_there_were() -> None:
    assert spread([]) == {}
    assert spread([1.0, 2.0, 3.0])["p50"] == 2.0
    assert spread([1.0, 2.0, 3.0])["n"] == 3
