"""Files of any size: sent as they are, imported by a job that can be looked at and cancelled."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.http import Http404, StreamingHttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.access import Right
from labeling.actions.imports import Options, cancel_import, may_start, start_import
from labeling.actions.uploads import drop_unstarted, keep_upload
from labeling.api.base import NewestFirst, ProjectEndpoint, page_of
from labeling.api.encoding import Readable, TooMuch, Whole, plain_blocks
from labeling.api.once import HEADER, answer_once
from labeling.api.parsers import TooLarge
from labeling.api.schema import answers
from labeling.api.serializers.imports import (
    EXAMPLE,
    ErrorsQuerySerializer,
    ImportQuerySerializer,
    ImportSerializer,
)
from labeling.api.views.pages import PAGE_PARAMETERS, paged
from labeling.formats.csv_export import write_csv
from labeling.formats.jsonl import write_jsonl
from labeling.formats.predictions import SUFFIXES
from labeling.models import Project, Upload

ENDINGS = {
    "application/x-ndjson": ".ndjson",
    "application/jsonl": ".jsonl",
    "text/csv": ".csv",
    "application/vnd.apache.parquet": ".parquet",
}
TAKEN = {kind: ending for kind, ending in ENDINGS.items() if ending in SUFFIXES}
ERROR_COLUMNS = ("row", "field", "message")
LINES = 2000  # to a block of an answer

example = OpenApiExample("At work", EXAMPLE, response_only=True)


class Digest(Protocol):
    def update(self, block: bytes, /) -> None: ...


def import_of(project: Project, pk: int) -> Upload:
    found: Upload | None = imports_of(project).filter(pk=pk).first()
    if found is None:
        raise Http404(_("The project has no import of this number."))
    return found


def imports_of(project: Project) -> Any:
    """Imports that somebody has asked for; what is only looked at on a page is nobody else's."""
    asked = project.uploads.filter(kind=Upload.Kind.PREDICTIONS)
    return asked.exclude(status=Upload.Status.KEPT).select_related("member")


class ImportsView(ProjectEndpoint):
    required = {"GET": Right.INGEST, "POST": Right.INGEST}
    answers_once = False

    @extend_schema(
        operation_id="imports_list",
        parameters=PAGE_PARAMETERS,
        responses=answers({200: paged(ImportSerializer)}, 404),
        tags=["predictions"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """Imports, newest first; those that ended are kept for a month."""
        return page_of(self, imports_of(self.project), ImportSerializer, pages=NewestFirst)

    @extend_schema(
        operation_id="imports_start",
        parameters=[ImportQuerySerializer],
        request=dict.fromkeys(TAKEN, OpenApiTypes.BINARY),
        responses=answers({202: ImportSerializer}, 400, 404, 409, 413, 415, 422),
        examples=[example],
        tags=["predictions"],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Send a file of predictions, of any size: JSON lines with the items of “predictions”, or a
        table. It is kept aside and imported by a worker, part by part; a worker that dies is
        followed by another one, which goes on where it was. Sending a file twice changes nothing.
        Progress stands at the import."""
        given: dict[str, Any] = dict(request.query_params.items())
        if "labels" in given:
            given["labels"] = request.query_params.getlist("labels")
        query = ImportQuerySerializer(data=given)
        query.is_valid(raise_exception=True)
        wanted = dict(query.validated_data)
        name = _name(request, wanted.pop("name", ""))
        mapping = wanted.pop("mapping", "")

        def options() -> Options:
            return Options(**wanted).with_mapping(self.project, mapping)

        if HEADER not in request.headers:  # who sends it again gets the answer he had
            may_start(self.project, options())
        digest = hashlib.sha256()
        try:
            upload = keep_upload(
                member=self.member,
                kind=Upload.Kind.PREDICTIONS,
                name=name,
                blocks=self._blocks(request, digest),
                suffixes=SUFFIXES,
            )
        except TooMuch:
            raise TooLarge(
                _("The file has more than %(n)d MB; send it in parts.")
                % {"n": settings.UPLOAD_MAX_BYTES // 1024**2}
            ) from None
        try:
            return answer_once(
                request,
                project=self.project,
                digest=digest.digest(),
                handler=lambda: self._started(upload, options()),
                explain=self.handle_exception,
            )
        finally:
            drop_unstarted(upload)

    def _started(self, upload: Upload, options: Options) -> Response:
        started = start_import(upload=upload, options=options, by=self.member)
        return Response(ImportSerializer(started).data, status=status.HTTP_202_ACCEPTED)

    @staticmethod
    def _blocks(request: Request, digest: Digest) -> Iterator[bytes]:
        encoding = request.headers.get("Content-Encoding", "")
        for block in plain_blocks(_stream(request), encoding, settings.UPLOAD_MAX_BYTES):
            digest.update(block)
            yield block


def _name(request: Request, given: str) -> str:
    """What the file is called: the type says what is in it, whatever name was given."""
    kind = (request.content_type or "").split(";")[0].strip().lower()
    if kind not in TAKEN:
        raise UnsupportedMediaType(
            kind,
            detail=_("A file is sent with one of these content types: %(types)s.")
            % {"types": ", ".join(TAKEN)},
        )
    stem = Path(given.replace("\\", "/")).name or "predictions"
    return stem if stem.lower().endswith(SUFFIXES) else f"{stem}{TAKEN[kind]}"


def _stream(request: Request) -> Readable:
    """The body as it comes in, of a known length or in chunks whose end the server knows."""
    meta = request.META
    if "chunked" in meta.get("HTTP_TRANSFER_ENCODING", "").lower():
        stream: Readable = meta["wsgi.input"] if meta.get("wsgi.input_terminated") else io.BytesIO()
        return stream
    length = str(meta.get("CONTENT_LENGTH") or "0")
    return Whole(request._request, int(length) if length.isdecimal() else 0)


class ImportView(ProjectEndpoint):
    required = {"GET": Right.INGEST}

    @extend_schema(
        operation_id="imports_get",
        responses=answers({200: ImportSerializer}, 404),
        examples=[example],
        tags=["predictions"],
    )
    def get(self, request: Request, slug: str, pk: int) -> Response:
        """How far an import is, and how it ended."""
        return Response(ImportSerializer(import_of(self.project, pk)).data)


class ImportErrorsView(ProjectEndpoint):
    required = {"GET": Right.INGEST}

    @extend_schema(
        operation_id="imports_errors",
        parameters=[ErrorsQuerySerializer],
        responses=answers(
            {
                (200, "application/x-ndjson"): OpenApiTypes.STR,
                (200, "text/csv"): OpenApiTypes.STR,
            },
            400,
            404,
        ),
        tags=["predictions"],
    )
    def get(self, request: Request, slug: str, pk: int) -> StreamingHttpResponse:
        """Every row that was not taken, as a file: its number from 0, the field, and what is wrong
        with it in a sentence."""
        query = ErrorsQuerySerializer(data=dict(request.query_params.items()))
        query.is_valid(raise_exception=True)
        upload = import_of(self.project, pk)
        kind = query.validated_data["format"]
        rows = upload.refused_rows.order_by("row").values(*ERROR_COLUMNS).iterator(LINES)
        blocks = write_csv(rows, ERROR_COLUMNS) if kind == "csv" else write_jsonl(rows)
        return StreamingHttpResponse(
            blocks,
            content_type="text/csv" if kind == "csv" else "application/x-ndjson",
            headers={
                "Content-Disposition": f'attachment; filename="import-{upload.pk}-errors.{kind}"'
            },
        )


class CancelImportView(ProjectEndpoint):
    required = {"POST": Right.INGEST}

    @extend_schema(
        operation_id="imports_cancel",
        request=None,
        responses=answers({200: ImportSerializer}, 404, 409),
        tags=["predictions"],
    )
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """End an import where it is. What it has stored stays, and sending the file again goes on
        from there. Harmless to repeat."""
        upload = import_of(self.project, pk)
        cancel_import(upload=upload, by=self.member)
        return Response(ImportSerializer(upload).data)
