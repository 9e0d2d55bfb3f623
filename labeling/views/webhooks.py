"""Webhooks of a project: made, changed, paused, tested, and the log of what was sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from labeling.access import ProjectRequest, Right, page
from labeling.actions import webhooks as actions
from labeling.actions.errors import ActionRefused
from labeling.models import Webhook
from labeling.views.shell import PageRequest, shell

LOG_ROWS = 50
BUSY_SECONDS = 3


class WebhookForm(forms.Form):
    """Where to, of what, and under which secret."""

    url = forms.CharField(
        max_length=500,
        label=gettext_lazy("Address"),
        help_text=gettext_lazy("https://host/path, of a host that the settings of the site allow."),
        widget=forms.URLInput(attrs={"placeholder": "https://"}),
    )
    secret_variable = forms.CharField(
        max_length=64,
        label=gettext_lazy("Environment variable with the secret"),
        help_text=gettext_lazy(
            "Its name, set for the workers and beginning with WEBHOOK_SECRET; never the secret."
        ),
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"}),
    )
    events = forms.MultipleChoiceField(
        choices=[(event.value, event.label) for event in actions.ASKED_FOR],
        label=gettext_lazy("Tell it when"),
        widget=forms.CheckboxSelectMultiple,
    )


def _save(form: WebhookForm, act: Callable[..., Webhook]) -> Webhook | None:
    """What `act` makes of a valid form; its refusals stand at their fields."""
    if not form.is_valid():
        return None
    try:
        return act(**form.cleaned_data)
    except ActionRefused as refused:
        for detail in refused.details:
            form.add_error(detail.field, detail.message)
        if not refused.details:
            form.add_error(None, refused.message)
        return None


@page(Right.MANAGE)
@never_cache
@require_http_methods(["GET", "POST"])
def webhooks(request: ProjectRequest) -> HttpResponse:
    """The webhooks of the project. POST makes one."""
    form = WebhookForm(request.POST or None)
    if request.method == "POST":

        def make(**given: Any) -> Webhook:
            return actions.make_webhook(project=request.project, by=request.member, **given)

        made = _save(form, make)
        if made is not None:
            messages.success(request, _("The webhook is made. Send it a test event."))
            return redirect("labeling:webhook", request.project.slug, made.pk)
    found = request.project.webhooks.filter(ended_at__isnull=True)
    content = shell(request, "manage", tab="webhooks", form=form, webhooks=found)
    status = 422 if form.is_bound else 200
    return render(request, "labeling/webhooks.html", content, status=status)


@page(Right.MANAGE)
@never_cache
@require_http_methods(["GET", "POST"])
def webhook(request: PageRequest, webhook_id: int) -> HttpResponse:
    """One webhook and its deliveries; POST changes it. htmx asks again while some wait."""
    found = _webhook(request, webhook_id)
    given = {name: getattr(found, name) for name in ("url", "events", "secret_variable")}
    form = WebhookForm(request.POST or None, initial=given)
    if request.method == "POST":

        def change(**given: Any) -> Webhook:
            return actions.change_webhook(webhook=found, by=request.member, **given)

        if _save(form, change) is not None:
            messages.success(request, _("The webhook is changed."))
            return redirect("labeling:webhook", request.project.slug, found.pk)
    deliveries = list(found.deliveries.all()[:LOG_ROWS])
    waits = found.active and (
        found.notices.exists() or any(one.status == "waiting" for one in deliveries)
    )
    content = {
        "webhook": found,
        "form": form,
        "deliveries": deliveries,
        "more": len(deliveries) == LOG_ROWS,
        "every": BUSY_SECONDS if waits else None,
    }
    template = "labeling/webhook.html#log" if request.htmx else "labeling/webhook.html"
    status = 422 if form.is_bound else 200
    content = shell(request, "manage", tab="webhooks", **content)
    return render(request, template, content, status=status)


@page(Right.MANAGE)
@require_POST
def act(request: ProjectRequest, webhook_id: int) -> HttpResponse:
    """Pause a webhook, let it go on, send it a test, or end it."""
    found = _webhook(request, webhook_id)
    wanted = request.POST.get("act", "")
    given: dict[str, Any] = {"webhook": found, "by": request.member}
    try:
        if wanted == "pause":
            actions.change_webhook(active=False, **given)
            messages.success(request, _("The webhook is paused: nothing is sent, nor noted."))
        elif wanted == "go_on":
            actions.change_webhook(active=True, **given)
            messages.success(request, _("The webhook goes on."))
        elif wanted == "test":
            actions.send_test(**given)
            messages.success(request, _("A worker sends a test event now."))
        elif wanted == "end":
            actions.end_webhook(**given)
            messages.success(request, _("The webhook is ended: nothing is sent to it any more."))
            return redirect("labeling:webhooks", request.project.slug)
    except ActionRefused as refused:
        messages.error(request, refused.message)
    return redirect("labeling:webhook", request.project.slug, found.pk)


@page(Right.MANAGE)
@require_POST
def replay(request: ProjectRequest, webhook_id: int, number: int) -> HttpResponse:
    """Send a delivery again."""
    found = _webhook(request, webhook_id)
    delivery = get_object_or_404(found.deliveries.all(), number=number)
    try:
        actions.send_again(delivery=delivery, by=request.member)
        messages.success(request, _("Delivery %(n)d is sent again now.") % {"n": number})
    except ActionRefused as refused:
        messages.error(request, refused.message)
    return redirect("labeling:webhook", request.project.slug, found.pk)


def _webhook(request: ProjectRequest, webhook_id: int) -> Webhook:
    return get_object_or_404(request.project.webhooks.filter(ended_at=None), pk=webhook_id)
