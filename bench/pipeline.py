"""The whole chain on a real data set, through a running server.

`python -m bench.pipeline --data FOLDER --json` takes train.csv and test.csv of FOLDER (columns
text and category), cuts the benchmark parts from train.csv, trains the embedded classifier, the
local validators and the reranker on the rest, tunes a policy, starts the site, sends the
predictions for test.csv over REST, waits for the runs and measures. The local validators are not
LLMs.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import pipeline_ratios
from bench.common import Row, read_rows, report, say, timed, write_rows
from bench.site import Site, peak_memory

PARTS = {"fit": 200, "tune": 400, "certify": 600, "test": 400}
BATCH = 500
POLL_SECONDS = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.pipeline", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.csv, test.csv")
    parser.add_argument("--documents", type=Path, help="documents (JSONL) of the project")
    parser.add_argument("--target", type=float, default=0.95, help="accuracy to tune for")
    parser.add_argument("--seed", type=int, default=0, help="seed of the cut and the trainings")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as folder:
        result = measure(options, Path(folder))
    report(result, as_json=options.json)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The whole benchmark in `folder`; returns the figures."""
    train, test = (read_rows(options.data / f"{name}.csv") for name in ("train", "test"))
    parts, rest = cut(train, options.seed)
    site = Site(folder / "var")
    slug = f"bench-{secrets.token_hex(4)}"
    seconds: dict[str, float] = {}
    prepare(site, slug, parts, rest, options, folder, seconds)
    items = predictions(site, slug, test, seconds)
    with site.serving() as process:
        sent = time.monotonic()
        with timed(seconds, "ingest over REST"):
            runs = send(site, slug, items)
        with timed(seconds, "run"):
            progress = wait(site, slug, runs)
        total = time.monotonic() - sent
        memory = peak_memory(process.pid)
    with timed(seconds, "against the bare models"):
        ratios = pipeline_ratios.measure(slug)
    return {
        "data": options.data.name,
        "train_rows": len(rest),
        "benchmark_rows": {part: len(rows) for part, rows in parts.items()},
        "tasks": len(items["items"]),
        **outcome(slug, test),
        "seconds": seconds,
        "stage_seconds": progress,
        "tasks_per_second": round(len(items["items"]) / total, 1),
        "peak_memory_mb": memory,
        "against_bare_models": ratios,
    }


def cut(train: list[Row], seed: int) -> tuple[dict[str, list[Row]], list[Row]]:
    """Random benchmark parts of `train` and the rest; a text stands in one part only."""
    unique = list({row["text"].strip().casefold(): row for row in train}.values())
    random.Random(seed).shuffle(unique)
    share = min(1.0, 0.25 * len(unique) / sum(PARTS.values()))
    parts: dict[str, list[Row]] = {}
    start = 0
    for part, wanted in PARTS.items():
        size = int(wanted * share)
        parts[part] = unique[start : start + size]
        start += size
    return parts, unique[start:]


def prepare(
    site: Site,
    slug: str,
    parts: dict[str, list[Row]],
    rest: list[Row],
    options: argparse.Namespace,
    folder: Path,
    seconds: dict[str, float],
) -> None:
    """Everything before the stream: the project, the models, the benchmark, the policy."""
    labels = sorted({row["category"] for rows in (*parts.values(), rest) for row in rows})
    (folder / "labels.json").write_text(json.dumps(labels))
    seed = f"--seed={options.seed}"
    with timed(seconds, "set up"):
        site.manage("migrate", "--verbosity=0")
        _sign_in(site)
        site.manage("create_project", slug, f"--labels={folder / 'labels.json'}", "--admin=bench")
        site.token = _token(site)
        if options.documents:
            site.manage("import_documents", slug, str(options.documents))
    with timed(seconds, "train classifier"):
        rows = write_rows(folder / "train.csv", rest)
        say(site.manage("train_classifier", slug, str(rows), seed))
    with timed(seconds, "train validators"):
        site.manage("train_validators", slug, seed)
    with timed(seconds, "train reranker"):
        for part, part_rows in parts.items():
            site.manage("import_benchmark", slug, str(_benchmark_file(folder, part, part_rows)))
        say(site.manage("train_reranker", slug, seed))
    with timed(seconds, "benchmark"):
        for part, part_rows in parts.items():
            site.manage("classify", slug, str(_texts_file(folder, part, part_rows)))
        site.manage("run_pipeline", slug, "--wait")
    with timed(seconds, "fit policy"):
        say(site.manage("fit_policy", slug, f"--target={options.target}", "--activate"))


def _sign_in(site: Site) -> None:
    import django

    django.setup()
    from labeling.models import User

    User.objects.get_or_create(username="bench", defaults={"is_staff": True, "is_superuser": True})


def _token(site: Site) -> str:
    from labeling.actions.projects import create_token
    from labeling.models import Scope, User

    user = User.objects.get(username="bench")
    return create_token(user=user, name="bench", scopes=list(Scope.values))[1]


def _external_id(part: str, index: int) -> str:
    return f"{part}-{index:05d}"


def _benchmark_file(folder: Path, part: str, rows: list[Row]) -> Path:
    payload = {
        "part": part,
        "sampling": "random",
        "items": [
            {
                "external_id": _external_id(part, index),
                "text": row["text"],
                "question": "multiclass",
                "label": row["category"],
                "expert": "data set",
            }
            for index, row in enumerate(rows)
        ],
    }
    path = folder / f"{part}.json"
    path.write_text(json.dumps(payload, ensure_ascii=False), encoding="utf-8")
    return path


def _texts_file(folder: Path, part: str, rows: list[Row]) -> Path:
    import csv

    path = folder / f"{part}.csv"
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["external_id", "text"])
        for index, row in enumerate(rows):
            writer.writerow([_external_id(part, index), row["text"]])
    return path


def predictions(
    site: Site, slug: str, test: list[Row], seconds: dict[str, float]
) -> dict[str, Any]:
    """What an upstream classifier would send: logits for every text of the test set."""
    from labeling.models import Project
    from llm_worker.pipeline.classify import active_classifier, with_logits

    project = Project.objects.get(slug=slug)
    items = [
        {"external_id": _external_id("stream", index), "text": row["text"]}
        for index, row in enumerate(test)
    ]
    artifact = active_classifier(project)
    names = dict(project.labels.values_list("pk", "name"))
    with timed(seconds, "upstream predictions"):
        scored = with_logits(project, items)
    return {
        "model_version": artifact.info["model_version"],
        "labels": [names[pk] for pk in artifact.info["label_ids"]],
        "items": scored,
    }


def send(site: Site, slug: str, payload: dict[str, Any]) -> set[int]:
    """Post the predictions in batches; returns the runs they went to."""
    runs = set()
    for start in range(0, len(payload["items"]), BATCH):
        batch = {**payload, "items": payload["items"][start : start + BATCH]}
        reply = site.call("POST", f"/projects/{slug}/predictions/", batch)
        runs.add(int(reply["run"]))
    return runs


def wait(site: Site, slug: str, runs: set[int]) -> dict[str, float]:
    """Poll the runs until nothing is unfinished; returns the seconds of work by stage."""
    while True:
        details = [site.call("GET", f"/projects/{slug}/runs/{run}/") for run in sorted(runs)]
        left = sum(detail["progress"]["unfinished"] for detail in details)
        if not left:
            break
        say(f"  {left} tasks unfinished")
        time.sleep(POLL_SECONDS)
    stages: dict[str, float] = {}
    for detail in details:
        for stage, spent in detail["progress"]["seconds"].items():
            stages[stage] = round(stages.get(stage, 0.0) + spent, 2)
    return stages


def outcome(slug: str, test: list[Row]) -> dict[str, Any]:
    """What became of the stream, against the data set's own labels."""
    from labeling.models import Prediction, Ranking, Resolution, Source
    from labeling.statistics.acceptance import Judged, acceptance_metrics

    truth = {_external_id("stream", index): row["category"] for index, row in enumerate(test)}
    stream = {"task__project__slug": slug, "task__external_id__in": list(truth)}
    said = dict(Prediction.objects.filter(**stream).values_list("task__external_id", "label__key"))
    names = _label_keys(slug)
    rankings = {
        ranking.task.external_id: ranking
        for ranking in Ranking.objects.filter(**stream).select_related("task")
    }
    first = {key: names[ranking.candidates[0][0]] for key, ranking in rankings.items()}
    hard = [key for key, ranking in rankings.items() if ranking.hard]
    accepted = dict(
        Resolution.objects.filter(**stream, source=Source.AUTO, current=True).values_list(
            "task__external_id", "label__key"
        )
    )
    metrics = acceptance_metrics(
        Judged(key in accepted, accepted.get(key) == label) for key, label in truth.items()
    )
    return {
        "classifier_accuracy": _share(said, truth, list(truth)),
        "reranked_accuracy": _share(first, truth, list(truth)),
        "hard_share": round(len(hard) / len(truth), 4),
        "hard_accuracy": {
            "classifier": _share(said, truth, hard),
            "reranked": _share(first, truth, hard),
        },
        "coverage": metrics.coverage.value,
        "accepted_accuracy": {
            "value": metrics.accuracy.value,
            "interval": [metrics.accuracy.low, metrics.accuracy.high],
            "n": metrics.accuracy.n,
        },
        "total_accuracy": metrics.total_accuracy.value,
        "deferred": len(truth) - len(accepted),
        "unaccounted": len(truth) - len(rankings),
    }


def _label_keys(slug: str) -> dict[int, str]:
    from labeling.models import Label

    return dict(Label.objects.filter(project__slug=slug).values_list("pk", "key"))


def _share(said: dict[str, str], truth: dict[str, str], keys: list[str]) -> float | None:
    if not keys:
        return None
    return round(sum(said.get(key) == truth[key] for key in keys) / len(keys), 4)


if __name__ == "__main__":
    main()
