"""How documents are found for a task, and what of them people found helpful."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from labeling.access import Right, has_right
from labeling.actions.errors import ActionRefused
from labeling.actions.events import record
from labeling.models import Artifact, Document, HelpfulDocument, Lease, Project, Retrieved


def retrieval_settings(project: Project) -> dict[str, Any]:
    """What, beside the index, decides which documents a task gets: the digest of the reranker in
    use and the project's settings. A configuration holds it, so that a run keeps to it."""
    kind = Artifact.Kind.DOCUMENT_RERANKER
    reranker = project.artifacts.filter(kind=kind, active=True).values_list("digest", flat=True)
    return {
        "reranker": reranker.first(),
        "for": project.retrieve_for,
        "found": project.documents_found,
        "kept": project.documents_kept,
        "least_similarity": project.least_similarity,
    }


def retrieval_method(settings: Mapping[str, Any] | str) -> str:
    """Hash of the settings, under which what they find is stored.

    Older configurations hold no more than the hash, and it is taken as it is.
    """
    if isinstance(settings, str):
        return settings
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


@transaction.atomic
def mark_helpful(*, lease: Lease, document: Document, helpful: bool) -> None:
    """Note, or take back, that `document` helped the holder of `lease` with its task.

    Harmless to repeat. Raises ActionRefused for a document that the lease does not show.
    """
    task, member = lease.task, lease.member
    revision = lease.visible.get("revision")
    shown = Retrieved.objects.filter(task=task, revision=revision, document=document)
    allowed = has_right(member, Right.ANNOTATE) and lease.visible.get("documents")
    if not allowed or not shown.exists():
        raise ActionRefused(_("This document is not shown with this text."))
    mark = {"task": task, "revision": revision, "member": member, "document": document}
    if helpful:
        changed = HelpfulDocument.objects.get_or_create(**mark)[1]
    else:
        changed = bool(HelpfulDocument.objects.filter(**mark).delete()[0])
    if changed:
        said = {"document": document.external_id, "helpful": helpful}
        record(task.project, member, "document_marked", task, new=said)
