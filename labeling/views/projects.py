"""Projects: the list of one's own, and how one of them stands."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.contrib import messages
from django.db.models import Count, OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from labeling.access import ProjectRequest, Right, has_right, page, sees_machine_output, signed_in
from labeling.actions.projects import restore_project
from labeling.actions.queues import left_for
from labeling.models import (
    Decision,
    DeferReason,
    Event,
    Member,
    Outcome,
    Policy,
    Project,
    Resolution,
    Role,
    Source,
    Task,
    TaskStatus,
    User,
    Validator,
)
from labeling.views import shortages
from labeling.views.runs import with_progress
from labeling.views.shell import shell

NEWEST_RUNS = 5
MOST_WAITING = 1000
BAR = (TaskStatus.RESOLVED, TaskStatus.DEFERRED, TaskStatus.DISPUTED, TaskStatus.PROCESSING)


@signed_in
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """The signed-in user's projects: how far each is, and what waits for this person in it."""
    user = request.user
    assert isinstance(user, User)
    newest = Event.objects.filter(project=OuterRef("project")).order_by("-pk")
    own = Member.objects.present().filter(user=user).select_related("project")
    own = own.annotate(last=Subquery(newest.values("created_at")[:1])).order_by("project__name")
    members = list(own.filter(project__archived_at__isnull=True))
    counts = _status_counts([member.project for member in members])
    rows = [
        {
            "project": member.project,
            "role": Role(member.role).label,
            "waiting": left_for(member, up_to=MOST_WAITING),
            "total": sum(counts[member.project_id].values()),
            "parts": _parts(counts[member.project_id]),
            "last": member.last,  # type: ignore[attr-defined]  # annotated
        }
        for member in members
    ]
    archived = own.filter(
        project__archived_at__isnull=False, project__purge_begun_at=None, role=Role.ADMIN
    )
    content = {
        "rows": rows,
        "archived": [member.project for member in archived],
        "is_staff": user.is_staff,
    }
    return render(request, "labeling/home.html", content)


@signed_in
@require_POST
def restore(request: HttpRequest, slug: str) -> HttpResponse:
    """Bring an archived project back, as one of its admins."""
    user = request.user
    assert isinstance(user, User)
    present = Member.objects.present().filter(user=user, role=Role.ADMIN)
    member = get_object_or_404(
        present.select_related("project"),
        project__slug=slug,
        project__archived_at__isnull=False,
        project__purge_begun_at=None,
    )
    restore_project(project=member.project, by=member)
    messages.success(request, _("The project is back. Its runs wait until you let them go on."))
    return redirect("labeling:settings", slug)


def _parts(counts: dict[str, int]) -> list[dict[str, Any]]:
    """The pieces of a bar, resolved ones first, in percent of all tasks."""
    total, start = sum(counts.values()), 0.0
    parts = []
    for status in BAR:
        n = counts.get(status, 0)
        if n:
            percent = 100 * n / total
            parts.append(
                {
                    "status": str(status),
                    "words": TaskStatus(status).label,
                    "n": n,
                    "start": f"{start:.3f}",
                    "percent": f"{percent:.3f}",
                }
            )
            start += percent
    return parts


@page(Right.SEE)
@require_GET
def overview(request: ProjectRequest) -> HttpResponse:
    """How the project stands; what machines decided only for those who may see it."""
    project = request.project
    counts = _status_counts([project])[project.pk]
    content: dict[str, Any] = {
        "statuses": [
            (TaskStatus(s).label, s, counts.get(s, 0))
            for s in TaskStatus.values
            if s != TaskStatus.ERASED or counts.get(s)
        ],
        "total": sum(counts.values()),
        "labels": project.labels.active().count(),
        "runs": with_progress(project.runs.order_by("-pk")[:NEWEST_RUNS]),
        "waiting": counts.get(TaskStatus.DEFERRED, 0),
        "disputed": counts.get(TaskStatus.DISPUTED, 0),
    }
    if has_right(request.member, Right.MANAGE):
        content["lacks"] = shortages.in_words(project)
    if sees_machine_output(request.member):
        content |= _machine_output(project)
    return render(request, "labeling/overview.html", shell(request, "overview", **content))


def _status_counts(projects: list[Project]) -> dict[int, dict[str, int]]:
    rows = Task.objects.filter(project__in=projects).order_by().values("project", "status")
    counts: dict[int, dict[str, int]] = defaultdict(dict)
    for project, status, n in rows.annotate(n=Count("pk")).values_list("project", "status", "n"):
        counts[project][status] = n
    return counts


def _machine_output(project: Project) -> dict[str, Any]:
    """By which rule tasks were resolved, and why the machines left the waiting ones to people."""
    sources = Resolution.objects.current().filter(task__project=project).values("source")
    reasons = (
        Decision.objects.filter(
            task__project=project,
            task__status__in=(TaskStatus.DEFERRED, TaskStatus.DISPUTED),
            mode=Decision.Mode.LIVE,
            outcome=Outcome.DEFER,
        )
        .values("reason")
        .annotate(n=Count("task", distinct=True))
        .order_by("-n")
    )
    by_source = dict(sources.annotate(n=Count("pk")).values_list("source", "n"))
    return {
        "sources": [(Source(s).label, s, by_source[s]) for s in Source.values if s in by_source],
        "reasons": [(DeferReason(row["reason"]).label, row["n"]) for row in reasons],
        "policy": project.policies.filter(status=Policy.Status.ACTIVE).first(),
        "validators": list(project.validators.filter(active=True)),
        "has_llm": project.validators.filter(active=True, kind=Validator.Kind.LLM).exists(),
    }
