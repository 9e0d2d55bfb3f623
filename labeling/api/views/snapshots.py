"""Snapshots of an export over REST: keep one, fetch it in any format."""

from __future__ import annotations

from django.http import Http404, StreamingHttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    extend_schema,
    extend_schema_serializer,
)
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.access import Right
from labeling.actions.snapshots import ask_snapshot, kept_snapshot
from labeling.api.base import (
    NewestFirst,
    ProjectEndpoint,
    StrictSerializer,
    page_of,
    read,
    read_query,
)
from labeling.api.schema import answers
from labeling.api.serializers.snapshots import SnapshotChangesSerializer, SnapshotSerializer
from labeling.api.views.export import FILES, ExportQuerySerializer, checked_form
from labeling.api.views.pages import PAGE_PARAMETERS, paged
from labeling.formats.sending import sent
from labeling.formats.snapshot import snapshot_download
from labeling.formats.snapshot_diff import changes_download
from labeling.formats.writers import FORMATS
from labeling.models import Project, Snapshot


def snapshot_of(project: Project, number: int) -> Snapshot:
    found = project.snapshots.select_related("policy", "project").filter(number=number).first()
    if found is None:
        raise Http404(_("The project has no snapshot of this number."))
    return found


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Resolved tasks, split for a training",
            value={
                "note": "for the classifier of December",
                "status": "resolved",
                "split": "80,10,10",
                "seed": "december",
            },
            request_only=True,
        )
    ]
)
class NewSnapshotSerializer(ExportQuerySerializer):
    """The choices of an export, kept instead of sent. The format is chosen at the download."""

    format = None  # type: ignore[assignment]  # how a serializer leaves a field out
    raw = None  # type: ignore[assignment]
    note = serializers.CharField(
        required=False, allow_blank=True, max_length=200, default="", help_text="What it is for."
    )


class SnapshotsView(ProjectEndpoint):
    required = {"GET": Right.EXPORT, "POST": Right.MANAGE}

    @extend_schema(
        operation_id="snapshots_list",
        parameters=PAGE_PARAMETERS,
        responses=answers({200: paged(SnapshotSerializer)}, 404),
        tags=["export"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """Snapshots, newest first."""
        rows = self.project.snapshots.select_related("policy")
        return page_of(self, rows, SnapshotSerializer, pages=NewestFirst)

    @extend_schema(
        operation_id="snapshots_make",
        request=NewSnapshotSerializer,
        responses=answers({202: SnapshotSerializer}, 400, 404),
        tags=["export"],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Have the rows that an export with these choices would have kept as they are now. 202: a
        worker writes them; ask for the snapshot until its status is “done”."""
        body = read(NewSnapshotSerializer, request)
        note = body.pop("note")
        snapshot = ask_snapshot(form=checked_form(body, self.project), note=note, by=self.member)
        return Response(SnapshotSerializer(snapshot).data, status=status.HTTP_202_ACCEPTED)


class SnapshotView(ProjectEndpoint):
    required = {"GET": Right.EXPORT}

    @extend_schema(
        operation_id="snapshots_get",
        responses=answers({200: SnapshotSerializer}, 404),
        tags=["export"],
    )
    def get(self, request: Request, slug: str, number: int) -> Response:
        """What a snapshot holds, and under which labels, policy and certificate it was made."""
        return Response(SnapshotSerializer(snapshot_of(self.project, number)).data)


class DownloadQuery(StrictSerializer):
    format = serializers.ChoiceField(list(FORMATS), default="jsonl")
    raw = serializers.BooleanField(
        default=False,
        help_text="CSV without apostrophes before what a spreadsheet would run as a formula.",
    )


class SnapshotDownloadView(ProjectEndpoint):
    required = {"GET": Right.EXPORT}

    @extend_schema(
        operation_id="snapshots_download",
        parameters=[DownloadQuery],
        responses=answers(FILES, 400, 404, 409, 422),
        tags=["export"],
    )
    def get(self, request: Request, slug: str, number: int) -> StreamingHttpResponse:
        """The rows of a snapshot in any format of the export, always the same. 409 with the code
        `snapshot_damaged` where the file is not the one that was kept."""
        wanted = read_query(DownloadQuery, request)
        snapshot = kept_snapshot(snapshot_of(self.project, number))
        return sent(snapshot_download(snapshot, wanted["format"], raw=wanted["raw"]))


class ChangesQuery(StrictSerializer):
    since = serializers.IntegerField(min_value=1, max_value=2**31 - 1)
    format = serializers.ChoiceField(["json", "csv"], default="json")


class SnapshotChangesView(ProjectEndpoint):
    required = {"GET": Right.EXPORT}

    @extend_schema(
        operation_id="snapshots_changes",
        parameters=[
            OpenApiParameter("since", int, required=True, description="Number of the earlier one."),
            OpenApiParameter("format", str, enum=["json", "csv"], default="json"),
        ],
        responses=answers(
            {
                (200, "application/json"): SnapshotChangesSerializer,
                (200, "text/csv"): OpenApiTypes.STR,
            },
            400,
            404,
            409,
            422,
        ),
        tags=["export"],
    )
    def get(self, request: Request, slug: str, number: int) -> StreamingHttpResponse:
        """What differs from an earlier snapshot, task by task; as JSON with the counts at the end.
        Both files are checked first, and none is held whole."""
        wanted = read_query(ChangesQuery, request)
        before = kept_snapshot(snapshot_of(self.project, wanted["since"]))
        after = kept_snapshot(snapshot_of(self.project, number))
        return sent(changes_download(before, after, wanted["format"]))
