"""Documents that people and validators consult: imported, updated by their id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling import dispatch
from labeling.actions.errors import ActionRefused, Detail
from labeling.actions.events import Actor, record
from labeling.actions.ingest import OnError
from labeling.actions.ingest_parse import BadRow, read_id, read_text
from labeling.models import Document, Project

MAX_DOCUMENT = 200_000
MAX_TITLE = 500
MAX_SECTION = 200
FIELDS = frozenset({"id", "title", "text", "section"})
BATCH = 500


@dataclass(frozen=True)
class ImportReport:
    """How many documents are new, have a new content, stood already as they are, or were removed
    because they are not among those imported."""

    created: int
    updated: int
    unchanged: int
    removed: int = 0


@dataclass(frozen=True)
class _Content:
    external_id: str
    title: str
    text: str
    section: str

    @property
    def digest(self) -> str:
        written = json.dumps([self.title, self.text, self.section])
        return hashlib.sha256(written.encode()).hexdigest()


def import_documents(
    *,
    project: Project,
    items: Iterable[object],
    by: Actor,
    remove_others: bool = False,
    on_error: OnError = "reject_batch",
) -> ImportReport:
    """Store documents `{"id", "title"?, "text", "section"?}`; a known id takes the new content.

    With `remove_others` the documents that are not among the items are found no more; what was
    found and said with them stays. Raises ActionRefused with one Detail a bad item, and then
    nothing is stored; with "skip_row" the good ones are. The project's index is rebuilt by a job
    when something changed.
    """
    contents, errors = _parse(items)
    if errors and on_error == "reject_batch":
        raise ActionRefused(
            _("%(n)d documents have mistakes, so nothing was stored.") % {"n": len(errors)}, errors
        )
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        report = _store(project, contents)
        if remove_others:
            report = replace(report, removed=_remove_others(project, contents))
        if report.created or report.updated or report.removed:
            counts = {
                "created": report.created,
                "updated": report.updated,
                "removed": report.removed,
            }
            record(project, by, "documents_imported", project, new=counts)
            dispatch.index_documents(project.pk)
    return report


def _store(project: Project, contents: list[_Content]) -> ImportReport:
    new: list[Document] = []
    changed: list[Document] = []
    for start in range(0, len(contents), BATCH):
        part = contents[start : start + BATCH]
        ids = [content.external_id for content in part]
        known = {
            document.external_id: document
            for document in Document.objects.filter(project=project, external_id__in=ids)
        }
        for content in part:
            document = known.get(content.external_id)
            if document is None:
                document = Document(project=project, external_id=content.external_id)
                new.append(document)
            elif document.content_hash == content.digest and document.removed_at is None:
                continue
            else:
                document.updated_at = timezone.now()
                changed.append(document)
            document.title, document.text = content.title, content.text
            document.section, document.content_hash = content.section, content.digest
            document.removed_at = None
    Document.objects.bulk_create(new, batch_size=BATCH)
    fields = ["title", "text", "section", "content_hash", "updated_at", "removed_at"]
    Document.objects.bulk_update(changed, fields, batch_size=100)
    return ImportReport(len(new), len(changed), len(contents) - len(new) - len(changed))


def _remove_others(project: Project, contents: list[_Content]) -> int:
    kept = {content.external_id for content in contents}
    present = project.documents.present().values_list("external_id", "pk")
    gone = [pk for external_id, pk in present if external_id not in kept]
    for start in range(0, len(gone), BATCH):
        part = Document.objects.filter(pk__in=gone[start : start + BATCH])
        part.update(removed_at=timezone.now())
    return len(gone)


def check_documents(items: Iterable[object]) -> tuple[int, list[Detail]]:
    """How many of the items are right, and what is wrong with the others; nothing is stored."""
    contents, errors = _parse(items)
    return len(contents), errors


def _parse(items: Iterable[object]) -> tuple[list[_Content], list[Detail]]:
    contents: list[_Content] = []
    errors: list[Detail] = []
    seen: set[str] = set()
    for index, item in enumerate(items):
        try:
            content = _parse_item(item)
            if content.external_id in seen:
                raise BadRow(_("This id stands there twice."), "id")
        except BadRow as bad:
            errors.append(bad.detail(index))
        else:
            seen.add(content.external_id)
            contents.append(content)
    return contents, errors


def _parse_item(item: object) -> _Content:
    if not isinstance(item, Mapping):
        raise BadRow(_("A document is an object with id and text."))
    unknown = item.keys() - FIELDS
    if unknown:
        name = min(str(field) for field in unknown)
        raise BadRow(_("There is no field of this name."), name[:100])
    return _Content(
        external_id=read_id(item.get("id"), "id"),
        title=_line(item.get("title"), "title", MAX_TITLE),
        text=read_text(item.get("text"), most=MAX_DOCUMENT),
        section=_line(item.get("section"), "section", MAX_SECTION),
    )


def _line(value: object, field: str, most: int) -> str:
    """A title or section; none is an empty one."""
    if value is None or value == "":
        return ""
    return read_text(value, field, most)
