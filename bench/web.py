"""The labeling page with a million tasks and eight annotators: how long people wait.

`python -m bench.web --json` fills a project of each size, starts the site, and lets one Chromium
measure from the key to the next text on the screen while the other annotators answer over HTTP at
the pace of people; then all answer without pauses. Answers are counted afterwards: none may be
lost, none stored twice, and no task handed out to more people than it needs.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.common import report, say
from bench.site import Site, peak_memory
from bench.web_load import Annotator, Seen, browser_page, key_to_paint, session_of

if TYPE_CHECKING:
    from labeling.models import Member, Project

SIZES = (1_000, 100_000, 1_000_000)
PAUSE = 2.5
PERCENTILES = (50, 95, 99)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.web", description=__doc__)
    parser.add_argument("--tasks", type=int, nargs="+", default=list(SIZES), help="sizes")
    parser.add_argument(
        "--annotators",
        type=int,
        default=8 if os.environ.get("DATABASE_URL") else 1,
        help="people at once, one of them in a browser (default 8; 1 on SQLite)",
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="of each phase")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.annotators < 1 or min(options.tasks) < 10:
        parser.error("it takes one annotator and ten tasks at least")
    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as folder:
        result = measure(sorted(options.tasks), options.annotators, options.seconds, Path(folder))
    report(result, as_json=options.json)


def measure(sizes: list[int], annotators: int, seconds: float, folder: Path) -> dict[str, Any]:
    """The figures for each size, in a project of its own each, and largest over smallest."""
    site = Site(folder / "var")
    site.manage("migrate", "--verbosity=0")
    import django

    django.setup()
    from bench.web_fill import fill, make_project

    rng = np.random.default_rng(0)
    made = {}
    for tasks in sizes:
        slug = f"web-{tasks}-{os.getpid()}"
        project, members = make_project(slug, annotators + 1)
        fill(project, members, tasks, rng)
        made[tasks] = project, members
    found = {}
    with site.serving(web_only=True) as process:
        for tasks, (project, members) in made.items():
            say(f"{tasks:,} tasks ...")
            found[str(tasks)] = _measure_one(site, project, members, seconds, rng)
            found[str(tasks)]["peak_memory_mb"] = peak_memory(process.pid)
    first, last = found[str(sizes[0])], found[str(sizes[-1])]
    return {
        "database": "PostgreSQL" if os.environ.get("DATABASE_URL") else "SQLite",
        "annotators": annotators,
        "seconds": seconds,
        "tasks": found,
        "ratio_p95": {
            name: round(last[name]["p95"] / first[name]["p95"], 2)
            for name in ("next_task_ms", "submit_ms", "key_to_paint_ms")
            if first[name] and last[name]
        },
    }


def _measure_one(
    site: Site, project: Project, members: list[Member], seconds: float, rng: np.random.Generator
) -> dict[str, Any]:
    path = f"/p/{project.slug}/annotate/"
    queries = _queries(path, members[-1])
    in_browser, *others = members[:-1]
    sessions = [session_of(member) for member in others]
    with (
        browser_page(site.url(""), path, session_of(in_browser)) as page,
        ThreadPoolExecutor(max(len(others), 1)) as pool,
    ):
        until = time.monotonic() + seconds
        crowd = [pool.submit(_work, site, path, one, until, PAUSE) for one in sessions]
        painted = key_to_paint(page, until, PAUSE, rng)
        calm = _together([one.result() for one in crowd])
    if not others:
        calm = _work(site, path, session_of(in_browser), time.monotonic() + seconds, 0.2)
    say("  without pauses ...")
    everybody = [*sessions, session_of(in_browser)]
    started, until = time.monotonic(), time.monotonic() + seconds
    with ThreadPoolExecutor(len(everybody)) as pool:
        crowd = [pool.submit(_work, site, path, one, until, 0.0) for one in everybody]
        busy = _together([one.result() for one in crowd])
    spent = time.monotonic() - started
    return {
        "next_task_ms": spread(calm.next_task),
        "submit_ms": spread(calm.submit),
        "key_to_paint_ms": spread(painted),
        "saturated": {
            "answers_per_second": round(len(busy.acknowledged) / spent, 1),
            "next_task_ms": spread(busy.next_task),
            "submit_ms": spread(busy.submit),
        },
        "queries": queries,
        **account(project, in_browser, len(painted), calm.acknowledged + busy.acknowledged),
    }


def _work(site: Site, path: str, session: str, until: float, pause: float) -> Seen:
    annotator = Annotator(site.url(""), path, session)
    annotator.work(until, pause, np.random.default_rng())
    return annotator.seen


def _together(seen: list[Seen]) -> Seen:
    total = Seen()
    for one in seen:
        total.add(one)
    return total


def _queries(path: str, member: Member) -> dict[str, int]:
    """Database queries of one request, the second of its kind: caches are warm then."""
    import httpx2
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from bench.web_load import CHOICE, FIELDS

    client = Client(SERVER_NAME="127.0.0.1", headers={"HX-Request": "true"})
    client.cookies["sessionid"] = session_of(member)
    found = {}
    for _twice in range(2):
        with CaptureQueriesContext(connection) as asked:
            html = client.get(path).content.decode()
        found["next_task"] = len(asked)
        form, *rest = (part[: part.index("</form>")] for part in html.split('id="answer"')[1:])
        sent: dict[str, Any] = dict(FIELDS.findall(form))
        sent["choice"] = (CHOICE.findall(form) or ["unk:none_fits"])[0]
        sent["held"] = [dict(FIELDS.findall(one))["lease"] for one in rest]
        with CaptureQueriesContext(connection) as asked:
            status = client.post(path, sent).status_code
        if status != httpx2.codes.OK:
            raise SystemExit(f"An answer was refused with {status}.")
        found["submit"] = len(asked)
    return found


def account(
    project: Project, in_browser: Member, pressed: int, acknowledged: list[str]
) -> dict[str, int]:
    """Answers that are missing or stored twice, and those beyond what a task needed."""
    from django.db.models import Count, F, Q

    from labeling.models import Annotation, Purpose

    mine = Annotation.objects.filter(member__project=project, visible__has_key="revision")
    stored = list(mine.values_list("client_id", flat=True))
    known = {str(one) for one in stored}
    by_key = mine.filter(member=in_browser).exclude(client_id__in=acknowledged).count()
    counted = (
        mine.filter(purpose=Purpose.LABEL, current=True)
        .values("task")
        .annotate(
            n=Count("pk"),
            people=Count("member", distinct=True),
            labels=Count("label", distinct=True),
        )
    )
    needed, most = project.answers_needed, project.answers_at_most
    beyond = counted.filter(Q(n__gt=most) | Q(n__gt=needed, labels__lte=1))
    return {
        "answers": len(stored),
        "answers_lost": len(set(acknowledged) - known) + max(0, pressed - by_key),
        "answers_doubled": len(stored) - len(known) + counted.filter(n__gt=F("people")).count(),
        "handed_out_beyond_overlap": beyond.count(),
    }


def spread(milliseconds: list[float]) -> dict[str, float]:
    """Median, 95th and 99th percentile; nothing of no values."""
    if not milliseconds:
        return {}
    values = np.percentile(milliseconds, PERCENTILES)
    return {f"p{p}": round(float(v), 1) for p, v in zip(PERCENTILES, values, strict=True)} | {
        "n": len(milliseconds)
    }


if __name__ == "__main__":
    main()
