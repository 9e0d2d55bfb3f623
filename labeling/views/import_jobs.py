"""Imports that somebody has asked for: how far they are, what was refused, and their end."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from labeling.access import Right, page
from labeling.actions.errors import ActionRefused
from labeling.actions.imports import cancel_import
from labeling.models import Project, Upload
from labeling.views.shell import PageRequest, shell

NEWEST = 20
ERRORS_SHOWN = 100
BUSY_SECONDS = 2


def jobs_of(project: Project) -> QuerySet[Upload]:
    asked = project.uploads.exclude(status=Upload.Status.KEPT)
    return asked.filter(kind=Upload.Kind.PREDICTIONS).select_related("member")


def newest_jobs(project: Project) -> list[Upload]:
    return list(jobs_of(project).order_by("-pk")[:NEWEST])


@page(Right.INGEST)
@never_cache
@require_GET
def job(request: PageRequest, upload_id: int) -> HttpResponse:
    """One import; htmx asks again for the part with the numbers until it has ended."""
    found = get_object_or_404(jobs_of(request.project), pk=upload_id)
    content = {
        "tab": "import",
        "job": found,
        "every": BUSY_SECONDS if found.is_open else 0,
        "errors": list(found.refused_rows.order_by("row")[:ERRORS_SHOWN]),
        "model_version": found.options.get("model_version", ""),
        "mapping": found.options.get("mapping", ""),
    }
    template = "labeling/import_job.html#progress" if request.htmx else "labeling/import_job.html"
    return render(request, template, shell(request, "manage", **content))


@page(Right.INGEST)
@require_POST
def cancel(request: PageRequest, upload_id: int) -> HttpResponse:
    """End an import where it is; what it has stored stays."""
    found = get_object_or_404(jobs_of(request.project), pk=upload_id)
    try:
        cancel_import(upload=found, by=request.member)
    except ActionRefused as refusal:
        messages.error(request, refusal.message)
    return redirect("labeling:import_job", request.project.slug, upload_id)
