"""The labeling page: one task, keyboard first, the next ones in the page already.

A script sends answers in the background and gets the part `reply`: how far the member is, and the
tasks that take the place of those that were answered. Without it the page is a plain form.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
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
from labeling.actions.lease import leave as leave_tasks
from labeling.actions.lease import renew
from labeling.actions.onboarding_texts import in_onboarding
from labeling.actions.retrieval import mark_helpful
from labeling.models import DoubleCheck, Lease, Member, Purpose, Skip
from labeling.views.forms import SHORT_NUMBER, AnswerForm, HelpfulForm, PageForm
from labeling.views.guidelines import news
from labeling.views.search import label_index
from labeling.views.shell import PageRequest, shell
from labeling.views.work import at_hand, taken_back


@page(Right.ANNOTATE)
@never_cache
@require_http_methods(["GET", "POST"])
def annotate(request: PageRequest) -> HttpResponse:
    """The member's task; POST takes its answer and shows the next one. Whoever has a round to
    label first finds it instead."""
    if request.method == "GET" and in_onboarding(request.member):
        return redirect("labeling:onboarding", slug=request.project.slug)
    return _take(request) if request.method == "POST" else _show(request)


@page(Right.ANNOTATE)
@require_POST
def take_back(request: PageRequest) -> HttpResponse:
    """Undo the last answer or skip, or the answer that is named, and show its task again."""
    form = PageForm(request.POST)
    if not form.is_valid():
        return _refuse(request, str(form.BROKEN), status=422)
    if form.is_of_another(request.member):
        return _refuse(request, str(form.ANOTHER), status=403)
    try:
        done = answers.undo(member=request.member, client_id=form.cleaned_data["client_id"])
    except ActionRefused as refused:
        return _refuse(request, refused.message, status=422)
    if not request.htmx:
        return redirect("labeling:annotate", slug=request.project.slug)
    again = taken_back(request.member, done)
    said = _("Your answer is taken back. The task again:")
    if isinstance(done, Skip):
        said = _("You have the text back that you skipped:")
    return _reply(request, form, said=said, again=again)


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
    around = PageForm(request.POST)
    away = around.cleaned_data.get("away", ()) if around.is_valid() else ()
    return _show(request, away=away, said=_("Skipped."))


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
    """Renew the leases of the tasks in the page while the person is at work, and bring what it
    lacks."""
    form = PageForm(request.POST)
    if not form.is_valid():
        return _refuse(request, str(form.BROKEN), status=422)
    if form.is_of_another(request.member):
        return _refuse(request, str(form.ANOTHER), status=403)
    renew(member=request.member, leases=form.cleaned_data["held"])
    return _reply(request, form)


@page(Right.ANNOTATE)
@require_POST
def leave(request: PageRequest) -> HttpResponse:
    """The page is gone: others may have the tasks that it held."""
    form = PageForm(request.POST)
    if form.is_valid():
        leave_tasks(member=request.member, leases=form.cleaned_data["held"])
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
    """Store the answer, or say why not. One that is stored already is never refused: the reply
    to it was lost."""
    around = PageForm(request.POST)
    if around.is_valid() and around.is_of_another(request.member):
        return _refuse(request, str(around.ANOTHER), status=403)
    try:
        outcome = _answer(request)
    except ActionRefused as refused:
        if _was_sent(request, around.cleaned_data.get("client_id")):
            return _taken(request, around)
        status = 409 if isinstance(refused, Conflict) else 422
        return _refuse(request, refused.message, status=status)
    asked = None if outcome.repeated else ask_once_more(outcome.annotation)
    return _taken(request, around, note=outcome.note, asked=asked)


def _was_sent(request: PageRequest, client_id: UUID | None) -> bool:
    """Is the answer to this task stored already, under the id that it came with?"""
    sent = request.member.annotations.filter(client_id=client_id) if client_id else ()
    return any(str(one.task_id) == request.POST.get("task") for one in sent)


def _answer(request: PageRequest) -> answers.AnswerOutcome:
    """Store the answer in the form; raises ActionRefused."""
    form = AnswerForm(request.POST, project=request.project)
    if not form.is_valid():
        raise ActionRefused(form.sentence())
    given = form.cleaned_data
    under = _lease_of(request.member, given["task"], given["lease"])
    task = under.task if under else request.project.tasks.filter(pk=given["task"]).first()
    if task is None:
        raise Conflict(_("This task is not here any more."))
    return answers.answer(
        member=request.member,
        task=task,
        purpose=under.purpose if under else Purpose.LABEL,
        visible=under.visible if under else {"unknown": "the lease was gone"},
        asked_label=form.labels.get(given["asked"]) if given["asked"] else None,
        **form.answer(),
    )


def _lease_of(member: Member, task_id: int, lease_id: int | None) -> Lease | None:
    """The member's lease on the task: the one that is named, else the newest. A task that came
    back with an answer taken back stands under a lease that the page may not know yet."""
    leases = member.leases.filter(task=task_id).select_related("task__project")
    return min(leases.order_by("-leased_at"), key=lambda one: one.pk != lease_id, default=None)


def _taken(
    request: PageRequest, around: PageForm, note: str = "", asked: DoubleCheck | None = None
) -> HttpResponse:
    if request.htmx:
        return _reply(request, around, said=_("Saved."), note=note, asked=asked)
    if note:
        messages.info(request, note)
    if asked is not None:
        messages.warning(request, render_to_string("labeling/_doubt.html", {"asked": asked}))
    return redirect("labeling:annotate", slug=request.project.slug)


def _show(request: PageRequest, *, away: Collection[int] = (), **more: Any) -> HttpResponse:
    """The page, or for htmx only the part of it that changes."""
    context = shell(request, "annotate", **_work(request, away), **more)
    template = "labeling/annotate.html#work" if request.htmx else "labeling/annotate.html"
    return render(request, template, context)


def _work(request: PageRequest, away: Collection[int] = ()) -> dict[str, Any]:
    found = at_hand(request.member, away=away)
    first, *ahead = found.pop("tasks") or [None]
    return {
        "panel": first,
        "ahead": ahead,
        "changes": news(request.member),
        **found,
        **(_found(request) if request.GET.get("q") else {}),
    }


def _reply(request: PageRequest, around: PageForm, **more: Any) -> HttpResponse:
    """What the script puts into the page: tasks that it lacks, and how far the member is."""
    held, away = around.cleaned_data.get("held", ()), around.cleaned_data.get("away", ())
    found = at_hand(request.member, held=held, away=away)
    ahead = found.pop("tasks")
    changes = news(request.member)
    context = shell(request, "annotate", ahead=ahead, changes=changes, **found, **more)
    return render(request, "labeling/annotate.html#reply", context)


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
