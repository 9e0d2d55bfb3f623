"""The same for many tasks over REST, and who they are assigned to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.access import Right
from labeling.actions.assign import assign, release_all
from labeling.actions.many import (
    Done,
    keep_for_experts,
    open_to_everybody,
    reopen,
    send_to_expert,
)
from labeling.actions.picked import send_to_audit
from labeling.api.base import NewestFirst, ProjectEndpoint, page_of, read
from labeling.api.schema import answers
from labeling.api.serializers.marks import (
    AssignedSerializer,
    AssignmentSerializer,
    DoneSerializer,
    ExpertOnlySerializer,
    NewAssignmentSerializer,
    ReviewSerializer,
)
from labeling.api.views.pages import PAGE_PARAMETERS, paged
from labeling.models import Assignment, Member, Project, Task

DOES: Mapping[str, Callable[..., Done]] = {
    "reopen": reopen,
    "expert": send_to_expert,
    "audit": send_to_audit,
}
NAMED = 20
"""Unknown tasks that a refusal names."""


def tasks_named(project: Project, external_ids: Sequence[str]) -> list[int]:
    """Ids of the tasks; 400 names those that the project lacks, and nothing is done."""
    known = dict(
        Task.objects.filter(project=project, external_id__in=external_ids).values_list(
            "external_id", "pk"
        )
    )
    unknown = [one for one in external_ids if one not in known]
    if unknown:
        words = _("The project has no task “%(id)s”.")
        raise serializers.ValidationError(
            {"external_ids": [words % {"id": one} for one in unknown[:NAMED]]}
        )
    return [known[one] for one in dict.fromkeys(external_ids)]


class ReviewView(ProjectEndpoint):
    required = {"POST": Right.REVIEW}

    @extend_schema(
        operation_id="tasks_review",
        request=ReviewSerializer,
        responses=answers({200: DoneSerializer}, 400, 404, 422),
        tags=["tasks"],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Ask people anew, send to an expert, or send to audit. Texts of the benchmark, and what
        you are to label blind, are left."""
        body = read(ReviewSerializer, request)
        tasks = tasks_named(self.project, body["external_ids"])
        done = DOES[body["do"]](tasks=tasks, by=self.member)
        return Response(DoneSerializer(done).data)


class ExpertOnlyView(ProjectEndpoint):
    required = {"POST": Right.MANAGE}

    @extend_schema(
        operation_id="tasks_expert_only",
        request=ExpertOnlySerializer,
        responses=answers({200: DoneSerializer}, 400, 404, 422),
        tags=["tasks"],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Keep tasks for experts and admins, or open them to everybody again."""
        body = read(ExpertOnlySerializer, request)
        tasks = tasks_named(self.project, body["external_ids"])
        act = keep_for_experts if body["expert_only"] else open_to_everybody
        return Response(DoneSerializer(act(tasks=tasks, by=self.member)).data)


class AssignmentsView(ProjectEndpoint):
    required = {"GET": Right.REVIEW, "POST": Right.MANAGE}

    @extend_schema(
        operation_id="assignments_list",
        parameters=PAGE_PARAMETERS,
        responses=answers({200: paged(AssignmentSerializer)}, 404),
        tags=["tasks"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """Assignments, newest first."""
        found = self.project.assignments.select_related("member", "given_by")
        return page_of(self, found, AssignmentSerializer, pages=NewestFirst)

    @extend_schema(
        operation_id="assignments_make",
        request=NewAssignmentSerializer,
        responses=answers({201: AssignedSerializer}, 400, 404, 422),
        tags=["tasks"],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Give tasks to a member, or to everybody of a role, for some days."""
        body = read(NewAssignmentSerializer, request)
        to = self._to(body)
        tasks = tasks_named(self.project, body["external_ids"])
        made, done = assign(tasks=tasks, by=self.member, to=to, days=body["days"])
        report = {"changed": done.changed, "left": done.left, "assignment": made}
        return Response(AssignedSerializer(report).data, status=status.HTTP_201_CREATED)

    def _to(self, body: dict[str, Any]) -> Member | str:
        if ("member" in body) == ("role" in body):
            raise serializers.ValidationError({"member": _("Name a member or a role.")})
        if "role" in body:
            return str(body["role"])
        present = self.project.members.present()
        found = present.filter(user__username=body["member"]).first()
        if found is None:
            raise serializers.ValidationError(
                {"member": _("Nobody of this name is in the project.")}
            )
        return found


class ReleaseView(ProjectEndpoint):
    required = {"POST": Right.MANAGE}

    @extend_schema(
        operation_id="assignments_release",
        request=None,
        responses=answers({200: DoneSerializer}, 404, 422),
        tags=["tasks"],
    )
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """What is left of an assignment is for everybody again."""
        found = get_object_or_404(Assignment, pk=pk, project=self.project)
        changed = release_all(assignment=found, by=self.member)
        return Response(DoneSerializer(Done(changed, found.count - changed)).data)
