"""Runs: what is at work, how far it is, what failed and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.db.models import Count, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling.access import Right, page, sees_machine_output
from labeling.actions.errors import ActionRefused
from labeling.actions.rerun import continue_run, left_out_by_budget
from labeling.actions.run_control import cancel_run, pause_run, resume_run
from labeling.actions.runs import progress
from labeling.models import Decision, DeferReason, Member, Outcome, PlanRow, Run, Stage
from labeling.views.shell import PageRequest, shell

NEWEST = 100
BUSY_SECONDS = 2
IDLE_SECONDS = 15


@page(Right.SEE)
@require_GET
def runs(request: PageRequest) -> HttpResponse:
    newest = with_progress(request.project.runs.order_by("-pk")[:NEWEST])
    return render(request, "labeling/runs.html", shell(request, "runs", runs=newest))


def with_progress(runs: QuerySet[Run]) -> list[Run]:
    """The runs, each with `percent`: how much of it is through."""
    found = list(runs)
    rows = PlanRow.objects.unfinished().filter(run__in=[run.pk for run in found]).order_by()
    left = dict(rows.values("run").annotate(n=Count("pk")).values_list("run", "n"))
    for run in found:
        run.percent = _percent(run.planned, left.get(run.pk, 0))  # type: ignore[attr-defined]
    return found


def _percent(planned: int, unfinished: int) -> int:
    return int(100 * (planned - unfinished) / planned) if planned else 0


@page(Right.SEE)
@never_cache
@require_GET
def run(request: PageRequest, run_id: int) -> HttpResponse:
    """One run; htmx asks again for the part with the numbers until the run has ended."""
    found = get_object_or_404(Run, project=request.project, pk=run_id)
    content = _content(found, sees_machines=sees_machine_output(request.member))
    template = "labeling/run.html#progress" if request.htmx else "labeling/run.html"
    return render(request, template, shell(request, "runs", run=found, **content))


@page(Right.MANAGE)
@require_POST
def go_on(request: PageRequest, run_id: int) -> HttpResponse:
    """Plan what the budget of a run left out in a new run, and show that."""
    found = get_object_or_404(Run, project=request.project, pk=run_id)
    try:
        found = continue_run(run=found, by=request.member)
    except ActionRefused as refusal:
        messages.error(request, refusal.message)
    return redirect("labeling:run", request.project.slug, found.pk)


@page(Right.MANAGE)
@require_POST
def pause(request: PageRequest, run_id: int) -> HttpResponse:
    """Let no worker begin with another task of the run."""
    return _steer(request, run_id, pause_run)


@page(Right.MANAGE)
@require_POST
def resume(request: PageRequest, run_id: int) -> HttpResponse:
    """Let workers go on."""
    return _steer(request, run_id, resume_run)


def _steer(request: PageRequest, run_id: int, verb: Callable[..., None]) -> HttpResponse:
    found = get_object_or_404(Run, project=request.project, pk=run_id)
    by: Member = request.member
    try:
        verb(run=found, by=by)
    except ActionRefused as refusal:
        messages.error(request, refusal.message)
    return redirect("labeling:run", request.project.slug, found.pk)


@page(Right.MANAGE)
@never_cache
@require_http_methods(["GET", "POST"])
def cancel(request: PageRequest, run_id: int) -> HttpResponse:
    """Say what ending the run would do, and do it when that is sent back."""
    found = get_object_or_404(Run, project=request.project, pk=run_id)
    if request.method == "POST":
        try:
            left = cancel_run(run=found, by=request.member)
        except ActionRefused as refusal:
            messages.error(request, refusal.message)
        else:
            said = ngettext(
                "The run is cancelled. People get the %(n)d task that it had not decided.",
                "The run is cancelled. People get the %(n)d tasks that it had not decided.",
                left,
            )
            messages.success(request, said % {"n": left})
        return redirect("labeling:run", request.project.slug, found.pk)
    left = PlanRow.objects.unfinished().filter(run=found).count()
    content = {"run": found, "unfinished": left}
    return render(request, "labeling/cancel_run.html", shell(request, "runs", **content))


def _content(run: Run, *, sees_machines: bool) -> dict[str, Any]:
    found = progress(run)
    done = run.planned - found["unfinished"]
    stages = [
        (stage.label, found["stages"].get(stage.value, 0), found["seconds"].get(stage.value))
        for stage in Stage
        if stage.value in found["stages"] or stage.value in found["seconds"]
    ]
    content: dict[str, Any] = {
        "done": done,
        "percent": _percent(run.planned, found["unfinished"]),
        "steerable": run.status != Run.Status.COMPLETED and found["unfinished"] > 0,
        "unfinished": found["unfinished"],
        "stages": stages,
        "failures": found["failures"] if sees_machines else _own_failures(run),
        "every": _poll_every(run, found["unfinished"]),
    }
    if sees_machines:
        content |= {
            "decisions": [_decision(row) for row in found["decisions"]],
            "hard": run.rankings.filter(hard=True).count(),
            "usage": found["usage"],
            "reasons": found["reasons"],
            "speed": found["tasks_per_second"],
            "minutes_left": _minutes_left(run, found),
            "cost": found["cost"],
            "currency": found["currency"],
            "budget": found["budget"],
            "left_out": left_out_by_budget(run).count(),
        }
    return content


def _minutes_left(run: Run, found: dict[str, Any]) -> int | None:
    """At the speed of the last minutes; None where that says nothing."""
    speed = float(found["tasks_per_second"])
    if not speed or not found["unfinished"] or run.paused_at is not None:
        return None
    return max(1, round(int(found["unfinished"]) / speed / 60))


def _poll_every(run: Run, unfinished: int) -> int | None:
    """Seconds until the page asks again; None when the run has ended."""
    if run.status == Run.Status.COMPLETED:
        return None
    if run.paused_at is not None:
        return IDLE_SECONDS
    return BUSY_SECONDS if unfinished else IDLE_SECONDS


def _own_failures(run: Run) -> list[dict[str, Any]]:
    failed = PlanRow.objects.filter(run=run).exclude(failure="").count()
    return [{"message": "", "n": failed}] if failed else []


def _decision(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "outcome": Outcome(row["outcome"]).label,
        "reason": DeferReason(row["reason"]).label if row["reason"] else "",
        "mode": row["mode"],
        "is_shadow": row["mode"] == Decision.Mode.SHADOW,
        "n": row["n"],
    }
