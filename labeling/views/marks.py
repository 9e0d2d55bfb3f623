"""Flags on tasks, by those who label; and the list of flags and skips for those who review."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.html import escape
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from labeling.access import Right, page
from labeling.actions import marks as actions
from labeling.actions.errors import ActionRefused
from labeling.language import language_of
from labeling.models import Flag, Member, Skip, SkipReason, Task
from labeling.views.annotate import leased
from labeling.views.forms import FlagForm
from labeling.views.shell import PageRequest, shell

PER_PAGE = 50
NEWEST_SKIPS = 50


@page(Right.ANNOTATE)
@require_POST
def flag(request: PageRequest) -> HttpResponse:
    """Flag the member's task for the experts, or take the flag back."""
    form, lease = FlagForm(request.POST), leased(request)
    sentence, status, found = "", 200, None
    if lease is None:
        sentence, status = _("This task is not with you any more."), 409
    elif not form.is_valid():
        sentence, status = _("A note has 300 characters at most."), 422
    else:
        found = _set_flag(request.member, lease.task, form.cleaned_data)
    if not request.htmx:
        if sentence:
            messages.error(request, sentence)
        return redirect("labeling:annotate", slug=request.project.slug)
    if sentence:
        refused = HttpResponse(escape(sentence), status=status)
        refused["HX-Retarget"], refused["HX-Reswap"] = "#flag-said", "innerHTML"
        return refused
    context = {"project": request.project, "lease_id": lease and lease.pk, "flag": found}
    return render(request, "labeling/_flag.html", context | {"is_reply": True})


def _set_flag(member: Member, task: Task, given: dict[str, Any]) -> Flag | None:
    if not given["off"]:
        return actions.flag(member=member, task=task, note=given["note"])
    for mine in Flag.objects.open().filter(member=member, task=task):
        actions.close_flag(flag=mine, by=member)
    return None


@page(Right.REVIEW)
@never_cache
@require_GET
def marks(request: PageRequest) -> HttpResponse:
    """Open flags, and what was skipped and why."""
    shown = Paginator(actions.flags_for(request.member), PER_PAGE).get_page(request.GET.get("page"))
    readable = [flag for flag in shown if not flag.withheld]  # type: ignore[attr-defined]
    actions.read_notes(member=request.member, flags=readable)
    skips = Skip.objects.current().filter(task__project=request.project)
    newest = list(skips.select_related("task", "member")[:NEWEST_SKIPS])
    for one in (*shown, *newest):
        one.task.language = language_of(one.task.text)  # type: ignore[attr-defined]
    counts = dict(
        skips.order_by().values("reason").annotate(n=Count("pk")).values_list("reason", "n")
    )
    content = {
        "page": shown,
        "skips": newest,
        "reasons": [
            (words, counts[value]) for value, words in SkipReason.choices if value in counts
        ],
    }
    return render(request, "labeling/marks.html", shell(request, "marks", **content))


@page(Right.REVIEW)
@require_POST
def close(request: PageRequest, flag_id: int) -> HttpResponse:
    """A reviewer has dealt with a flag."""
    found = get_object_or_404(Flag, pk=flag_id, task__project=request.project)
    try:
        actions.close_flag(flag=found, by=request.member)
    except ActionRefused as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, _("The flag is closed."))
    return redirect("labeling:marks", slug=request.project.slug)
