"""Labeled data out, as a stream."""

from __future__ import annotations

from typing import Any

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from labeling.access import Right
from labeling.api.base import ProjectEndpoint, StrictSerializer
from labeling.api.schema import answers
from labeling.formats.selection import SelectionForm
from labeling.formats.sending import sent
from labeling.formats.writers import FORMATS, download
from labeling.models import Project, Source, TaskStatus

FILES: dict[Any, Any] = {
    (200, "application/x-ndjson"): OpenApiTypes.STR,
    (200, "text/csv"): OpenApiTypes.STR,
    (200, "application/vnd.apache.parquet"): OpenApiTypes.BINARY,
    (200, "application/zip"): OpenApiTypes.BINARY,
    (200, "application/json"): OpenApiTypes.ANY,
    (200, "text/plain"): OpenApiTypes.STR,
}
"""What the formats look like in the schema."""


class ExportQuerySerializer(StrictSerializer):
    """How, and which tasks; `SelectionForm` reads the latter."""

    format = serializers.ChoiceField(list(FORMATS), default="jsonl")
    raw = serializers.BooleanField(
        default=False,
        help_text="CSV without apostrophes before what a spreadsheet would run as a formula.",
    )
    status = serializers.ChoiceField(TaskStatus.choices, required=False)
    source = serializers.ListField(  # type: ignore[assignment]  # a field of that name
        child=serializers.ChoiceField(Source.choices),
        required=False,
        help_text="How the label that stands came about; may be named several times.",
    )
    label = serializers.CharField(  # type: ignore[assignment]  # a field of that name
        required=False, help_text="Name or key of the label that stands."
    )
    run = serializers.IntegerField(required=False, help_text="Tasks that this run planned.")
    resolved_since = serializers.CharField(required=False, help_text="A day or time.")
    resolved_before = serializers.CharField(required=False, help_text="A day or time.")
    confidence_at_least = serializers.CharField(
        required=False, help_text="Of the exported column `confidence`, from 0 to 1."
    )
    certified = serializers.BooleanField(
        required=False, help_text="Only labels that stand by a certified policy."
    )
    split = serializers.CharField(
        required=False,
        help_text="Shares of train, validation and test, such as 80,10,10: adds a column `split`.",
    )
    seed = serializers.CharField(required=False, help_text="Of the split.")


def read_export(request: Request, project: Project) -> tuple[dict[str, Any], SelectionForm]:
    """The checked query and the form that selects by it, or 400 with every mistake."""
    given: dict[str, Any] = {name: value for name, value in request.query_params.items() if value}
    if "source" in given:
        given["source"] = request.query_params.getlist("source")
    query = ExportQuerySerializer(data=given)
    query.is_valid(raise_exception=True)
    return query.validated_data, checked_form(query.validated_data, project)


def checked_form(given: dict[str, Any], project: Project) -> SelectionForm:
    """The choices of an export, or 400 with every mistake."""
    form = SelectionForm(given, project=project)
    if not form.is_valid():
        problems = {name: list(map(str, said)) for name, said in form.errors.items()}
        raise serializers.ValidationError(problems)
    return form


class ExportView(ProjectEndpoint):
    required = {"GET": Right.EXPORT}

    @extend_schema(
        operation_id="export_get",
        parameters=[ExportQuerySerializer],
        responses=answers(FILES, 400, 404),
        tags=["export"],
    )
    def get(self, request: Request, slug: str) -> StreamingHttpResponse:
        """One row a task: its text, the label that stands, who or what decided it, by which
        policy, and everything that was said of it. Tasks that wait have no label yet."""
        wanted, form = read_export(request, self.project)
        return sent(
            download(
                self.project,
                form.selection(),
                wanted["format"],
                raw=wanted["raw"],
                split=form.split_of(),
            )
        )
