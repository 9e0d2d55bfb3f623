"""The tuning panel's answer to a moved slider, in milliseconds, however many tasks there are.

`python -m bench.panel --json` makes projects whose runs were counted (made rows: 77 labels, four
validators, 1,000 rows of *tune*, a run for every 10,000 tasks) and asks the page for other
thresholds, and for other weights, through the whole of Django but the network.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.common import report, say
from bench.site import Site

if TYPE_CHECKING:
    from labeling.models import Configuration, Policy, Project

LABELS = 77
VALIDATORS = 4
TUNE_ROWS = 1_000
RUN_TASKS = 10_000
SAMPLE = 20_000
SIZES = (10_000, 1_000_000)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.panel", description=__doc__)
    parser.add_argument("--tasks", type=int, nargs="+", default=list(SIZES), help="sizes")
    parser.add_argument("--repeats", type=int, default=30, help="moves of the slider for each")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as folder:
        result = measure(options.tasks, options.repeats, Path(folder))
    report(result, as_json=options.json)


def measure(sizes: list[int], repeats: int, folder: Path) -> dict[str, Any]:
    """Milliseconds by size, of a moved threshold and of moved weights."""
    Site(folder / "var").manage("migrate", "--verbosity=0")
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation_site.settings")
    django.setup()
    rng = np.random.default_rng(0)
    found = {}
    for number, tasks in enumerate(sizes):
        say(f"{tasks:,} tasks ...")
        policy = make(f"panel-{number}-{os.getpid()}", tasks, rng)
        found[str(tasks)] = look(policy, repeats, rng)
    return {
        "database": "PostgreSQL" if os.environ.get("DATABASE_URL") else "SQLite",
        "labels": LABELS,
        "validators": VALIDATORS,
        "tune_rows": TUNE_ROWS,
        "sample": SAMPLE,
        "tasks": found,
    }


def make(slug: str, tasks: int, rng: np.random.Generator) -> Policy:
    """A project whose stream of `tasks` tasks was counted, with its policy."""
    from labeling.actions.projects import create_project
    from labeling.actions.taxonomy import parse_labels
    from labeling.models import Configuration, Policy, Validator

    names: list[Any] = [f"label {number:02d}" for number in range(LABELS)]
    labels = parse_labels(names)
    project = create_project(slug=slug, name=slug, labels=labels, by=None)
    validators = [
        Validator.objects.create(project=project, name=f"v{n}", version=1, kind="llm")
        for n in range(VALIDATORS)
    ]
    entries = [{"id": one.pk, "name": one.name} for one in validators]
    content = {"question": "multiclass", "validators": entries, "model_version": "made"}
    configuration = Configuration.objects.create(
        project=project, content_hash=slug[:64], content=content
    )
    rule = {
        "pool": "mean",
        "validators": [one.pk for one in validators],
        "threshold": {"multiclass": 0.9},
    }
    policy = Policy.objects.create(
        project=project, version=1, configuration=configuration, rule=rule, status="active"
    )
    _tallies(policy, tasks, rng)
    _sample(configuration, tasks, rng)
    _tune(project, configuration, rng)
    return policy


def _tallies(policy: Policy, tasks: int, rng: np.random.Generator) -> None:
    from django.utils import timezone

    from labeling.actions.tally import scoring_of
    from labeling.actions.taxonomy import current_taxonomy
    from labeling.models import Run, Tally
    from labeling.statistics import tally

    taxonomy = current_taxonomy(policy.project)
    groups = [["accept", label] for label in taxonomy.label_ids]
    for start in range(0, tasks, RUN_TASKS):
        n = min(RUN_TASKS, tasks - start)
        run = Run.objects.create(
            project=policy.project,
            configuration=policy.configuration,
            taxonomy=taxonomy,
            planned=n,
            status=Run.Status.COMPLETED,
            completed_at=timezone.now(),
        )
        steps = tally.steps_of(rng.beta(6, 1, n))
        counts = tally.count(rng.integers(LABELS, size=n), steps, n_groups=LABELS)
        Tally.objects.create(
            run=run,
            scoring=scoring_of(policy.rule),
            groups=groups,
            counts=tally.pack(counts),
            tasks=n,
        )


def _said(labels: list[int], rng: np.random.Generator) -> list[dict[str, float]]:
    """What the validators say of one task: five labels and unk, the first of them the likeliest."""
    options = [*(str(one) for one in rng.choice(labels, 5, replace=False)), "unk"]
    shares = rng.dirichlet([9, 1, 1, 0.5, 0.5, 0.5], size=VALIDATORS)
    return [dict(zip(options, map(float, row), strict=True)) for row in shares]


def _sample(configuration: Configuration, tasks: int, rng: np.random.Generator) -> None:
    from labeling.actions.stream_sample import validators_of
    from labeling.models import StreamSample
    from labeling.statistics.verdict_table import TaskVerdicts, pack, table_of

    labels = list(configuration.project.labels.values_list("pk", flat=True))
    drawn = min(SAMPLE, tasks)
    rows = [TaskVerdicts(_said(labels, rng), [1.0] * VALIDATORS) for _ in range(drawn)]
    StreamSample.objects.create(
        configuration=configuration,
        seed=0,
        population=tasks,
        tasks=drawn,
        content=pack(table_of(validators_of(configuration), rows)),
    )


def _tune(project: Project, configuration: Configuration, rng: np.random.Generator) -> None:
    from labeling import rules
    from labeling.actions.stream_sample import validators_of
    from labeling.models import BenchmarkItem, Ranking, Run, Task, Verdict

    labels = list(project.labels.values_list("pk", flat=True))
    run = Run.objects.filter(configuration=configuration).order_by("pk")[0]
    texts = [f"{project.slug} tune {n}" for n in range(TUNE_ROWS)]
    tasks = Task.objects.bulk_create(
        Task(project=project, external_id=text, text=text, text_hash=rules.text_hash(text))
        for text in texts
    )
    BenchmarkItem.objects.bulk_create(
        BenchmarkItem(
            project=project,
            task=task,
            text_hash=task.text_hash,
            part="tune",
            sampling="random",
            reference="label",
            reference_label_id=int(rng.choice(labels)),
        )
        for task in tasks
    )
    Ranking.objects.bulk_create(
        Ranking(run=run, task=task, revision=task.revision, candidates=[[labels[0], 0.9, 0.9]])
        for task in tasks
    )
    Verdict.objects.bulk_create(
        Verdict(
            run=run,
            task=task,
            revision=task.revision,
            validator_id=validator,
            question="multiclass",
            probabilities=said,
            mass=1.0,
        )
        for task in tasks
        for validator, said in zip(validators_of(configuration), _said(labels, rng), strict=True)
    )


def look(policy: Policy, repeats: int, rng: np.random.Generator) -> dict[str, Any]:
    """Milliseconds of the first look at each, and of those after it."""
    from django.test import Client
    from django.urls import reverse

    from labeling.models import User

    name = f"bench-{policy.project.slug}"
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(User.objects.create_superuser(name, password=None))
    address = reverse("admin:labeling_project_tuning", args=[policy.project_id])

    def ask(**asked: Any) -> tuple[float, float]:
        started, used = time.perf_counter(), time.process_time()
        answer = client.get(address, {"version": 1, **asked}, HTTP_HX_REQUEST="true")
        spent = time.perf_counter() - started, time.process_time() - used
        if answer.status_code != 200 or b"figures" not in answer.content:
            raise SystemExit(f"The panel answered {answer.status_code} without figures.")
        return spent

    def weights() -> dict[str, Any]:
        named = {
            f"weight-{one}": round(float(rng.uniform(0.1, 3)), 2)
            for one in policy.rule["validators"]
        }
        return {"pool": "log_linear", "multiclass": 0.8, **named}

    def threshold() -> dict[str, Any]:
        return {"multiclass": round(float(rng.uniform(0.3, 1)), 3)}

    return {
        "threshold": _spread(ask, threshold, repeats),
        "weights": _spread(ask, weights, repeats),
    }


def _spread(
    ask: Callable[..., tuple[float, float]], asked: Callable[[], dict[str, Any]], repeats: int
) -> dict[str, dict[str, float]]:
    """By the clock, and of the processor alone: other work on the machine is not in that."""
    first = ask(**asked())
    spent = np.array([ask(**asked()) for _ in range(repeats)]) * 1000
    return {
        kind: {
            "first": round(first[column] * 1000, 1),
            "median": round(float(np.median(spent[:, column])), 1),
            "p95": round(float(np.percentile(spent[:, column], 95)), 1),
        }
        for column, kind in enumerate(("wall", "processor"))
    }


if __name__ == "__main__":
    main()
