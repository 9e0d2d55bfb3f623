"""The reranker of documents, trained on what people marked as helpful."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from django.conf import settings
from django.db.models import F
from django.utils.translation import gettext as _

from labeling.actions.artifacts import register_artifact
from labeling.actions.errors import ActionRefused
from labeling.models import Artifact, BenchmarkItem, HelpfulDocument, Part, Project, Task
from labeling.rules import text_hash
from llm_worker.pipeline import cores, embeddings
from llm_worker.pipeline.training import Progress, silent
from rerank_engine.artifacts import data_hash, find_matching
from rerank_engine.encoder import model_folder
from rerank_engine.retrieval.cross_encoder import (
    KIND,
    RankedQuery,
    RerankerReport,
    RerankerSettings,
    ranked_queries,
    train_document_reranker,
)
from rerank_engine.retrieval.index import DocumentIndex

MIN_QUERIES = 20


@dataclass
class _Query:
    """A text with the ids of the documents that help it, and of those that may."""

    text: str
    helpful: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)


def train_reranker_of_documents(
    project: Project, *, seed: int = 0, progress: Progress = silent
) -> dict[str, Any]:
    """Train on the marked documents, and put the reranker in use if it helps held-out texts.

    Nothing is trained where the same marks, documents and seed were trained on before. Returns
    the report, and whether it was `trained` now and is `in_use`. Raises ActionRefused where too
    few texts have a marked document.
    """
    rows = _rows(project)
    base = model_folder(settings.ENCODER)
    chosen = RerankerSettings(precision=settings.TRAINING_PRECISION)
    digest = data_hash(
        [f"{row.group} {row.helps.tolist()} {passage}" for row in rows for passage in row.passages],
        cores.encoder().fingerprint,
        seed,
    )
    path = f"{project.slug}/document_reranker/{digest[:16]}"
    folder = cores.folder_at(path)
    stored = find_matching(folder, kind=KIND, data_hash=digest, settings=asdict(chosen))
    if stored is None:
        reranker = train_document_reranker(
            rows, base=base, seed=seed, settings=chosen, progress=_named(progress)
        )
        reranker.save(folder, data_hash=digest)
        report = reranker.report
    else:
        report = RerankerReport(**stored.metrics)
    if report.earns_its_place:
        register_artifact(
            project=project,
            kind=Artifact.Kind.DOCUMENT_RERANKER,
            path=path,
            digest=digest,
            data_hash=digest,
            info=asdict(report),
            by="training",
        )
    return {**asdict(report), "trained": stored is None, "in_use": report.earns_its_place}


def _rows(project: Project) -> list[RankedQuery]:
    """What the index in use finds for every text that may train and has a helpful document."""
    queries = _queries(project)
    artifact = project.artifacts.filter(kind=Artifact.Kind.DOCUMENT_INDEX, active=True).first()
    rows: list[RankedQuery] = []
    if artifact is not None and queries:
        index: DocumentIndex = cores.document_index(artifact)
        texts = [query.text for query in queries.values()]
        found = ranked_queries(
            index,
            texts,
            embeddings.vectors(texts),
            [query.helpful for query in queries.values()],
            unknown=[query.unknown - query.helpful for query in queries.values()],
            groups=list(queries),
        )
        rows = [row for row in found if row.helps.any()]
    if len(rows) < MIN_QUERIES:
        raise ActionRefused(
            _(
                "The project has %(n)d labeled texts with a document that somebody marked as "
                "helpful; %(need)d are needed. People mark them on the labeling page, by the key h."
            )
            % {"n": len(rows), "need": MIN_QUERIES}
        )
    return rows


def _queries(project: Project) -> dict[str, _Query]:
    """By the hash of its text: every task with marks, and every example of a label whose tasks
    have marks. What was marked for other tasks of the same label may help as well."""
    marks = list(
        HelpfulDocument.objects.filter(
            task__in=Task.objects.filter(project=project).for_training(),
            revision=F("task__revision"),
            document__removed_at__isnull=True,
        ).select_related("task", "document")
    )
    labels = _labels(project, {mark.task_id for mark in marks})
    of_label: dict[int, set[str]] = {}
    for mark in marks:
        if mark.task_id in labels:
            of_label.setdefault(labels[mark.task_id], set()).add(mark.document.external_id)
    queries: dict[str, _Query] = {}
    for mark in marks:
        query = queries.setdefault(mark.task.text_hash, _Query(mark.task.text))
        query.helpful.add(mark.document.external_id)
        query.unknown |= of_label.get(labels.get(mark.task_id, 0), set())
    for digest, text, label in _examples(project, of_label):
        queries.setdefault(digest, _Query(text, of_label[label]))
    return queries


def _labels(project: Project, tasks: set[int]) -> dict[int, int]:
    """Task id to the label that stands for it, or that experts gave it in the part *fit*."""
    given = BenchmarkItem.objects.filter(
        task__in=tasks, part=Part.FIT, reference_label__isnull=False
    ).values_list("task_id", "reference_label_id")
    standing = project.tasks.filter(
        pk__in=tasks, resolutions__current=True, resolutions__label__isnull=False
    ).values_list("pk", "resolutions__label_id")
    return dict(standing) | dict(given)


def _examples(project: Project, labels: dict[int, set[str]]) -> list[tuple[str, str, int]]:
    """(hash, text, label id) of examples on the cards of `labels` that the benchmark does not
    hold out."""
    held_out = set(
        BenchmarkItem.objects.filter(project=project)
        .exclude(part=Part.FIT)
        .values_list("text_hash", flat=True)
    )
    found = [
        (text_hash(text), text, label.pk)
        for label in project.labels.active().filter(pk__in=labels)
        for text in label.examples
        if isinstance(text, str) and text.strip()
    ]
    return [example for example in found if example[0] not in held_out]


def _named(progress: Progress) -> Callable[[int, int], None]:
    return lambda done, total: progress("train reranker of documents", done, total)
