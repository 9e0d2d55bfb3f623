"""Policies: fitted, looked at, activated."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.http import Http404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.access import Right
from labeling.actions.errors import ActionRefused
from labeling.actions.policy import activate_policy, fit_policy, measure
from labeling.actions.policy_kinds import give_rule, starting_target, wanted_of
from labeling.actions.runs import configuration_for
from labeling.api.base import NewestFirst, ProjectEndpoint, page_of, read, read_query
from labeling.api.schema import answers
from labeling.api.serializers.policies import (
    FitSerializer,
    PolicySerializer,
    PreviewReportSerializer,
    PreviewSerializer,
)
from labeling.api.views.pages import PAGE_PARAMETERS, paged
from labeling.models import Configuration, Part, Policy, Project


def configuration_of(project: Project, model_version: str | None) -> Configuration:
    """The configuration in force for the named model version, or for the newest."""
    versions = project.model_versions.all()
    if model_version is not None:
        versions = versions.filter(name=model_version)
    version = versions.order_by("-pk").first()
    if version is None:
        raise ActionRefused(
            _("The project has no predictions of the model version “%(name)s”.")
            % {"name": model_version}
            if model_version is not None
            else _("The project has no predictions yet.")
        )
    return configuration_for(version)


class PoliciesView(ProjectEndpoint):
    required = {"GET": Right.SEE, "POST": Right.MANAGE}
    machine_output = True

    @extend_schema(
        operation_id="policies_list",
        parameters=PAGE_PARAMETERS,
        responses=answers({200: paged(PolicySerializer)}, 404),
        tags=["policies"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """Policies, newest first."""
        rows = self.project.policies.select_related("configuration")
        return page_of(self, rows, PolicySerializer, pages=NewestFirst)

    @extend_schema(
        operation_id="policies_fit",
        request=FitSerializer,
        responses=answers({201: PolicySerializer}, 400, 404, 422),
        tags=["policies"],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Fit a draft policy on the part “tune”, and give it the rule that is wanted; a certified
        one spends some of the confidence of its rows. It decides nothing before it is activated."""
        body = read(FitSerializer, request)
        policy = fit_policy(
            project=self.project,
            configuration=configuration_of(self.project, body.get("model_version")),
            target=starting_target(self.project, body.get("target_accuracy"), body.get("alpha")),
            by=self.member,
            pool=body["pool"],
            least_mass=body.get("least_mass"),
            cascade=body["cascade"],
        )
        policy = give_rule(policy=policy, wanted=wanted_of(body, self.project), by=self.member)
        return Response(PolicySerializer(policy).data, status=status.HTTP_201_CREATED)


class ActivateView(ProjectEndpoint):
    required = {"POST": Right.MANAGE}

    @extend_schema(
        operation_id="policies_activate",
        request=None,
        responses=answers({200: PolicySerializer}, 404, 422),
        tags=["policies"],
    )
    def post(self, request: Request, slug: str, version: int) -> Response:
        """Let this version decide. Going back to an earlier one is the same call."""
        policy = (
            self.project.policies.select_related("configuration").filter(version=version).first()
        )
        if policy is None:
            raise Http404(_("The project has no policy of this version."))
        return Response(PolicySerializer(activate_policy(policy=policy, by=self.member)).data)


class PreviewView(ProjectEndpoint):
    required = {"GET": Right.SEE, "POST": Right.SEE}
    machine_output = True

    @extend_schema(
        operation_id="policies_preview",
        parameters=[PreviewSerializer],
        responses=answers({200: PreviewReportSerializer}, 400, 404, 422),
        tags=["policies"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """What would be accepted at a threshold, and how often that is right. Stores nothing."""
        return self._preview(read_query(PreviewSerializer, request))

    @extend_schema(
        operation_id="policies_preview_posted",
        request=PreviewSerializer,
        responses=answers({200: PreviewReportSerializer}, 400, 404, 422),
        tags=["policies"],
    )
    def post(self, request: Request, slug: str) -> Response:
        """The same, with the question in the body."""
        return self._preview(read(PreviewSerializer, request))

    def _preview(self, wanted: dict[str, Any]) -> Response:
        configuration = configuration_of(self.project, wanted.get("model_version"))
        threshold, part = wanted["threshold"], wanted["part"]
        trial = Policy(
            project=self.project,
            configuration=configuration,
            rule={
                "pool": "mean",
                "validators": [entry["id"] for entry in configuration.content["validators"]],
                "least_mass": self.project.least_mass,
                "threshold": {"multiclass": threshold, "yes": threshold},
            },
        )
        report = {
            **asdict(measure(trial, [part])),
            "part": part,
            "threshold": threshold,
            "model_version": configuration.content["model_version"],
            "note": _note(part),
        }
        return Response(PreviewReportSerializer(report).data)


def _note(part: str) -> str:
    if part in (Part.CERTIFY, Part.TEST):
        return _(
            "A threshold that was chosen by looking at this part can no longer be certified or "
            "tested on it."
        )
    return ""
