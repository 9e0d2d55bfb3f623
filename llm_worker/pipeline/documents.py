"""Document indexes, and the stages that look documents up for tasks."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from labeling.actions.artifacts import register_artifact
from labeling.actions.retrieval import retrieval_method, retrieval_settings
from labeling.models import Artifact, PlanRow, Project, Ranking, RetrievalQuery, Retrieved, Run
from llm_worker.pipeline import cores, embeddings
from llm_worker.pipeline.rerank import readable
from rerank_engine.errors import ArtifactError
from rerank_engine.retrieval.index import DocumentIndex, Hit, content_hash
from rerank_engine.retrieval.passages import Document

logger = logging.getLogger(__name__)


def build_index(project: Project) -> Artifact | None:
    """Index the project's documents and put the index in use; None without documents.

    Nothing is built where the active index was made from the same documents and encoder, and can
    be read.
    """
    rows = list(project.documents.present().order_by("external_id"))
    if not rows:
        return None
    documents = [Document(row.external_id, row.title, row.text) for row in rows]
    data_hash = content_hash(documents, cores.encoder().fingerprint)
    standing = _active(project, Artifact.Kind.DOCUMENT_INDEX)
    previous = _standing(standing)
    if standing is not None and previous is not None and standing.data_hash == data_hash:
        return standing
    index = DocumentIndex.build(documents, cores.encoder(), previous=previous)
    path = f"{project.slug}/documents/{data_hash[:16]}"
    index.save(cores.folder_at(path))
    return register_artifact(
        project=project,
        kind=Artifact.Kind.DOCUMENT_INDEX,
        path=path,
        digest=data_hash,
        data_hash=data_hash,
        info={"documents": len(documents), "passages": index.n_passages},
        by="document index",
    )


def _standing(artifact: Artifact | None) -> DocumentIndex | None:
    """The index in use, whose vectors and words the next one takes over; None if it is unusable, as
    one of an earlier format is."""
    try:
        return cores.document_index(artifact) if artifact is not None else None
    except ArtifactError as error:
        logger.warning("The document index is built anew: %s", error)
        return None


def retrieve(rows: Sequence[PlanRow]) -> None:
    """Store the best documents of each task; stored ones stay.

    A run keeps to the index and the settings that its configuration names, whatever the project
    has changed meanwhile.
    """
    run = rows[0].run
    project = run.project
    artifact = _index_of(run)
    if artifact is None:
        return
    index = cores.document_index(artifact)
    how = run.configuration.content.get("retrieval")
    if not isinstance(how, dict):  # no validator reads documents, or it is an older configuration
        how = retrieval_settings(project)
    by_labels = how["for"] == RetrievalQuery.LABELS
    hits = (_by_labels if by_labels else _by_text)(project, index, rows, how)
    keys = {hit.document_id for found in hits for hit in found}
    documents = dict(
        project.documents.present().filter(external_id__in=keys).values_list("external_id", "pk")
    )
    method = retrieval_method(how)
    Retrieved.objects.bulk_create(
        (
            Retrieved(
                task_id=row.task_id,
                revision=row.revision,
                index=artifact,
                method=method,
                document_id=documents[hit.document_id],
                rank=rank,
                score=hit.score,
                passage=hit.passage,
            )
            for row, found in zip(rows, hits, strict=True)
            # Documents may have been removed since the index was built.
            for rank, hit in enumerate((hit for hit in found if hit.document_id in documents), 1)
        ),
        ignore_conflicts=True,
    )


def _index_of(run: Run) -> Artifact | None:
    """The index that the run's configuration names; the one in use where it names none or it
    cannot be read any more."""
    project, kind = run.project, Artifact.Kind.DOCUMENT_INDEX
    digest = run.configuration.content["document_index"]
    named = project.artifacts.filter(kind=kind, digest=digest).order_by("-version").first()
    if named is not None and _standing(named) is not None:
        return named
    artifact = _active(project, kind)
    if artifact is not None and _standing(artifact) is None:
        return build_index(project)  # damaged, or of an earlier format
    return artifact


def _by_text(
    project: Project, index: DocumentIndex, rows: Sequence[PlanRow], how: Mapping[str, Any]
) -> list[list[Hit]]:
    return _search(project, index, [row.task.text for row in rows], how)


def _by_labels(
    project: Project, index: DocumentIndex, rows: Sequence[PlanRow], how: Mapping[str, Any]
) -> list[list[Hit]]:
    """For each task the documents of its candidates: the best one of each in their order, then
    the second ones, until enough are there."""
    rankings = {
        ranking.task_id: [int(entry[0]) for entry in ranking.candidates]
        for ranking in Ranking.objects.filter(
            run=rows[0].run, task_id__in=[row.task_id for row in rows]
        )
    }
    candidates = [rankings.get(row.task_id, []) for row in rows]
    asked = project.labels.filter(pk__in={pk for ids in candidates for pk in ids})
    queries = {label.pk: f"{readable(label.name)}\n{label.description}".strip() for label in asked}
    found = _search(project, index, list(queries.values()), how)
    hits = dict(zip(queries, found, strict=True))
    return [_in_turns([hits[pk] for pk in ids if pk in hits], how["kept"]) for ids in candidates]


def _in_turns(rankings: Sequence[Sequence[Hit]], keep: int) -> list[Hit]:
    """The first of each ranking, then the second of each, every document once."""
    taken: dict[str, Hit] = {}
    for place in zip_longest(*rankings):
        for hit in place:
            if hit is not None:
                taken.setdefault(hit.document_id, hit)
    return list(taken.values())[:keep]


def _search(
    project: Project, index: DocumentIndex, queries: Sequence[str], how: Mapping[str, Any]
) -> list[list[Hit]]:
    """What the settings `how`, and the reranker they name if they name one, find for each query."""
    if not queries:
        return []
    kind = Artifact.Kind.DOCUMENT_RERANKER
    named = project.artifacts.filter(kind=kind, digest=how["reranker"]).order_by("-version")
    reranker = named.first() if how["reranker"] is not None else None
    return index.search(
        queries,
        embeddings.vectors(queries),
        k=how["found"],
        keep=how["kept"],
        reranker=cores.document_reranker(reranker) if reranker is not None else None,
        least_similarity=how["least_similarity"] or -1.0,  # 0 leaves nothing out
        readable=~cores.encoder().unsupported_script(queries),
    )


def _active(project: Project, kind: Artifact.Kind) -> Artifact | None:
    return project.artifacts.filter(kind=kind, active=True).first()
