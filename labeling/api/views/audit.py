"""The audit over REST: read how it stands, pause, resume, send back, close an alarm."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.http import Http404
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.access import Right
from labeling.actions.audit_state import audit_state, policy_shown, sequence
from labeling.actions.monitor import by_label, close_alarm, pause_policy, resume_policy
from labeling.actions.picked import picked_counts
from labeling.actions.send_back import accepted_by, send_back, undo_send_back
from labeling.actions.taxonomy import label_names
from labeling.api.base import (
    NewestFirst,
    ProjectEndpoint,
    StrictSerializer,
    page_of,
    read,
    read_query,
)
from labeling.api.schema import answers
from labeling.api.serializers.audit import (
    AlarmSerializer,
    AuditSerializer,
    CloseSerializer,
    NewSendBackSerializer,
    PreviewedSendBackSerializer,
    SendBackSerializer,
)
from labeling.api.serializers.policies import PolicySerializer
from labeling.api.views.pages import PAGE_PARAMETERS, paged
from labeling.models import Label, Policy, Project


class AuditQuery(StrictSerializer):
    policy = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)


def policy_of(project: Project, version: int | None) -> Policy:
    policy = policy_shown(project, version)
    if policy is None:
        raise Http404(_("The project has no policy of this version."))
    return policy


class AuditView(ProjectEndpoint):
    required = {"GET": Right.REVIEW}

    @extend_schema(
        operation_id="audit_get",
        parameters=[
            OpenApiParameter("policy", int, description="Version; the one in use without it.")
        ],
        responses=answers({200: AuditSerializer}, 400, 404),
        tags=["audit"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """Whether what a policy accepts is as good as promised. Which tasks wait for an audit is
        told to nobody."""
        wanted = read_query(AuditQuery, request)
        state = audit_state(policy_of(self.project, wanted.get("policy")))
        found = state.found
        keys = dict(self.project.labels.values_list("pk", "key"))
        rows = by_label(found.observations) if found else []
        report = {
            "policy": state.policy.version,
            "level": state.level,
            "reasons": state.reasons,
            "paused_at": state.policy.paused_at,
            "promised_error": found.promised if found else None,
            "delta": found.delta if found else None,
            "drawn": state.drawn,
            "observed": found.report.n if found else 0,
            "waiting": state.waiting,
            "overdue": state.overdue,
            "standing": accepted_by(state.policy).count(),
            "sequence": [asdict(point) for point in sequence(found)] if found else [],
            "labels": [{**row, "label": keys[row["label"]]} for row in rows],
            "alarm": state.alarm,
            "picked": picked_counts(self.project),
        }
        return Response(AuditSerializer(report).data)


class AlarmsView(ProjectEndpoint):
    required = {"GET": Right.REVIEW}

    @extend_schema(
        operation_id="alarms_list",
        parameters=PAGE_PARAMETERS,
        responses=answers({200: paged(AlarmSerializer)}, 404),
        tags=["audit"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """Alarms, newest first."""
        alarms = self.project.alarms.select_related("policy", "stricter", "closed_by")
        return page_of(self, alarms, AlarmSerializer, pages=NewestFirst)


class CloseAlarmView(ProjectEndpoint):
    required = {"POST": Right.MANAGE}

    @extend_schema(
        operation_id="alarms_close",
        request=CloseSerializer,
        responses=answers({200: AlarmSerializer}, 400, 404, 422),
        tags=["audit"],
    )
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Say what was done about an alarm. It is not raised again for its policy."""
        alarm = self.project.alarms.filter(pk=pk).select_related("policy", "project").first()
        if alarm is None:
            raise Http404(_("The project has no such alarm."))
        body = read(CloseSerializer, request)
        return Response(AlarmSerializer(close_alarm(alarm=alarm, by=self.member, **body)).data)


class PauseView(ProjectEndpoint):
    required = {"POST": Right.MANAGE}

    @extend_schema(
        operation_id="policies_pause",
        request=None,
        responses=answers({200: PolicySerializer}, 404, 422),
        tags=["policies"],
    )
    def post(self, request: Request, slug: str, version: int) -> Response:
        """Let the active policy accept nothing from now on."""
        policy = pause_policy(policy=policy_of(self.project, version), by=self.member)
        return Response(PolicySerializer(policy).data)


class ResumeView(ProjectEndpoint):
    required = {"POST": Right.MANAGE}

    @extend_schema(
        operation_id="policies_resume",
        request=None,
        responses=answers({200: PolicySerializer}, 404, 422),
        tags=["policies"],
    )
    def post(self, request: Request, slug: str, version: int) -> Response:
        """Let a paused policy accept again; it decides once more on what waits for people."""
        policy = resume_policy(policy=policy_of(self.project, version), by=self.member)
        return Response(PolicySerializer(policy).data)


class SendBacksView(ProjectEndpoint):
    required = {"GET": Right.REVIEW, "POST": Right.MANAGE}

    @extend_schema(
        operation_id="send_backs_list",
        parameters=PAGE_PARAMETERS,
        responses=answers({200: paged(SendBackSerializer)}, 404),
        tags=["audit"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """What was sent back to people, newest first."""
        made = self.project.send_backs.select_related("policy")
        return page_of(self, made, SendBackSerializer, pages=NewestFirst)

    @extend_schema(
        operation_id="send_backs_make",
        request=NewSendBackSerializer,
        responses=answers(
            {201: SendBackSerializer, 200: PreviewedSendBackSerializer}, 400, 404, 422
        ),
        tags=["audit"],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Withdraw what stands by a policy alone and let people label it: 201. With `preview`
        nothing changes: 200 with the count."""
        body = read(NewSendBackSerializer, request)
        policy = policy_of(self.project, body["policy"])
        labels = self._labels(body["labels"])
        if body["preview"]:
            count = accepted_by(policy, [label.pk for label in labels]).count()
            return Response(_previewed(policy, labels, count))
        made = send_back(policy=policy, labels=labels, by=self.member)
        return Response(SendBackSerializer(made).data, status=status.HTTP_201_CREATED)

    def _labels(self, given: list[str]) -> list[Label]:
        names = label_names(self.project)
        unknown = [name for name in given if name not in names]
        if unknown:
            raise serializers.ValidationError(
                {"labels": [_("The project has no label “%(name)s”.") % {"name": unknown[0][:200]}]}
            )
        return list(self.project.labels.filter(pk__in=[names[name] for name in given]))


def _previewed(policy: Policy, labels: list[Label], count: int) -> dict[str, Any]:
    named = [label.pk for label in labels]
    nothing = dict.fromkeys(("id", "created_at", "undone_at", "restored"))
    return {**nothing, "policy": policy.version, "labels": named, "count": count}


class UndoSendBackView(ProjectEndpoint):
    required = {"POST": Right.MANAGE}

    @extend_schema(
        operation_id="send_backs_undo",
        request=None,
        responses=answers({200: SendBackSerializer}, 404, 422),
        tags=["audit"],
    )
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Let the labels stand again on which nobody has worked meanwhile."""
        made = self.project.send_backs.filter(pk=pk).select_related("policy", "project").first()
        if made is None:
            raise Http404(_("Nothing of this kind was sent back."))
        return Response(SendBackSerializer(undo_send_back(made=made, by=self.member)).data)
