"""Saved label mappings over REST: read by members, written by admins."""

from __future__ import annotations

from django.http import Http404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.access import Right
from labeling.actions.mappings import make_mapping, remove_mapping, replace_mapping
from labeling.api.base import ProjectEndpoint, page_of, read
from labeling.api.schema import IF_MATCH, answers
from labeling.api.serializers.mappings import (
    MappedNamesSerializer,
    MappingSerializer,
    NewMappingSerializer,
)
from labeling.api.tags import if_match
from labeling.api.views.pages import PAGE_PARAMETERS, paged
from labeling.models import LabelMapping, Project


def mapping_of(project: Project, name: str) -> LabelMapping:
    found = project.mappings.select_related("project", "changed_by").filter(name=name).first()
    if found is None:
        raise Http404(_("The project has no label mapping of this name."))
    return found


class MappingsView(ProjectEndpoint):
    required = {"GET": Right.SEE, "POST": Right.MANAGE}

    @extend_schema(
        operation_id="mappings_list",
        parameters=PAGE_PARAMETERS,
        responses=answers({200: paged(MappingSerializer)}, 404),
        tags=["labels"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """The label mappings of the project: what outside systems call its labels."""
        mappings = self.project.mappings.select_related("project", "changed_by")
        return page_of(self, mappings, MappingSerializer)

    @extend_schema(
        operation_id="mappings_make",
        request=NewMappingSerializer,
        responses=answers({201: MappingSerializer}, 400, 404, 409, 422),
        tags=["labels"],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Save a mapping, to be named by `mapping` where predictions come in."""
        body = read(NewMappingSerializer, request)
        made = make_mapping(
            project=self.project, name=body["name"], pairs=body["labels"].items(), by=self.member
        )
        return Response(MappingSerializer(made).data, status=status.HTTP_201_CREATED)


class MappingView(ProjectEndpoint):
    required = {"GET": Right.SEE, "PUT": Right.MANAGE, "DELETE": Right.MANAGE}

    @extend_schema(
        operation_id="mappings_get",
        responses=answers({200: MappingSerializer}, 404),
        tags=["labels"],
    )
    def get(self, request: Request, slug: str, name: str) -> Response:
        """One mapping."""
        return Response(MappingSerializer(mapping_of(self.project, name)).data)

    @extend_schema(
        operation_id="mappings_replace",
        parameters=[IF_MATCH],
        request=MappedNamesSerializer,
        responses=answers({200: MappingSerializer}, 400, 404, 412, 422),
        tags=["labels"],
    )
    def put(self, request: Request, slug: str, name: str) -> Response:
        """Let the mapping hold these names and no others."""
        body = read(MappedNamesSerializer, request)
        mapping = mapping_of(self.project, name)
        with if_match(request, self.project, lambda: MappingSerializer(mapping).data):
            changed = replace_mapping(mapping=mapping, pairs=body["labels"].items(), by=self.member)
        return Response(MappingSerializer(changed).data)

    @extend_schema(
        operation_id="mappings_remove",
        responses=answers({200: MappingSerializer}, 404),
        tags=["labels"],
    )
    def delete(self, request: Request, slug: str, name: str) -> Response:
        """Take a mapping away; what came in by it stays. The answer is what it was."""
        mapping = mapping_of(self.project, name)
        was = MappingSerializer(mapping).data
        remove_mapping(mapping=mapping, by=self.member)
        return Response(was)
