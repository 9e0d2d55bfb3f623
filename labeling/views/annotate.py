"""The labeling page: one task, keyboard first, the next one in the answer to the last."""

from __future__ import annotations

import statistics
from typing import Any

from django.contrib import messages
from django.db.models import Count, F, Min
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import escape
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling.access import Right, page
from labeling.actions import annotate as answers
from labeling.actions import marks
from labeling.actions.double_check import ask_once_more
from labeling.actions.double_check import keep as keep_answer
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.lease import next_task, renew
from labeling.actions.queues import left_for
from labeling.actions.retrieval import mark_helpful
from labeling.models import Lease, Member, Purpose, Skip, Task, TaskStatus
from labeling.views.forms import SHORT_NUMBER, AnswerForm, HelpfulForm
from labeling.views.guidelines import news
from labeling.views.panel import build, in_words
from labeling.views.search import label_index
from labeling.views.shell import PageRequest, shell

COUNT_UP_TO = 1000
PACE_OVER = 20


@page(Right.ANNOTATE)
@never_cache
@require_http_methods(["GET", "POST"])
def annotate(request: PageRequest) -> HttpResponse:
    """The member's task; POST takes its answer and shows the next one."""
    return _take(request) if request.method == "POST" else _show(request)


@page(Right.ANNOTATE)
@require_POST
def take_back(request: PageRequest) -> HttpResponse:
    """Undo the last answer or skip and show its task again."""
    try:
        done = answers.undo(member=request.member)
    except ActionRefused as refused:
        return _refuse(request, refused.message, status=422)
    if not request.htmx:
        return redirect("labeling:annotate", slug=request.project.slug)
    if isinstance(done, Skip):
        return _show(request, said=_("You have the text back that you skipped:"))
    return _show(
        request, said=_("Your answer is taken back. The task again:"), chosen=in_words(done)
    )


@page(Right.ANNOTATE)
@require_POST
def skip(request: PageRequest) -> HttpResponse:
    """Pass the task on, with a reason, and show the next one."""
    lease = leased(request)
    if lease is None:
        return _refuse(request, _("This task is not with you any more."), status=409)
    try:
        marks.skip(lease=lease, reason=request.POST.get("reason", ""))
    except ActionRefused as refused:
        return _refuse(request, refused.message, status=422)
    if not request.htmx:
        return redirect("labeling:annotate", slug=request.project.slug)
    return _show(request, said=_("Skipped."))


@page(Right.ANNOTATE)
@require_POST
def bring_back(request: PageRequest) -> HttpResponse:
    """What the member put off comes at once."""
    marks.bring_back(member=request.member)
    return redirect("labeling:annotate", slug=request.project.slug)


@page(Right.ANNOTATE)
@require_POST
def keep(request: PageRequest) -> HttpResponse:
    """The member was asked once more about an answer, and keeps it."""
    given = request.POST.get("annotation", "")
    if SHORT_NUMBER.fullmatch(given):
        keep_answer(member=request.member, annotation_id=int(given))
    if not request.htmx:
        return redirect("labeling:annotate", slug=request.project.slug)
    return HttpResponse(escape(_("Your answer is kept.")))


def leased(request: PageRequest) -> Lease | None:
    """The member's live lease that the form names."""
    given = request.POST.get("lease", "")
    mine = request.member.leases.live().select_related("task__project", "member__project")
    return mine.filter(pk=given).first() if SHORT_NUMBER.fullmatch(given) else None


@page(Right.ANNOTATE)
@require_POST
def hold(request: PageRequest) -> HttpResponse:
    """Renew the member's leases, while the person is at work."""
    for lease in request.member.leases.live().select_related("member__project"):
        renew(lease=lease)
    return HttpResponse(status=204)


@page(Right.ANNOTATE)
@require_GET
def labels(request: PageRequest) -> HttpResponse:
    """Labels that a search finds; the first ones by name for an empty search."""
    return render(request, "labeling/annotate.html#hits", _found(request))


@page(Right.ANNOTATE)
@require_POST
def helpful(request: PageRequest) -> HttpResponse:
    """Mark a document that is shown with the member's task as helpful, or take the mark back."""
    form = HelpfulForm(request.POST)
    lease = document = None
    if form.is_valid():
        given = form.cleaned_data
        lease = request.member.leases.live().filter(pk=given["lease"]).first()
        document = request.project.documents.filter(pk=given["document"]).first()
    if lease is None or document is None:
        return _refuse(request, _("This task is not with you any more."), status=409)
    try:
        mark_helpful(lease=lease, document=document, helpful=given["helpful"])
    except ActionRefused as refused:
        return _refuse(request, refused.message, status=422)
    if not request.htmx:
        return redirect("labeling:annotate", slug=request.project.slug)
    context = {
        "project": request.project,
        "lease_id": lease.pk,
        "document": document,
        "is_helpful": given["helpful"],
    }
    return render(request, "labeling/_helpful.html", context)


def _take(request: PageRequest) -> HttpResponse:
    form = AnswerForm(request.POST, project=request.project)
    if not form.is_valid():
        return _refuse(request, form.sentence(), status=422)
    task = request.project.tasks.filter(pk=form.cleaned_data["task"]).first()
    if task is None:
        return _refuse(request, _("This task is not here any more."), status=409)
    lease = Lease.objects.filter(pk=form.cleaned_data["lease"], task=task, member=request.member)
    under = lease.first()
    asked = form.cleaned_data["asked"]
    try:
        outcome = answers.answer(
            member=request.member,
            task=task,
            purpose=under.purpose if under else Purpose.LABEL,
            visible=under.visible if under else {"unknown": "the lease was gone"},
            asked_label=form.labels.get(asked) if asked else None,
            **form.answer(),
        )
    except ActionRefused as refused:
        status = 409 if isinstance(refused, Conflict) else 422
        return _refuse(request, refused.message, status=status)
    asked = None if outcome.repeated else ask_once_more(outcome.annotation)
    if not request.htmx:
        if outcome.note:
            messages.info(request, outcome.note)
        if asked is not None:
            messages.warning(request, render_to_string("labeling/_doubt.html", {"asked": asked}))
        return redirect("labeling:annotate", slug=request.project.slug)
    return _show(request, said=_("Saved."), note=outcome.note, asked=asked)


def _show(request: PageRequest, *, chosen: str = "", **more: Any) -> HttpResponse:
    """The page, or for htmx only the part of it that changes."""
    context = shell(request, "annotate", **_work(request, chosen), **more)
    template = "labeling/annotate.html#work" if request.htmx else "labeling/annotate.html"
    return render(request, template, context)


def _work(request: PageRequest, chosen: str = "") -> dict[str, Any]:
    member = request.member
    lease = next_task(member=member)
    shown = {"progress": _progress(member), "changes": news(member)}
    if lease is None:
        return shown | {"panel": None, "why": _why_nothing(member)}
    return {
        "panel": build(lease.task, lease.visible, lease_id=lease.pk, chosen=chosen),
        **shown,
        **(_found(request) if request.GET.get("q") else {}),
    }


def _found(request: PageRequest) -> dict[str, Any]:
    """The labels that the words in the address find, and how many are not listed for no words."""
    index, query = label_index(request.project), request.GET.get("q", "")[:200]
    hits = index.find(query)
    more = 0 if query.strip() else len(index.cards) - len(hits)
    return {"hits": hits, "query": query, "more": more}


def _refuse(request: PageRequest, sentence: str, *, status: int) -> HttpResponse:
    """Say why not, and leave the task and the choice where they are."""
    context = {"sentence": sentence, "project": request.project, "is_stale": status == 409}
    if request.htmx:
        response = render(request, "labeling/annotate.html#refusal", context, status=status)
        response["HX-Retarget"], response["HX-Reswap"] = "#notice", "innerHTML"
        return response
    context = shell(request, "annotate", **_work(request), **context)
    return render(request, "labeling/annotate.html", context, status=status)


def _progress(member: Member) -> dict[str, Any]:
    """Done today, left for this member, and seconds a task over the last answers."""
    today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    mine = member.annotations.current().filter(purpose__in=Purpose.queued())
    recent = mine.filter(seconds__isnull=False).order_by("-pk")
    seconds = [value for value in recent.values_list("seconds", flat=True)[:PACE_OVER] if value]
    left = left_for(member, up_to=COUNT_UP_TO + 1)
    return {
        "today": mine.filter(created_at__gte=today).count(),
        "left": min(left, COUNT_UP_TO),
        "more": left > COUNT_UP_TO,
        "pace": statistics.median(seconds) if seconds else None,
    }


def _why_nothing(member: Member) -> dict[str, Any]:
    """How many tasks are where, so that an empty queue explains itself."""
    by_status = Task.objects.filter(project_id=member.project_id).order_by().values("status")
    counts = dict(by_status.annotate(n=Count("pk")).values_list("status", "n"))
    skips = member.skips.current().filter(
        revision=F("task__revision"), task__status=TaskStatus.DEFERRED
    )
    passed_on = skips.filter(until__isnull=True).count()
    soonest = skips.filter(until__gt=timezone.now()).aggregate(n=Count("pk"), at=Min("until"))
    return {
        **{status: counts.get(status, 0) for status in TaskStatus.values},
        "answered": counts.get(TaskStatus.DEFERRED, 0) - passed_on - soonest["n"],
        "put_off": soonest["n"],
        "back_at": soonest["at"],
        "passed_on": passed_on,
    }
