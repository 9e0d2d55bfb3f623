"""Predictions in, labeled data out: rows a second, and whether memory stays where it is.

`python -m bench.api --json` makes files of predictions with 77 logits each, imports them with
`import_predictions` (which checks every row before it stores the first), imports the largest once
more (nothing changes), imports the file into another project by the job that REST starts, and
exports. Next to each stand the bare things: parsing the same lines, and writing their texts and
scores into plain tables (`bench.api_job`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.common import report, say
from bench.site import ROOT, Site

LABELS = 77
SIZES = (10_000, 100_000)


@dataclass(frozen=True)
class Measured:
    """One command: wall seconds, seconds on the processor, peak resident memory in MB."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.api", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=list(SIZES), help="sizes to measure")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as folder:
        result = measure(sorted(options.rows), Path(folder))
    report(result, as_json=options.json)


def measure(sizes: list[int], folder: Path) -> dict[str, Any]:
    """The figures for each size, in a project of its own each."""
    site = Site(folder / "var")
    site.manage("migrate", "--verbosity=0")
    labels = folder / "labels.json"
    labels.write_text(json.dumps([f"label {number:02d}" for number in range(LABELS)]))
    found: dict[str, Any] = {}
    for rows in sizes:
        say(f"{rows:,} rows ...")
        path = write_predictions(folder / f"{rows}.jsonl", rows)
        slug = f"rows-{rows}-{os.getpid()}"
        by_job = f"{slug}-job"
        for name in (slug, by_job):
            site.manage("create_project", name, f"--labels={labels}")
        arguments = ("import_predictions", slug, str(path), "--model-version=bench")
        exported = folder / "export.jsonl"
        found[str(rows)] = {
            "parse": figures(rows, _parse(path)),
            "floor": figures(rows, run("-m", "bench.api_job", "floor", str(path))),
            "import": figures(rows, manage(*arguments)),
            "import again": figures(rows, manage(*arguments)),
            "import job": figures(rows, run("-m", "bench.api_job", "job", by_job, str(path))),
            "export": figures(
                rows, manage("export", slug, "--format=jsonl", f"--output={exported}")
            ),
        }
    smallest, largest = found[str(sizes[0])], found[str(sizes[-1])]
    return {
        "database": "PostgreSQL" if os.environ.get("DATABASE_URL") else "SQLite",
        "labels": LABELS,
        "rows": found,
        "memory_ratio": {
            step: round(largest[step]["peak_mb"] / smallest[step]["peak_mb"], 2)
            for step in ("import", "import again", "import job", "export")
        },
        "import_seconds_over_bare_parsing": round(
            largest["import"]["seconds"] / largest["parse"]["seconds"], 1
        ),
        "import_job_seconds_over_floor": round(
            largest["import job"]["seconds"] / largest["floor"]["seconds"], 1
        ),
        "load": [round(load, 1) for load in os.getloadavg()],
    }


def write_predictions(path: Path, rows: int) -> Path:
    """A JSONL file of `rows` items with distinct texts and 77 logits each."""
    generator = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as handle:
        for number in range(rows):
            logits = generator.normal(0.0, 2.0, LABELS).round(4).tolist()
            item = {"external_id": f"row-{number}", "text": f"Text {number}", "logits": logits}
            handle.write(json.dumps(item) + "\n")
    return path


def _parse(path: Path) -> Measured:
    """The bare thing: every line parsed into an array, nothing kept."""
    started, used = time.monotonic(), time.process_time()
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            np.asarray(json.loads(line)["logits"], dtype=np.float32)
    return Measured(time.monotonic() - started, time.process_time() - used, 0.0)


def manage(*arguments: str) -> Measured:
    return run("manage.py", *arguments)


def run(*arguments: str) -> Measured:
    """A command in a process of its own; ends the program where it fails."""
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL)
    _pid, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(arguments[:3])} failed with status {status}.")
    cpu = usage.ru_utime + usage.ru_stime
    return Measured(time.monotonic() - started, cpu, usage.ru_maxrss / 1024)


def figures(rows: int, measured: Measured) -> dict[str, float]:
    return {
        "rows_per_second": round(rows / measured.seconds),
        "seconds": round(measured.seconds, 2),
        "cpu_seconds": round(measured.cpu_seconds, 2),
        "peak_mb": round(measured.peak_mb, 1),
    }


if __name__ == "__main__":
    main()
