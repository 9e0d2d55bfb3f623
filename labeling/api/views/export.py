"""Labeled data out, as a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from labeling.access import Right
from labeling.api.base import ProjectEndpoint, StrictSerializer, read_query
from labeling.api.schema import answers
from labeling.formats.export import export_rows
from labeling.formats.writers import FORMATS, write_rows
from labeling.models import TaskStatus

BLOCK_BYTES = 64 * 1024


class ExportQuerySerializer(StrictSerializer):
    format = serializers.ChoiceField(list(FORMATS), default="jsonl")
    status = serializers.ChoiceField(TaskStatus.choices, required=False)
    raw = serializers.BooleanField(
        default=False,
        help_text="CSV without apostrophes before what a spreadsheet would run as a formula.",
    )


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
                (200, "application/json"): OpenApiTypes.ANY,
            },
            400,
            404,
        ),
        tags=["export"],
    )
    def get(self, request: Request, slug: str) -> StreamingHttpResponse:
        """One row a task: its text, the label that stands, who or what decided it, by which
        policy, and everything that was said of it. Tasks that wait have no label yet."""
        wanted = read_query(ExportQuerySerializer, request)
        kind = wanted["format"]
        rows = export_rows(self.project, status=wanted.get("status"))
        lines = write_rows(self.project, rows, kind, raw=wanted["raw"])
        content_type, ending = FORMATS[kind]
        name = f"{self.project.slug}.{ending}"
        return StreamingHttpResponse(
            blocks(lines),
            content_type=content_type,
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )


def blocks(lines: Iterable[bytes], size: int = BLOCK_BYTES) -> Iterator[bytes]:
    """The lines in pieces of about `size` bytes: a write for every row would cost more than it."""
    held: list[bytes] = []
    length = 0
    for line in lines:
        held.append(line)
        length += len(line)
        if length >= size:
            yield b"".join(held)
            held, length = [], 0
    if held:
        yield b"".join(held)
