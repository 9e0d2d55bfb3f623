"""What comes in: predictions, documents, benchmark answers."""

from __future__ import annotations

from dataclasses import asdict

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.access import Right
from labeling.actions.benchmark import import_benchmark
from labeling.actions.documents import import_documents
from labeling.actions.ingest import ingest_predictions
from labeling.api.base import ProjectEndpoint, page_of, read
from labeling.api.schema import answers
from labeling.api.serializers.ingest import (
    BenchmarkReportSerializer,
    BenchmarkSerializer,
    DocumentSerializer,
    DocumentsReportSerializer,
    DocumentsSerializer,
    PredictionsReportSerializer,
    PredictionsSerializer,
)
from labeling.api.views.pages import PAGE_PARAMETERS, paged


class PredictionsView(ProjectEndpoint):
    required = {"POST": Right.INGEST}
    checks_rows = True

    @extend_schema(
        operation_id="predictions_send",
        request=PredictionsSerializer,
        responses=answers({202: PredictionsReportSerializer}, 400, 404, 409, 413, 422),
        tags=["predictions"],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Send predictions of the upstream classifier. Sending the same batch twice changes
        nothing. Progress stands at the run."""
        body = read(PredictionsSerializer, request)
        report = ingest_predictions(project=self.project, by=self.member, **body)
        return Response(
            {
                "run": report.run.pk if report.run else None,
                "created": report.created,
                "updated": report.updated,
                "unchanged": report.unchanged,
                "errors": [asdict(detail) for detail in report.errors],
            },
            status=status.HTTP_202_ACCEPTED,
        )


class DocumentsView(ProjectEndpoint):
    required = {"GET": Right.SEE, "POST": Right.INGEST}
    machine_output = True
    checks_rows = True
    import_command = "import_documents"

    @extend_schema(
        operation_id="documents_list",
        parameters=PAGE_PARAMETERS,
        responses=answers({200: paged(DocumentSerializer)}, 404),
        tags=["documents"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """The project's documents."""
        return page_of(self, self.project.documents.present(), DocumentSerializer)

    @extend_schema(
        operation_id="documents_send",
        request=DocumentsSerializer,
        responses=answers({200: DocumentsReportSerializer}, 400, 404, 413, 422),
        tags=["documents"],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Store documents; a known id takes the new content. All of them or, with a mistake,
        none. The index is rebuilt by a worker."""
        body = read(DocumentsSerializer, request)
        return Response(asdict(import_documents(project=self.project, by=self.member, **body)))


class BenchmarkView(ProjectEndpoint):
    required = {"POST": Right.MANAGE}
    checks_rows = True
    import_command = "import_benchmark"

    @extend_schema(
        operation_id="benchmark_send",
        request=BenchmarkSerializer,
        responses=answers({200: BenchmarkReportSerializer}, 400, 404, 413, 422),
        tags=["benchmark"],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Store answers of experts in one part of the benchmark. Good rows are stored, bad ones
        listed. Sending the same rows twice changes nothing."""
        body = read(BenchmarkSerializer, request)
        return Response(asdict(import_benchmark(project=self.project, by=self.member, **body)))
