"""Document indexes, and the stages that look documents up for tasks."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from labeling.actions.artifacts import register_artifact
from labeling.models import Artifact, PlanRow, Project, Retrieved
from labeling.models import Document as DocumentRow
from llm_worker.pipeline import cores, embeddings
from rerank_engine.errors import ArtifactError
from rerank_engine.retrieval.index import FOUND, KEPT, DocumentIndex, content_hash
from rerank_engine.retrieval.passages import Document

logger = logging.getLogger(__name__)


def build_index(project: Project) -> Artifact | None:
    """Index the project's documents and put the index in use; None without documents.

    Nothing is built where the active index was made from the same documents and encoder.
    """
    rows = list(project.documents.order_by("external_id"))
    if not rows:
        return None
    documents = [Document(row.external_id, row.title, row.text) for row in rows]
    data_hash = content_hash(documents, cores.encoder().fingerprint)
    standing = project.artifacts.filter(kind=Artifact.Kind.DOCUMENT_INDEX, active=True).first()
    if standing is not None and standing.data_hash == data_hash:
        return standing
    index = DocumentIndex.build(documents, cores.encoder(), previous=_standing(standing))
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
    """The index in use, whose vectors and words the next one takes over; None if it is unusable."""
    try:
        return cores.document_index(artifact) if artifact is not None else None
    except ArtifactError as error:
        logger.warning("The document index is built anew: %s", error)
        return None


def retrieve(rows: Sequence[PlanRow]) -> None:
    """Store the best documents of each task for the active index; stored ones stay."""
    project = rows[0].run.project
    artifact = project.artifacts.filter(kind=Artifact.Kind.DOCUMENT_INDEX, active=True).first()
    if artifact is None:
        return
    index = cores.document_index(artifact)
    texts = [row.task.text for row in rows]
    hits = index.search(texts, embeddings.vectors(texts), k=FOUND, keep=KEPT)
    keys = {hit.document_id for found in hits for hit in found}
    documents = dict(
        DocumentRow.objects.filter(project=project, external_id__in=keys).values_list(
            "external_id", "pk"
        )
    )
    Retrieved.objects.bulk_create(
        (
            Retrieved(
                task_id=row.task_id,
                revision=row.revision,
                index=artifact,
                document_id=documents[hit.document_id],
                rank=hit.rank,
                score=hit.score,
                passage=hit.passage,
            )
            for row, found in zip(rows, hits, strict=True)
            for hit in found
            if hit.document_id in documents  # a document deleted since the index was built
        ),
        ignore_conflicts=True,
    )
