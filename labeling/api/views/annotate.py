"""Answers of people over REST."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.access import Right, sees_machine_output
from labeling.actions.annotate import answer
from labeling.actions.taxonomy import label_names
from labeling.api.base import ProjectEndpoint, StrictSerializer, read
from labeling.api.schema import answers
from labeling.api.serializers.tasks import OwnAnswerSerializer
from labeling.models import Answer, Label, Member, Task, TaskStatus, UnkReason

DAY_SECONDS = 86_400.0


class NewAnnotationSerializer(StrictSerializer):
    external_id = serializers.CharField(max_length=200)
    client_id = serializers.UUIDField(
        help_text="Made by you, new for every answer: sending the same one twice is harmless."
    )
    answer = serializers.ChoiceField(Answer.choices, default=Answer.LABEL)
    label = serializers.CharField(  # type: ignore[assignment]  # a field of that name
        required=False, help_text="Name or key, with the answer “label”."
    )
    conf_labels = serializers.ListField(
        child=serializers.CharField(), default=list, help_text="With the answer “conf”."
    )
    unk_reason = serializers.ChoiceField(
        UnkReason.choices, default="", allow_blank=True, help_text="With the answer “unk”."
    )
    asked_label = serializers.CharField(
        required=False, help_text="Makes this an answer to “does this label hold?”."
    )
    comment = serializers.CharField(default="", allow_blank=True, max_length=5000)
    seconds = serializers.FloatField(required=False, min_value=0.0, max_value=DAY_SECONDS)
    revision = serializers.IntegerField(
        required=False, help_text="Of the text you read: 409 if another stands by now."
    )


class AnnotationReportSerializer(serializers.Serializer[Any]):
    answer = OwnAnswerSerializer()
    repeated = serializers.BooleanField(help_text="This client_id had been sent before.")
    status = serializers.CharField(
        help_text="Of the task, after the answer, as GET of the task shows it."
    )
    note = serializers.CharField(allow_blank=True)


class AnnotationsView(ProjectEndpoint):
    required = {"POST": Right.ANNOTATE}

    @extend_schema(
        operation_id="annotations_send",
        request=NewAnnotationSerializer,
        responses=answers(
            {201: AnnotationReportSerializer, 200: AnnotationReportSerializer}, 400, 404, 409, 422
        ),
        tags=["annotations"],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Answer for a task: 201, or 200 where this client_id was sent before."""
        body = read(NewAnnotationSerializer, request)
        external_id = body.pop("external_id")
        task = Task.objects.filter(project=self.project, external_id=external_id).first()
        if task is None:
            raise Http404(_("The project has no task of this external_id."))
        body |= self._labels(body)
        lease = self.member.leases.live().filter(task=task).first()
        under = {"purpose": lease.purpose, "visible": lease.visible} if lease else {}
        fixed = {"visible": seen(self.member, task), **under}
        outcome = answer(member=self.member, task=task, **fixed, **body)
        task.refresh_from_db(fields=["status"])
        status_seen = task.status if sees_machine_output(self.member) else TaskStatus.RESOLVED
        report = {
            "answer": OwnAnswerSerializer(outcome.annotation).data,
            "repeated": outcome.repeated,
            "status": status_seen,
            "note": outcome.note,
        }
        fresh = status.HTTP_200_OK if outcome.repeated else status.HTTP_201_CREATED
        return Response(report, status=fresh)

    def _labels(self, body: dict[str, Any]) -> dict[str, Any]:
        """The labels that the body names, as rows; 400 names those that the project lacks."""
        fields: dict[str, list[str]] = {"conf_labels": body["conf_labels"]}
        fields |= {name: [body[name]] for name in ("label", "asked_label") if name in body}
        names = label_names(self.project)
        wrong: dict[str, Any] = {
            field: [_("The project has no label “%(name)s”.") % {"name": name}]
            for field, given in fields.items()
            for name in given
            if name not in names
        }
        if wrong:
            raise serializers.ValidationError(wrong)
        rows: dict[int, Label] = self.project.labels.in_bulk(
            {names[name] for given in fields.values() for name in given}
        )
        found = {field: [rows[names[name]] for name in given] for field, given in fields.items()}
        return {
            field: labels if field == "conf_labels" else labels[0]
            for field, labels in found.items()
        }


def seen(member: Member, task: Task) -> dict[str, Any]:
    """What stood in view of somebody who answers over REST: for a regular annotator the text and
    the labels, for others everything that the task's address shows."""
    everything = sees_machine_output(member)
    return {
        "revision": task.revision,
        "over": "rest",
        "candidates": [],
        "blind": not everything,
        "scores": everything,
        "documents": everything,
        "verdicts": everything,
        "reasoning": everything,
    }
