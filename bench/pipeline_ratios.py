"""What a stage of the pipeline makes of the model's throughput: ratios against the bare models.

The stage and the bare model do the same texts, or pairs, in turns, in this very process: the rerank
stage against its encoder, document search against its cross-encoder. A ratio is the bare model's
seconds over the stage's, so 1 means that all else costs nothing.

`bench.pipeline` ends with it. By itself, `python -m bench.pipeline_ratios --data FOLDER --json`
makes a project of a part of train.csv, with a map of one epoch and no validators, for test.csv.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.common import read_rows, report, say, timed, write_rows
from bench.site import Site

SLUG = "bench"
STREAM = "stream-"
"""How the ids of the tasks begin that are measured on; the benchmark's begin otherwise."""
TURNS = 3
RERANK_TASKS = 1024
SEARCHED_TASKS = 32
Seconds = tuple[float, float]
"""Wall seconds and CPU seconds."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.pipeline_ratios", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.csv, test.csv")
    parser.add_argument("--documents", type=Path, help="documents (JSONL) of the project")
    parser.add_argument("--rows", type=int, default=2000, help="rows of train.csv, at random")
    parser.add_argument("--seed", type=int, default=0, help="seed of the rows and the trainings")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as folder:
        seconds: dict[str, float] = {}
        _prepare(options, Path(folder), seconds)
        result = {"data": options.data.name, **measure(SLUG), "seconds": seconds}
    report(result, as_json=options.json)


def _prepare(options: argparse.Namespace, folder: Path, seconds: dict[str, float]) -> None:
    """A project with classifier and reranker whose stream has been reranked once."""
    rows = read_rows(options.data / "train.csv")
    random.Random(options.seed).shuffle(rows)
    labels = folder / "labels.json"
    labels.write_text(json.dumps(sorted({row["category"] for row in rows})))
    train = write_rows(folder / "train.csv", rows[: options.rows])
    site, seed = Site(folder / "var"), f"--seed={options.seed}"
    with timed(seconds, "set up"):
        site.manage("migrate", "--verbosity=0")
        site.manage("create_project", SLUG, f"--labels={labels}")
        if options.documents:
            site.manage("import_documents", SLUG, str(options.documents))
    with timed(seconds, "train"):
        site.manage("train_classifier", SLUG, str(train), seed)
        site.manage("train_reranker", SLUG, seed, "--epochs=1")
    with timed(seconds, "rerank for the first time"):
        import django

        django.setup()
        from labeling import dispatch
        from labeling.models import Project

        items = [
            {"external_id": f"{STREAM}{place:05d}", "text": row["text"]}
            for place, row in enumerate(read_rows(options.data / "test.csv"))
        ]
        project = Project.objects.get(slug=SLUG)
        dispatch.run_here("classify", project_id=project.pk, items=items)
        dispatch.run_here("rerank")


def measure(slug: str) -> dict[str, Any]:
    """Ratios for the project's stream, after its run; both stages store what they find, as ever."""
    from labeling.models import PlanRow, Project

    project = Project.objects.get(slug=slug)
    rows = list(
        PlanRow.objects.filter(run__project=project, task__external_id__startswith=STREAM)
        .select_related("run__project", "run__configuration", "run__taxonomy", "task")
        .select_related("prediction__taxonomy")
        .order_by("pk")
    )
    result = {"rerank": _rerank(rows)}
    if hard := _hard(rows):
        result["rerank_hard_only"] = _rerank(hard)
    if project.documents.present().exists():
        result["retrieval"] = _retrieval(project, rows[:SEARCHED_TASKS])
    return result


def _hard(rows: list[Any]) -> list[Any]:
    from labeling.models import Ranking

    hard = set(
        Ranking.objects.filter(run=rows[0].run, hard=True, flagged_script=False).values_list(
            "task_id", flat=True
        )
    )
    return [row for row in rows if row.task_id in hard and row.run_id == rows[0].run_id]


def _rerank(rows: list[Any]) -> dict[str, Any]:
    """The stage on these tasks, their vectors forgotten before each turn, against the encoder of
    the semantic map on their texts."""
    from labeling.models import Artifact, Embedding, Ranking
    from llm_worker.pipeline import cores, embeddings, rerank
    from llm_worker.tasks import RERANK_BATCH

    rows = [row for row in rows if row.run_id == rows[0].run_id][:RERANK_TASKS]
    run = rows[0].run
    artifact = run.project.artifacts.filter(
        kind=Artifact.Kind.RERANKER, digest=run.configuration.content["reranker"]
    ).latest("version")
    encoder = cores.reranker(artifact).map.encoder
    batches = [rows[start : start + RERANK_BATCH] for start in range(0, len(rows), RERANK_BATCH)]
    texts = [[row.task.text for row in batch] for batch in batches]
    keys = [embeddings.key(text) for part in texts for text in part]

    def forget() -> None:
        for start in range(0, len(keys), embeddings.LOOKUP):
            part = keys[start : start + embeddings.LOOKUP]
            Embedding.objects.filter(text_hash__in=part, encoder=encoder.fingerprint).delete()
        Ranking.objects.filter(run=run, task_id__in=[row.task_id for row in rows]).delete()

    def stage() -> None:
        for batch in batches:
            rerank.rerank(batch)

    def bare() -> None:
        for part in texts:
            encoder.encode(part)

    return {"texts": len(rows)} | _in_turns("rerank", stage, bare, forget)


def _retrieval(project: Any, rows: list[Any]) -> dict[str, Any]:
    """The stage with a cross-encoder on these tasks against the cross-encoder on the same pairs.

    The project has none that was trained, so an untrained one of the same make takes its place: it
    multiplies as much.
    """
    from labeling.actions.artifacts import register_artifact
    from labeling.models import Artifact, Retrieved
    from llm_worker.pipeline import cores, documents, embeddings

    artifact = documents.build_index(project)
    assert artifact is not None
    index = cores.document_index(artifact)
    reranker = untrained_reranker()
    asked: list[tuple[str, str]] = []

    def remember(pairs: list[tuple[str, str]], fused: Any) -> Any:
        asked.extend(pairs)
        return fused

    texts = [row.task.text for row in rows]
    index.search(texts, embeddings.vectors(texts), reranker=remember)
    path = f"{project.slug}/document_reranker/bench"
    reranker.save(cores.folder_at(path), data_hash="bench")
    register_artifact(
        project=project,
        kind=Artifact.Kind.DOCUMENT_RERANKER,
        path=path,
        digest="bench",
        data_hash="bench",
        info={},
        by="bench",
    )

    def forget() -> None:
        Retrieved.objects.filter(task_id__in=[row.task_id for row in rows]).delete()

    def stage() -> None:
        documents.retrieve(rows)

    def bare() -> None:
        reranker.logits(asked)

    return {"tasks": len(rows), "pairs": len(asked)} | _in_turns("retrieval", stage, bare, forget)


def untrained_reranker() -> Any:
    """A cross-encoder as `train_document_reranker` would make it, with a head of random weights."""
    from rerank_engine.encoder import model_folder
    from rerank_engine.retrieval.cross_encoder import (
        DocumentReranker,
        RerankerReport,
        RerankerSettings,
        load_cross_encoder,
    )

    settings = replace(RerankerSettings(), epochs=0)
    model = load_cross_encoder(model_folder(), settings.max_length)
    return DocumentReranker(model, 0.1, settings, RerankerReport(0, 0, 0.0))


def _in_turns(
    what: str, stage: Callable[[], None], bare: Callable[[], None], forget: Callable[[], None]
) -> dict[str, Any]:
    """Seconds of both, and the ratio turn by turn; one turn before them warms up."""
    turns: list[tuple[Seconds, Seconds]] = []
    for turn in range(TURNS + 1):
        forget()
        both = (_timed(stage), _timed(bare))
        say(f"  {what}: {both[0][1]:.2f} CPU seconds, the bare model {both[1][1]:.2f}")
        if turn:
            turns.append(both)
    found: dict[str, Any] = {}
    for name, place in (("ratio", 0), ("cpu_ratio", 1)):
        ratios = [model[place] / whole[place] for whole, model in turns]
        found[name] = {
            "median": round(statistics.median(ratios), 3),
            "lowest": round(min(ratios), 3),
            "highest": round(max(ratios), 3),
        }
    return found


def _timed(work: Callable[[], None]) -> Seconds:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
