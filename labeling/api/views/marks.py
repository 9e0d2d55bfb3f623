"""Flags and skips over REST."""

from __future__ import annotations

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.access import Right, has_right
from labeling.actions.marks import close_flag, flag, flags_for, read_notes, skip_waiting
from labeling.api.base import NewestFirst, ProjectEndpoint, page_of, read
from labeling.api.schema import answers
from labeling.api.serializers.marks import (
    FlagSerializer,
    NewFlagSerializer,
    NewSkipSerializer,
    SkipSerializer,
)
from labeling.api.views.pages import PAGE_PARAMETERS, paged
from labeling.models import Flag, Project, Skip, Task


def task_named(project: Project, external_id: str) -> Task:
    tasks = Task.objects.filter(project=project, external_id=external_id)
    found = tasks.select_related("project").first()
    if found is None:
        raise Http404(_("The project has no task of this external_id."))
    return found


class SkipsView(ProjectEndpoint):
    required = {"GET": Right.SEE, "POST": Right.ANNOTATE}

    @extend_schema(
        operation_id="skips_list",
        parameters=PAGE_PARAMETERS,
        responses=answers({200: paged(SkipSerializer)}, 404),
        tags=["annotations"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """Skips that stand, newest first: the project's for experts and admins, else one's own."""
        skips = Skip.objects.current().filter(task__project=self.project)
        if not has_right(self.member, Right.REVIEW):
            skips = skips.filter(member=self.member)
        return page_of(
            self, skips.select_related("task", "member"), SkipSerializer, pages=NewestFirst
        )

    @extend_schema(
        operation_id="skips_send",
        request=NewSkipSerializer,
        responses=answers({201: SkipSerializer}, 400, 404, 409),
        tags=["annotations"],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Pass on a task that waits for you; 409 where it does not."""
        body = read(NewSkipSerializer, request)
        task = task_named(self.project, body["external_id"])
        skipped = skip_waiting(member=self.member, task=task, reason=body["reason"])
        return Response(SkipSerializer(skipped).data, status=status.HTTP_201_CREATED)


class FlagsView(ProjectEndpoint):
    required = {"GET": Right.SEE, "POST": Right.ANNOTATE}

    @extend_schema(
        operation_id="flags_list",
        parameters=PAGE_PARAMETERS,
        responses=answers({200: paged(FlagSerializer)}, 404),
        tags=["annotations"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """Open flags, oldest first: the project's for experts and admins, else one's own. To read
        a note is to have seen what machines said of its text."""
        answer = page_of(self, flags_for(self.member), FlagSerializer)
        shown = [row["id"] for row in answer.data["results"] if row["note"]]
        read_notes(
            member=self.member, flags=list(Flag.objects.filter(pk__in=shown).select_related("task"))
        )
        return answer

    @extend_schema(
        operation_id="flags_send",
        request=NewFlagSerializer,
        responses=answers({201: FlagSerializer}, 400, 404, 409),
        tags=["annotations"],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Flag a task that waits for you, or that you have answered, for the experts. Flagging it
        again changes the note."""
        body = read(NewFlagSerializer, request)
        task = task_named(self.project, body["external_id"])
        made = flag(member=self.member, task=task, note=body["note"], unleased=True)
        return Response(FlagSerializer(made).data, status=status.HTTP_201_CREATED)


class CloseFlagView(ProjectEndpoint):
    required = {"POST": Right.ANNOTATE}

    @extend_schema(
        operation_id="flags_close",
        request=None,
        responses=answers({200: FlagSerializer}, 404, 422),
        tags=["annotations"],
    )
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Take one's own flag back, or, for experts and admins, close any. Harmless to repeat."""
        flags = Flag.objects.filter(task__project=self.project)
        if not has_right(self.member, Right.REVIEW):
            flags = flags.filter(member=self.member)
        found = get_object_or_404(flags.select_related("task__project", "member"), pk=pk)
        close_flag(flag=found, by=self.member)
        found.refresh_from_db()
        found.withheld = found.member_id != self.member.pk  # type: ignore[attr-defined]
        return Response(FlagSerializer(found).data)
