"""Projects: the list of one's own, and how one of them stands."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from labeling.access import ProjectRequest, Right, page, sees_machine_output, signed_in
from labeling.models import (
    Decision,
    DeferReason,
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
from labeling.views.runs import with_progress
from labeling.views.shell import shell

NEWEST_RUNS = 5


@signed_in
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """The signed-in user's projects with what waits in each."""
    user = request.user
    assert isinstance(user, User)
    projects = list(Project.objects.visible_to(user).live().order_by("name"))
    counts = _status_counts(projects)
    roles = dict(
        Member.objects.present()
        .filter(user=user, project__in=projects)
        .values_list("project", "role")
    )
    rows = [
        {
            "project": project,
            "role": Role(roles[project.pk]).label,
            "counts": counts[project.pk],
            "total": sum(counts[project.pk].values()),
        }
        for project in projects
    ]
    return render(request, "labeling/home.html", {"rows": rows, "is_staff": user.is_staff})


@page(Right.SEE)
@require_GET
def overview(request: ProjectRequest) -> HttpResponse:
    """How the project stands; what machines decided only for those who may see it."""
    project = request.project
    counts = _status_counts([project])[project.pk]
    content: dict[str, Any] = {
        "statuses": [(TaskStatus(s).label, s, counts.get(s, 0)) for s in TaskStatus.values],
        "total": sum(counts.values()),
        "labels": project.labels.active().count(),
        "runs": with_progress(project.runs.order_by("-pk")[:NEWEST_RUNS]),
        "waiting": counts.get(TaskStatus.DEFERRED, 0),
        "disputed": counts.get(TaskStatus.DISPUTED, 0),
    }
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
