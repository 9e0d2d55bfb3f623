"""The layout is enforced here; every rule is also shown to fail on a planted violation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.urls import get_resolver, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.access import ApiAccess
from tests import architecture, url_rules
from tests.architecture import Source, sources
from tests.support import ROOT, process_environment

HEAVY = ("torch", "transformers", "sentence_transformers", "faiss", "sklearn", "peft", "vllm")


def problems_of(module: str, text: str, *, is_package: bool = False) -> list[str]:
    return architecture.wrong_imports(Source(module, text, is_package))


def test_every_package_of_the_layout_is_looked_at() -> None:
    for package in ("annotation_site", "labeling", "rerank_engine", "llm_worker", "tests"):
        assert len(sources(package)) > 1, package


def test_imports_go_the_way_the_layout_says() -> None:
    assert [p for source in sources() for p in architecture.wrong_imports(source)] == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("countersign.client", "from labeling.models import Task"),
        ("labeling.views.annotate", "import countersign"),
        ("rerank_engine.lrsl", "import django"),
        ("rerank_engine.lrsl", "from llm_worker import types"),
        ("rerank_engine.lrsl", "def f():\n    from labeling.models import Task"),
        ("llm_worker.validators", "from celery import shared_task"),
        ("llm_worker.validators", "from rerank_engine.lrsl import rerank"),
        ("llm_worker.validators", "from llm_worker import tasks"),
        ("llm_worker.clients.vllm_server", "from ..pipeline import load"),
        ("labeling.views.annotate", "import rerank_engine.lrsl"),
        ("labeling.dispatch", "import importlib\nimportlib.import_module('llm_worker.tasks')"),
        ("labeling.statistics.pooling", "from django.db import models"),
        ("labeling.statistics.pooling", "from labeling.models import Task"),
        ("labeling.rules", "from labeling import models"),
        ("labeling.models.task", "from labeling.actions import ingest"),
        ("labeling.models.task", "from labeling import actions"),
        ("labeling.actions.ingest", "from labeling.api import errors"),
        ("labeling.formats.jsonl", "from ..views import queue"),
        ("labeling.quality.table", "from labeling.views import quality"),
        ("labeling.models.task", "from labeling.quality import experts"),
        ("labeling.models.task", "from django.db.models.signals import post_save"),
        ("labeling.apps", "from django.dispatch import receiver"),
        ("annotation_site.urls", "from llm_worker.tasks import sweep"),
    ],
)
def test_a_planted_import_is_found(module: str, text: str) -> None:
    assert len(problems_of(module, text)) >= 1


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("rerank_engine.lrsl", "from rerank_engine import encoder\nimport numpy"),
        (
            "llm_worker.pipeline.rerank",
            "from rerank_engine import lrsl\nfrom labeling import models",
        ),
        (
            "llm_worker.tasks",
            "from celery import shared_task\nfrom llm_worker.pipeline import sweep",
        ),
        ("labeling.statistics.pooling", "from labeling.statistics import calibration"),
        ("labeling.actions.ingest", "from labeling.models import Task\nfrom labeling import rules"),
        ("labeling.api.tasks", "from labeling.actions import annotate"),
        ("labeling.rules", "from django.utils.translation import gettext as _"),
    ],
)
def test_an_import_in_the_right_direction_passes(module: str, text: str) -> None:
    assert problems_of(module, text) == []


def test_a_relative_import_inside_a_package_file_is_resolved() -> None:
    assert problems_of("labeling.models", "from ..actions import ingest", is_package=True)
    assert problems_of("labeling.models", "from .task import Task", is_package=True) == []


def test_only_dispatch_names_celery_jobs() -> None:
    assert [p for source in sources("labeling") for p in architecture.named_jobs(source)] == []


@pytest.mark.parametrize(
    "text", ["app.send_task('x')", "job.delay(1)", "NAME = 'llm_worker.tasks.sweep'"]
)
def test_a_job_named_outside_dispatch_is_found(text: str) -> None:
    assert len(architecture.named_jobs(Source("labeling.actions.runs", text))) == 1
    assert architecture.named_jobs(Source("labeling.dispatch", text)) == []


def test_every_job_is_short_and_names_its_queue() -> None:
    tasks = next(source for source in sources("llm_worker") if source.module == "llm_worker.tasks")
    assert len(list(architecture.jobs(tasks))) >= 2
    assert [p for source in sources() for p in architecture.wrong_jobs(source)] == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("llm_worker.tasks", "@shared_task\ndef f():\n    g()"),
        ("llm_worker.tasks", "@shared_task(queue='web')\ndef f():\n    g()"),
        ("llm_worker.tasks", "@app.task(bind=True)\ndef f(self):\n    g()"),
        ("labeling.actions.runs", "@shared_task(queue='llm')\ndef f():\n    g()"),
        ("llm_worker.tasks", "@shared_task(queue='llm')\ndef f():\n" + "    g()\n" * 7),
    ],
)
def test_a_wrong_job_is_found(module: str, text: str) -> None:
    assert len(architecture.wrong_jobs(Source(module, text))) == 1


def test_a_right_job_passes() -> None:
    text = "@shared_task(queue='llm')\ndef f(run: int) -> None:\n    '''Says what.'''\n    g(run)"
    assert architecture.wrong_jobs(Source("llm_worker.tasks", text)) == []


def test_every_view_and_endpoint_checks_access() -> None:
    found = list(url_rules.routes(get_resolver().url_patterns))
    assert len(found) > 20
    assert [p for route in found if (p := url_rules.unguarded(route))] == []


def open_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("anybody reads this")


def endpoint(**attributes: Any) -> Any:
    """The view of an endpoint that answers GET and POST."""

    def answer(self: APIView, request: Request) -> Response:
        return Response()

    made = type("Planted", (APIView,), {"get": answer, "post": answer, **attributes})
    return made.as_view()  # type: ignore[attr-defined]


GUARDED = {"permission_classes": [ApiAccess]}
BOTH = {"GET": "signed_in", "POST": "signed_in"}


@pytest.mark.parametrize(
    ("view", "is_open"),
    [
        (open_page, True),
        (endpoint(permission_classes=[], required=BOTH), True),
        (endpoint(**GUARDED), True),
        (endpoint(**GUARDED, required={"GET": "signed_in"}), True),
        (endpoint(**GUARDED, required=BOTH), False),
    ],
)
def test_an_open_view_is_found(view: Any, is_open: bool) -> None:
    (route,) = url_rules.routes([path("planted/", view)])
    assert (url_rules.unguarded(route) is not None) is is_open


def test_an_open_admin_view_is_found() -> None:
    planted = url_rules.Route("admin/planted/", "planted", ("admin",), open_page)
    assert url_rules.unguarded(planted) == "/admin/planted/: the admin view lets strangers in"


def modules_after(code: str, folder: Path) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after running `code`."""
    finish = "\nimport json, sys\nprint(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", code + finish],
        cwd=ROOT,
        env=process_environment(VAR_DIR=str(folder)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


WEB = """
import annotation_site.wsgi
from django.test import Client
from django.urls import get_resolver
def walk(patterns):
    for pattern in patterns:
        walk(getattr(pattern, "url_patterns", []))
walk(get_resolver().url_patterns)
response = Client(SERVER_NAME="localhost").get("/accounts/login/")
assert response.status_code == 200, response.status_code
"""


def test_the_web_process_loads_no_model_library(tmp_path: Path) -> None:
    loaded = modules_after(WEB, tmp_path)
    assert "django" in loaded
    assert loaded & {*HEAVY, "rerank_engine", "llm_worker"} == set()


def test_a_model_library_in_the_web_process_would_be_seen(tmp_path: Path) -> None:
    assert "faiss" in modules_after("import faiss", tmp_path)


def test_files_and_functions_stay_within_their_budget() -> None:
    assert architecture.too_long(sources()) == []


def test_a_broken_budget_is_found() -> None:
    long = "def f():\n" + "    g()\n" * 85
    wide = Source("labeling.a", "x = 1\n" * 401)
    medium = Source("labeling.b", "def f():\n" + "    g()\n" * 40)
    short = [Source(f"labeling.c{i}", "def f():\n    g()\n") for i in range(20)]
    assert architecture.too_long([Source("labeling.d", long), *short]) == [
        "labeling.d.f has 86 lines"
    ]
    assert len(architecture.too_long([wide, *short])) == 0
    assert len(architecture.too_long([wide, *short[:3]])) == 1
    assert len(architecture.too_long([medium, *short[:3]])) == 1
