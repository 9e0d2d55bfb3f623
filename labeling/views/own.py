"""A member's own figures."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from labeling.access import ProjectRequest, Right, page
from labeling.quality.own import LEAST, LEAST_GOLD, own_report
from labeling.views.shell import shell


@page(Right.ANNOTATE)
@never_cache
@require_GET
def own(request: ProjectRequest) -> HttpResponse:
    """The figures of the member against the team's spread, with nobody else's name."""
    content = {
        "report": own_report(request.member),
        "least": LEAST,
        "least_gold": LEAST_GOLD,
    }
    return render(request, "labeling/own.html", shell(request, "history", **content))
