"""The benchmark: drawn here, and how its parts stand."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.access import Right
from labeling.actions.benchmark_draw import draw_benchmark
from labeling.actions.benchmark_parts import part_reports
from labeling.api.base import NewestFirst, ProjectEndpoint, page_of, read
from labeling.api.schema import answers
from labeling.api.serializers.benchmark import DrawSerializer, NewDrawSerializer, PartSerializer
from labeling.api.views.pages import PAGE_PARAMETERS, paged


class DrawsView(ProjectEndpoint):
    required = {"GET": Right.REVIEW, "POST": Right.MANAGE}

    @extend_schema(
        operation_id="benchmark_draws_list",
        parameters=PAGE_PARAMETERS,
        responses=answers({200: paged(DrawSerializer)}, 404),
        tags=["benchmark"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """What was drawn from the stream, newest first."""
        draws = self.project.benchmark_draws.all()
        return page_of(self, draws, DrawSerializer, pages=NewestFirst)

    @extend_schema(
        operation_id="benchmark_draw",
        request=NewDrawSerializer,
        responses=answers({201: DrawSerializer}, 400, 404, 422),
        tags=["benchmark"],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Draw texts of the stream at random into a part. Two experts then label each, blind."""
        body = read(NewDrawSerializer, request)
        draw = draw_benchmark(project=self.project, by=self.member, **body)
        return Response(DrawSerializer(draw).data, status=status.HTTP_201_CREATED)


class PartsView(ProjectEndpoint):
    required = {"GET": Right.REVIEW}

    @extend_schema(
        operation_id="benchmark_parts",
        responses=answers({200: PartSerializer(many=True)}, 404),
        tags=["benchmark"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """How each part was sampled and stands, and why it can or cannot certify."""
        rows = [
            {
                "part": report.part,
                "items": report.items,
                "settled": report.settled,
                "open": report.open,
                "disputed": report.disputed,
                "by_sampling": report.by_sampling,
                "can_certify": not report.obstacles,
                "obstacles": report.obstacles,
                "agreement": report.agreement.value,
                "agreement_low": report.agreement.low,
                "agreement_high": report.agreement.high,
                "pairs": report.agreement.tasks,
            }
            for report in part_reports(self.project)
        ]
        return Response(PartSerializer(rows, many=True).data)
