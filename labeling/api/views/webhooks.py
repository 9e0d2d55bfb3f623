"""Webhooks over REST: for admins alone."""

from __future__ import annotations

from django.http import Http404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.access import Right
from labeling.actions import webhooks as actions
from labeling.api.base import NewestFirst, ProjectEndpoint, page_of, read
from labeling.api.schema import answers
from labeling.api.serializers.webhooks import (
    DeliverySerializer,
    NewWebhookSerializer,
    SentSerializer,
    WebhookChangesSerializer,
    WebhookSerializer,
)
from labeling.api.views.pages import PAGE_PARAMETERS, paged
from labeling.models import Project, Webhook


def webhook_of(project: Project, pk: int) -> Webhook:
    found = project.webhooks.filter(pk=pk, ended_at__isnull=True).first()
    if found is None:
        raise Http404(_("The project has no webhook of this number."))
    return found


class WebhooksView(ProjectEndpoint):
    required = {"GET": Right.MANAGE, "POST": Right.MANAGE}

    @extend_schema(
        operation_id="webhooks_list",
        parameters=PAGE_PARAMETERS,
        responses=answers({200: paged(WebhookSerializer)}, 404),
        tags=["webhooks"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """The webhooks of the project."""
        return page_of(self, self.project.webhooks.filter(ended_at=None), WebhookSerializer)

    @extend_schema(
        operation_id="webhooks_make",
        request=NewWebhookSerializer,
        responses=answers({201: WebhookSerializer}, 400, 404, 422),
        tags=["webhooks"],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Tell an address of events from now on."""
        body = read(NewWebhookSerializer, request)
        made = actions.make_webhook(project=self.project, by=self.member, **body)
        return Response(WebhookSerializer(made).data, status=status.HTTP_201_CREATED)


class WebhookView(ProjectEndpoint):
    required = {"GET": Right.MANAGE, "PATCH": Right.MANAGE, "DELETE": Right.MANAGE}

    @extend_schema(
        operation_id="webhooks_get",
        responses=answers({200: WebhookSerializer}, 404),
        tags=["webhooks"],
    )
    def get(self, request: Request, slug: str, pk: int) -> Response:
        """One webhook."""
        return Response(WebhookSerializer(webhook_of(self.project, pk)).data)

    @extend_schema(
        operation_id="webhooks_change",
        request=WebhookChangesSerializer,
        responses=answers({200: WebhookSerializer}, 400, 404, 422),
        tags=["webhooks"],
    )
    def patch(self, request: Request, slug: str, pk: int) -> Response:
        """Change, pause (`active` false) or go on. While paused nothing is noted; what waited
        before is sent once it goes on."""
        body = read(WebhookChangesSerializer, request, partial=True)
        changed = actions.change_webhook(
            webhook=webhook_of(self.project, pk), by=self.member, **body
        )
        return Response(WebhookSerializer(changed).data)

    @extend_schema(
        operation_id="webhooks_end",
        responses=answers({200: WebhookSerializer}, 404),
        tags=["webhooks"],
    )
    def delete(self, request: Request, slug: str, pk: int) -> Response:
        """Tell it nothing any more."""
        ended = actions.end_webhook(webhook=webhook_of(self.project, pk), by=self.member)
        return Response(WebhookSerializer(ended).data)


class WebhookTestView(ProjectEndpoint):
    required = {"POST": Right.MANAGE}

    @extend_schema(
        operation_id="webhooks_test",
        request=None,
        responses=answers({202: SentSerializer}, 404, 422),
        tags=["webhooks"],
    )
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Send an event of the kind `test`."""
        actions.send_test(webhook=webhook_of(self.project, pk), by=self.member)
        return Response({"queued": True}, status=status.HTTP_202_ACCEPTED)


class DeliveriesView(ProjectEndpoint):
    required = {"GET": Right.MANAGE}

    @extend_schema(
        operation_id="webhooks_deliveries",
        parameters=PAGE_PARAMETERS,
        responses=answers({200: paged(DeliverySerializer)}, 404),
        tags=["webhooks"],
    )
    def get(self, request: Request, slug: str, pk: int) -> Response:
        """The log of a webhook, newest first. What has ended is kept for 30 days."""
        rows = webhook_of(self.project, pk).deliveries.all()
        return page_of(self, rows, DeliverySerializer, pages=NewestFirst)


class ReplayView(ProjectEndpoint):
    required = {"POST": Right.MANAGE}

    @extend_schema(
        operation_id="webhooks_replay",
        request=None,
        responses=answers({202: DeliverySerializer}, 404, 422),
        tags=["webhooks"],
    )
    def post(self, request: Request, slug: str, pk: int, number: int) -> Response:
        """Send a delivery again now, with the same id and body and all tries before it."""
        delivery = webhook_of(self.project, pk).deliveries.filter(number=number).first()
        if delivery is None:
            raise Http404(_("The webhook has no delivery of this number."))
        again = actions.send_again(delivery=delivery, by=self.member)
        return Response(DeliverySerializer(again).data, status=status.HTTP_202_ACCEPTED)
