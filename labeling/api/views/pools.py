"""Frozen pools over REST: freeze what stands, read what its draws prove."""

from __future__ import annotations

from django.http import Http404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.access import Right
from labeling.actions.pool import freeze_pool
from labeling.api.base import NewestFirst, ProjectEndpoint, page_of, read
from labeling.api.schema import answers
from labeling.api.serializers.pools import NewPoolSerializer, PoolSerializer
from labeling.api.views.audit import policy_of
from labeling.api.views.pages import PAGE_PARAMETERS, paged


class PoolsView(ProjectEndpoint):
    required = {"GET": Right.REVIEW, "POST": Right.MANAGE}

    @extend_schema(
        operation_id="pools_list",
        parameters=PAGE_PARAMETERS,
        responses=answers({200: paged(PoolSerializer)}, 404),
        tags=["audit"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """Frozen pools with what is proved of them, newest first."""
        pools = self.project.pools.select_related("policy").defer("rows")
        return page_of(self, pools, PoolSerializer, pages=NewestFirst)

    @extend_schema(
        operation_id="pools_freeze",
        request=NewPoolSerializer,
        responses=answers({201: PoolSerializer}, 400, 404, 422),
        tags=["audit"],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Freeze what stands because machines accepted it, and draw what experts are to answer
        blind."""
        body = read(NewPoolSerializer, request)
        version = body.pop("policy", None)
        policy = policy_of(self.project, version) if version is not None else None
        pool = freeze_pool(project=self.project, policy=policy, by=self.member, **body)
        return Response(PoolSerializer(pool).data, status=status.HTTP_201_CREATED)


class PoolView(ProjectEndpoint):
    required = {"GET": Right.REVIEW}

    @extend_schema(
        operation_id="pools_get", responses=answers({200: PoolSerializer}, 404), tags=["audit"]
    )
    def get(self, request: Request, slug: str, pk: int) -> Response:
        """One pool. With a number of rows fixed beforehand there are no figures before all of
        them are answered."""
        pool = self.project.pools.filter(pk=pk).select_related("policy").defer("rows").first()
        if pool is None:
            raise Http404(_("The project has no such pool."))
        return Response(PoolSerializer(pool).data)
