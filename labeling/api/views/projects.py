"""Projects, their settings and their labels."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.access import SIGNED_IN, Right
from labeling.actions.errors import Conflict
from labeling.actions.projects import change_settings, create_project
from labeling.actions.taxonomy import current_taxonomy, parse_labels, set_labels
from labeling.api.base import CursorPages, Endpoint, ProjectEndpoint, page_of, read
from labeling.api.schema import IF_MATCH, answers
from labeling.api.serializers.projects import (
    LabelSerializer,
    LabelSetSerializer,
    NewProjectSerializer,
    ProjectSerializer,
    SetLabelsSerializer,
    SettingsSerializer,
)
from labeling.api.tags import if_match
from labeling.api.views.pages import PAGE_PARAMETERS, paged
from labeling.models import ApiToken, Member, Project, Role


class ProjectsView(Endpoint):
    required = {"GET": SIGNED_IN, "POST": SIGNED_IN}

    @extend_schema(
        operation_id="projects_list",
        parameters=PAGE_PARAMETERS,
        responses=answers({200: paged(ProjectSerializer)}, 404),
        tags=["projects"],
    )
    def get(self, request: Request) -> Response:
        """Your projects. A project token sees its own project only."""
        user = self.signed_in()
        projects: QuerySet[Project] = Project.objects.live().visible_to(user)
        bound = self._bound_to()
        if bound is not None:
            projects = projects.filter(pk=bound.project_id)
        roles = dict(Member.objects.present().filter(user=user).values_list("project_id", "role"))
        return page_of(
            self, projects, ProjectSerializer, pages=CursorPages, context={"roles": roles}
        )

    @extend_schema(
        operation_id="projects_create",
        request=NewProjectSerializer,
        responses=answers({201: ProjectSerializer}, 400, 409, 422),
        tags=["projects"],
    )
    def post(self, request: Request) -> Response:
        """Make a project; you become its admin."""
        if self._bound_to() is not None:
            raise PermissionDenied(_("A token of one project cannot make another."))
        body = read(NewProjectSerializer, request)
        specs = parse_labels(body.pop("labels"))
        project = create_project(
            slug=body.pop("slug"),
            name=body.pop("name"),
            labels=specs,
            by=self.signed_in(),
            settings=body,
        )
        return Response(shown(project, Role.ADMIN), status=status.HTTP_201_CREATED)

    def _bound_to(self) -> Member | None:
        """The member whose project token this request carries, if it carries one."""
        token = self.request.auth
        return token.member if isinstance(token, ApiToken) else None


def shown(project: Project, role: str) -> dict[str, Any]:
    return ProjectSerializer(project, context={"roles": {project.pk: role}}).data


class ProjectView(ProjectEndpoint):
    required = {"GET": Right.SEE, "PATCH": Right.MANAGE}

    @extend_schema(
        operation_id="projects_get",
        responses=answers({200: ProjectSerializer}, 404),
        tags=["projects"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """The project's settings."""
        return Response(shown(self.project, self.member.role))

    @extend_schema(
        operation_id="projects_change",
        parameters=[IF_MATCH],
        request=SettingsSerializer(partial=True),
        responses=answers({200: ProjectSerializer}, 400, 404, 412, 422),
        tags=["projects"],
    )
    def patch(self, request: Request, slug: str) -> Response:
        """Change the settings named in the body, all or none."""
        body = read(SettingsSerializer, request, partial=True)
        with if_match(request, self.project, lambda: shown(self.project, self.member.role)):
            project = change_settings(project=self.project, settings=body, by=self.member)
        return Response(shown(project, self.member.role))


class LabelsView(ProjectEndpoint):
    required = {"GET": Right.SEE, "PUT": Right.MANAGE}

    @extend_schema(
        operation_id="labels_get",
        responses=answers({200: LabelSetSerializer}, 404, 422),
        tags=["labels"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """The label set in force."""
        return Response(label_set(self.project))

    @extend_schema(
        operation_id="labels_set",
        parameters=[IF_MATCH],
        request=SetLabelsSerializer,
        responses=answers({200: LabelSetSerializer}, 400, 404, 409, 412, 422),
        tags=["labels"],
    )
    def put(self, request: Request, slug: str) -> Response:
        """Make the label set this one. Labels are matched by key, so names may change; a label
        that is missing here is retired."""
        body = read(SetLabelsSerializer, request)
        if "version" in body and body["version"] != current_taxonomy(self.project).number:
            raise Conflict(_("The labels have changed since that version."))
        specs = parse_labels(body["labels"])
        with if_match(request, self.project, lambda: label_set(self.project)):
            set_labels(project=self.project, specs=specs, by=self.member)
        return Response(label_set(self.project))


def label_set(project: Project) -> dict[str, Any]:
    """The labels in force, in the order in which plain lists of scores are read."""
    taxonomy = current_taxonomy(project)
    labels = project.labels.in_bulk(taxonomy.label_ids)
    return {
        "version": taxonomy.number,
        "labels": LabelSerializer([labels[pk] for pk in taxonomy.label_ids], many=True).data,
    }
