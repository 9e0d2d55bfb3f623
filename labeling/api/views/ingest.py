"""What comes in: predictions, documents, benchmark answers."""

from __future__ import annotations

from dataclasses import asdict

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.access import Right
from labeling.actions.ingest import ingest_predictions
from labeling.api.base import ProjectEndpoint, read
from labeling.api.schema import answers
from labeling.api.serializers.ingest import PredictionsReportSerializer, PredictionsSerializer


class PredictionsView(ProjectEndpoint):
    required = {"POST": Right.INGEST}

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
