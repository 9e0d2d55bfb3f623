"""A member's own figures."""

from __future__ import annotations

from zoneinfo import available_timezones

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from labeling.access import ProjectRequest, Right, page
from labeling.actions.errors import ActionRefused
from labeling.actions.goals import set_time_zone, today_of
from labeling.actions.languages import set_languages, waiting_languages
from labeling.quality.own import LEAST, LEAST_GOLD, own_report
from labeling.views.shell import shell
from labeling.views.spoken import has_languages, spoken


@page(Right.ANNOTATE)
@never_cache
@require_GET
def own(request: ProjectRequest) -> HttpResponse:
    """The figures of the member against the team's spread, with nobody else's name."""
    content = {
        "report": own_report(request.member),
        "today": today_of(request.member),
        "zones": sorted(zone for zone in available_timezones() if "/" in zone),
        "site_zone": settings.TIME_ZONE,
        "waiting_languages": spoken(waiting_languages(request.project))
        if has_languages(request.project)
        else None,
        "least": LEAST,
        "least_gold": LEAST_GOLD,
    }
    return render(request, "labeling/own.html", shell(request, "history", **content))


@page(Right.ANNOTATE)
@require_POST
def languages(request: ProjectRequest) -> HttpResponse:
    """Say which languages the member reads, in this project."""
    given = request.POST.get("languages", "")
    try:
        set_languages(member=request.member, languages=given, by=request.member)
    except ActionRefused as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, _("Your queue follows the languages that you read."))
    return redirect("labeling:own", slug=request.project.slug)


@page(Right.ANNOTATE)
@require_POST
def time_zone(request: ProjectRequest) -> HttpResponse:
    """Say when the member's day begins, in all their projects."""
    try:
        set_time_zone(user=request.user, name=request.POST.get("zone", ""))
    except ActionRefused as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, _("Your day begins as you wish."))
    return redirect("labeling:own", slug=request.project.slug)
