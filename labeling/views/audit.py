"""The audit: whether what machines accept is as good as promised, and what to do if it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from labeling.access import ProjectRequest, Right, page
from labeling.actions.audit_state import AuditState, audit_state, policy_shown, sequence
from labeling.actions.drift import weeks_of
from labeling.actions.errors import ActionRefused
from labeling.actions.monitor import by_label, close_alarm, pause_policy, resume_policy
from labeling.actions.picked import picked_counts
from labeling.actions.send_back import accepted_by, send_back, undo_send_back
from labeling.charts.sequence import NARROW, WIDE, SequencePoint, sequence_chart
from labeling.models import Policy
from labeling.views.shell import shell

NEWEST = 10


@page(Right.REVIEW)
@never_cache
@require_GET
def audit(request: ProjectRequest) -> HttpResponse:
    """How the audit of a policy stands: the active one, or that of `?policy=`."""
    policy = _policy(request)
    project = request.project
    content: dict[str, Any] = {"weeks": weeks_of(project), "picked": picked_counts(project)}
    if policy is not None:
        content |= _content(request, audit_state(policy))
    return render(request, "labeling/audit.html", shell(request, "audit", **content))


def _policy(request: ProjectRequest) -> Policy | None:
    wanted = request.GET.get("policy", "")
    if not wanted:
        return policy_shown(request.project)
    number = int(wanted) if wanted.isdecimal() and len(wanted) < 9 else 0
    policy = policy_shown(request.project, number)
    if policy is None:
        raise Http404(_("The project has no policy of this version."))
    return policy


def _content(request: ProjectRequest, state: AuditState) -> dict[str, Any]:
    policy, found = state.policy, state.found
    names = dict(request.project.labels.values_list("pk", "name"))
    rows = by_label(found.observations) if found else []
    points = sequence(found) if found else []
    marks = [SequencePoint(one.n, one.error, one.low, one.high) for one in points]
    charts = [
        sequence_chart(marks, promised=found.promised, width=width) if found else None
        for width in (WIDE, NARROW)
    ]
    at_fault = state.alarm.labels if state.alarm else []
    versions = request.project.policies.filter(activated_at__isnull=False)
    return {
        "state": state,
        "policy": policy,
        "versions": versions.order_by("-version")[:NEWEST],
        "points": points,
        "charts": [chart for chart in charts if chart is not None],
        "labels": [{**row, "name": names.get(row["label"], "")} for row in rows if row["wrong"]],
        "right_labels": sum(not row["wrong"] for row in rows),
        "at_fault": [{**row, "name": names.get(row["label"], "")} for row in at_fault],
        "standing": accepted_by(policy).count(),
        "standing_at_fault": accepted_by(policy, [row["label"] for row in at_fault]).count()
        if at_fault
        else 0,
        "send_backs": request.project.send_backs.select_related("policy", "created_by")[:NEWEST],
    }


@page(Right.MANAGE)
@require_POST
def act(request: ProjectRequest) -> HttpResponse:
    """Pause or resume the policy, send its tasks back or undo that, close an alarm."""
    policy = policy_shown(request.project, _number(request, "policy"))
    done = DOES.get(request.POST.get("do", ""))
    if policy is None or done is None:
        raise Http404(_("There is nothing of this kind to do."))
    try:
        messages.success(request, done(request, policy))
    except ActionRefused as refused:
        messages.error(request, refused.message)
    address = redirect("labeling:audit", slug=request.project.slug)
    address["Location"] += f"?policy={policy.version}"
    return address


def _number(request: ProjectRequest, name: str) -> int:
    given = request.POST.get(name, "")
    return int(given) if given.isdecimal() and len(given) < 18 else 0


def _pause(request: ProjectRequest, policy: Policy) -> str:
    pause_policy(policy=policy, by=request.member)
    return _("The policy accepts nothing from now on.")


def _resume(request: ProjectRequest, policy: Policy) -> str:
    resume_policy(policy=policy, by=request.member)
    return _("The policy accepts again, and decides once more on what waits for people.")


def _send_back(request: ProjectRequest, policy: Policy) -> str:
    ids = [int(one) for one in request.POST.getlist("label") if one.isdecimal() and len(one) < 18]
    labels = list(request.project.labels.filter(pk__in=ids))
    if len(labels) < len(set(ids)):
        raise ActionRefused(_("One of these labels is not in the project."))
    made = send_back(policy=policy, labels=labels, by=request.member)
    said = ngettext(
        "%(n)d task went back to people.", "%(n)d tasks went back to people.", made.count
    )
    return said % {"n": made.count}


def _undo(request: ProjectRequest, policy: Policy) -> str:
    made = request.project.send_backs.filter(pk=_number(request, "send_back")).first()
    if made is None:
        raise ActionRefused(_("Nothing of this kind was sent back."))
    restored = undo_send_back(made=made, by=request.member).restored or 0
    said = ngettext(
        "%(n)d label stands again; what people touched meanwhile stays with them.",
        "%(n)d labels stand again; what people touched meanwhile stays with them.",
        restored,
    )
    return said % {"n": restored}


def _close(request: ProjectRequest, policy: Policy) -> str:
    alarm = request.project.alarms.filter(policy=policy).first()
    if alarm is None:
        raise ActionRefused(_("This policy has raised no alarm."))
    close_alarm(alarm=alarm, note=request.POST.get("note", ""), by=request.member)
    return _("The alarm is closed.")


DOES: dict[str, Callable[[ProjectRequest, Policy], str]] = {
    "pause": _pause,
    "resume": _resume,
    "send_back": _send_back,
    "undo": _undo,
    "close": _close,
}
