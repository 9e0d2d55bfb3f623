"""Erasing texts over REST: by admins, with the id typed twice."""

from __future__ import annotations

from django.http import Http404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.access import Right
from labeling.actions.erase import erase_task
from labeling.api.base import NewestFirst, ProjectEndpoint, page_of, read
from labeling.api.schema import answers
from labeling.api.serializers.erasures import (
    ErasedSerializer,
    ErasureSerializer,
    NewErasureSerializer,
)
from labeling.api.views.pages import PAGE_PARAMETERS, paged


class ErasuresView(ProjectEndpoint):
    required = {"GET": Right.MANAGE, "POST": Right.MANAGE}

    @extend_schema(
        operation_id="erasures_list",
        parameters=PAGE_PARAMETERS,
        responses=answers({200: paged(ErasureSerializer)}, 404),
        tags=["tasks"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """Which texts were erased, newest first, and why."""
        rows = self.project.erasures.select_related("task")
        return page_of(self, rows, ErasureSerializer, pages=NewestFirst)

    @extend_schema(
        operation_id="erasures_make",
        request=NewErasureSerializer,
        responses=answers({201: ErasedSerializer}, 400, 404, 422),
        tags=["tasks"],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Erase the text of a task for good. Snapshots are rewritten by a worker: until then
        `finished_at` is null. Asking again changes nothing more."""
        body = read(NewErasureSerializer, request)
        task = self.project.tasks.filter(external_id=body.pop("external_id")).first()
        if task is None:
            raise Http404(_("The project has no such task."))
        done = erase_task(task=task, by=self.member, **body)
        return Response(ErasedSerializer(done).data, status=status.HTTP_201_CREATED)
