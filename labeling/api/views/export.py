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
from labeling.formats.selection import Selection, SelectionForm
from labeling.formats.writers import FORMATS, download
from labeling.models import Project, Source, TaskStatus


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


def read_export(request: Request, project: Project) -> tuple[dict[str, Any], Selection]:
    """The checked query and what it selects, or 400 with every mistake."""
    given: dict[str, Any] = {name: value for name, value in request.query_params.items() if value}
    if "source" in given:
        given["source"] = request.query_params.getlist("source")
    query = ExportQuerySerializer(data=given)
    query.is_valid(raise_exception=True)
    form = SelectionForm(query.validated_data, project=project)
    if not form.is_valid():
        problems = {name: list(map(str, said)) for name, said in form.errors.items()}
        raise serializers.ValidationError(problems)
    return query.validated_data, form.selection()


class ExportView(ProjectEndpoint):
    required = {"GET": Right.EXPORT}

    @extend_schema(
        operation_id="export_get",
        parameters=[ExportQuerySerializer],
        responses=answers(
            {
                (200, "application/x-ndjson"): OpenApiTypes.STR,
                (200, "text/csv"): OpenApiTypes.STR,
                (200, "application/vnd.apache.parquet"): OpenApiTypes.BINARY,
                (200, "application/zip"): OpenApiTypes.BINARY,
                (200, "application/json"): OpenApiTypes.ANY,
                (200, "text/plain"): OpenApiTypes.STR,
            },
            400,
            404,
        ),
        tags=["export"],
    )
    def get(self, request: Request, slug: str) -> StreamingHttpResponse:
        """One row a task: its text, the label that stands, who or what decided it, by which
        policy, and everything that was said of it. Tasks that wait have no label yet."""
        wanted, selection = read_export(request, self.project)
        file = download(self.project, selection, wanted["format"], raw=wanted["raw"])
        return StreamingHttpResponse(
            file.blocks,
            content_type=file.content_type,
            headers={"Content-Disposition": f'attachment; filename="{file.name}"'},
        )
