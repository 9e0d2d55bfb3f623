"""Runs: which, how far, and the end of the stream."""

from __future__ import annotations

from django.http import Http404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.access import Right
from labeling.actions import runs
from labeling.actions.rerun import continue_run
from labeling.actions.run_control import cancel_run, pause_run, resume_run
from labeling.api.base import NewestFirst, ProjectEndpoint, page_of
from labeling.api.schema import answers
from labeling.api.serializers.runs import RunDetailSerializer, RunSerializer
from labeling.api.views.pages import PAGE_PARAMETERS, paged
from labeling.models import Project, Run


def run_of(project: Project, pk: int) -> Run:
    run = project.runs.select_related("configuration", "taxonomy", "project").filter(pk=pk).first()
    if run is None:
        raise Http404(_("The project has no run of this number."))
    return run


class RunsView(ProjectEndpoint):
    required = {"GET": Right.SEE}
    machine_output = True

    @extend_schema(
        operation_id="runs_list",
        parameters=PAGE_PARAMETERS,
        responses=answers({200: paged(RunSerializer)}, 404),
        tags=["runs"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """Runs, newest first."""
        rows = self.project.runs.select_related("configuration", "taxonomy")
        return page_of(self, rows, RunSerializer, pages=NewestFirst)


class RunView(ProjectEndpoint):
    required = {"GET": Right.SEE}
    machine_output = True

    @extend_schema(
        operation_id="runs_get",
        responses=answers({200: RunDetailSerializer}, 404),
        tags=["runs"],
    )
    def get(self, request: Request, slug: str, pk: int) -> Response:
        """A run and its progress: tasks by stage, verdicts, decisions, failures, seconds."""
        return Response(RunDetailSerializer(run_of(self.project, pk)).data)


class CloseRunView(ProjectEndpoint):
    required = {"POST": Right.INGEST}

    @extend_schema(
        operation_id="runs_close",
        request=None,
        responses=answers({200: RunDetailSerializer}, 404),
        tags=["runs"],
    )
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """No more tasks come into this run: it completes when those in it are done. Otherwise a
        run closes by itself at 10,000 tasks or after an hour."""
        run = run_of(self.project, pk)
        runs.close_run(run)
        run.refresh_from_db()
        return Response(RunDetailSerializer(run).data)


class ContinueRunView(ProjectEndpoint):
    required = {"POST": Right.MANAGE}

    @extend_schema(
        operation_id="runs_continue",
        request=None,
        responses=answers({201: RunDetailSerializer}, 404, 422),
        tags=["runs"],
    )
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Ask the validators about what the budget of this run left out, in a new run with a
        budget of its own, which is the answer."""
        following = continue_run(run=run_of(self.project, pk), by=self.member)
        return Response(RunDetailSerializer(following).data, status=status.HTTP_201_CREATED)


class PauseRunView(ProjectEndpoint):
    required = {"POST": Right.MANAGE}

    @extend_schema(
        operation_id="runs_pause",
        request=None,
        responses=answers({200: RunDetailSerializer}, 404, 409),
        tags=["runs"],
    )
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Let no worker begin with another task of this run; what workers hold they finish. It
        takes no new tasks: what arrives meanwhile goes into another run. Harmless to repeat."""
        run = run_of(self.project, pk)
        pause_run(run=run, by=self.member)
        return Response(RunDetailSerializer(run_of(self.project, pk)).data)


class ResumeRunView(ProjectEndpoint):
    required = {"POST": Right.MANAGE}

    @extend_schema(
        operation_id="runs_resume",
        request=None,
        responses=answers({200: RunDetailSerializer}, 404, 409),
        tags=["runs"],
    )
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Let workers go on with a paused run. Harmless where it is not paused."""
        run = run_of(self.project, pk)
        resume_run(run=run, by=self.member)
        return Response(RunDetailSerializer(run_of(self.project, pk)).data)


class CancelRunView(ProjectEndpoint):
    required = {"POST": Right.MANAGE}

    @extend_schema(
        operation_id="runs_cancel",
        request=None,
        responses=answers({200: RunDetailSerializer}, 404, 409),
        tags=["runs"],
    )
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """End this run now: what it has not decided goes to people, with that reason. It cannot
        be taken back. Harmless to repeat."""
        run = run_of(self.project, pk)
        cancel_run(run=run, by=self.member)
        return Response(RunDetailSerializer(run_of(self.project, pk)).data)
