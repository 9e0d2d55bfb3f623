"""Rows of label sets and of texts, with what belongs to a text."""

from __future__ import annotations

from labeling.admin.base import look_at
from labeling.models import (
    BenchmarkAnswer,
    BenchmarkDraw,
    BenchmarkItem,
    BenchmarkLook,
    Document,
    Embedding,
    Erasure,
    GuidelinesRead,
    GuidelineVersion,
    HelpfulDocument,
    Label,
    LabelAlias,
    LabelMapping,
    MappedName,
    RefusedRow,
    Retrieved,
    Snapshot,
    SupersededText,
    Task,
    TaxonomyVersion,
    Upload,
)

TASK = "task__project"

look_at(Label, "project", "key", "name", "retired_at", related=["project"], search=["key", "name"])
look_at(LabelAlias, "project", "name", "label", related=["project", "label"], search=["name"])
look_at(TaxonomyVersion, "project", "number", "created_by", related=["project", "created_by"])
look_at(
    Task,
    "project",
    "external_id",
    "status",
    "question",
    "priority",
    "created_at",
    related=["project"],
    filters=["status", "question"],
    search=["=external_id"],
)
look_at(SupersededText, "task", "revision", "replaced_at", project=TASK, related=["task"])
look_at(Embedding, "text_hash", "encoder", project="")
look_at(Document, "project", "external_id", "title", "updated_at", related=["project"])
look_at(HelpfulDocument, "task", "member", "document", project=TASK, related=["task", "document"])
look_at(Retrieved, "task", "rank", "document", "score", project=TASK, related=["task", "document"])
look_at(
    GuidelineVersion,
    "project",
    "label",
    "number",
    "created_by",
    "created_at",
    related=["project", "label", "created_by"],
)
look_at(GuidelinesRead, "member", "newest", "read_at", project="member__project")
look_at(
    BenchmarkDraw,
    "project",
    "part",
    "sampling",
    "drawn",
    "population",
    "created_at",
    related=["project"],
    filters=["part"],
)
look_at(
    BenchmarkItem,
    "project",
    "task",
    "part",
    "sampling",
    "reference",
    "reference_label",
    related=["project", "task", "reference_label"],
    filters=["part", "sampling", "reference"],
)
look_at(
    BenchmarkAnswer,
    "item",
    "expert",
    "question",
    "answer",
    "label",
    "current",
    project="item__project",
    related=["item__task", "label"],
    filters=["current"],
)
look_at(
    BenchmarkLook,
    "project",
    "part",
    "member",
    "created_at",
    related=["project", "member"],
)
look_at(
    Upload,
    "project",
    "member",
    "kind",
    "name",
    "status",
    "rows_read",
    "refused",
    "created_at",
    related=["project", "member"],
    filters=["kind", "status"],
)
look_at(RefusedRow, "upload", "row", "message", project="upload__project", related=["upload"])
look_at(
    LabelMapping,
    "project",
    "name",
    "changed_at",
    "changed_by",
    related=["project", "changed_by"],
    search=["name"],
)
look_at(
    MappedName,
    "mapping",
    "name",
    "label",
    project="mapping__project",
    related=["mapping", "label"],
    search=["name"],
)
look_at(
    Snapshot,
    "project",
    "number",
    "status",
    "rows",
    "taken_at",
    related=["project"],
    filters=["status"],
)
look_at(Erasure, "project", "task", "reason", "actor", "created_at", related=["project", "task"])
