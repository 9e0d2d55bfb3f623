"""What is done to many tasks at once: the number first, then the deed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from labeling.access import ProjectRequest, Right, has_right, page
from labeling.actions.assign import assign, release
from labeling.actions.browse import Wanted, matching, walk
from labeling.actions.errors import ActionRefused
from labeling.actions.many import (
    MOST,
    Done,
    keep_for_experts,
    open_to_everybody,
    reopen,
    send_to_expert,
)
from labeling.actions.picked import send_to_audit
from labeling.views import shortages
from labeling.views.assignments import AssignForm
from labeling.views.shell import shell
from labeling.views.task_form import TaskFilterForm

SECONDS = 20.0
"""To find all tasks that match, which is worth waiting for."""


@dataclass(frozen=True)
class Deed:
    do: Callable[..., Done]
    title: Any
    words: Any
    form: type[AssignForm] | None = None
    """What else is asked before it is done."""
    minds_filter: bool = False
    """Does it matter that the tasks were chosen by what machines said?"""


def _assign(**given: Any) -> Done:
    _assignment, done = assign(**given)
    return done


DEEDS = {
    "reopen": Deed(
        reopen,
        gettext_lazy("Ask people anew"),
        gettext_lazy(
            "What stands for these tasks is withdrawn, and people are asked anew, also those who "
            "have answered. Tasks on which nothing stands, and those of the benchmark, are left."
        ),
    ),
    "expert": Deed(
        send_to_expert,
        gettext_lazy("Send to an expert"),
        gettext_lazy(
            "These tasks go among the disputes, and what stands for them is withdrawn. Tasks at "
            "which machines work, and those of the benchmark, are left."
        ),
    ),
    "keep": Deed(
        keep_for_experts,
        gettext_lazy("Keep for experts"),
        gettext_lazy(
            "Regular annotators are not asked of these tasks any more, only experts and admins. "
            "Answers that were given count on."
        ),
    ),
    "open": Deed(
        open_to_everybody,
        gettext_lazy("Open to everybody"),
        gettext_lazy("Regular annotators are asked of these tasks again."),
    ),
    "assign": Deed(
        _assign,
        gettext_lazy("Assign"),
        gettext_lazy(
            "These tasks come first to whom you choose, and to others only once they are released "
            "or the time is over. Left as they are: tasks that wait for nobody, that are assigned "
            "or in somebody else's hand, and what the person has answered, passed on or may not "
            "answer."
        ),
        AssignForm,
    ),
    "audit": Deed(
        send_to_audit,
        gettext_lazy("Send to audit"),
        gettext_lazy(
            "An expert who has not seen what the machines said labels these tasks, blind, and a "
            "label that is contradicted gives way. Nobody drew them by chance, so they count in no "
            "estimate of how good the rest is. Tasks whose label people gave, and what an expert "
            "has looked at, are left."
        ),
        minds_filter=True,
    ),
    "release": Deed(
        release,
        gettext_lazy("Release"),
        gettext_lazy("Whoever these tasks were assigned to: they are for everybody again."),
    ),
}


@page(Right.REVIEW)
@require_POST
def act(request: ProjectRequest) -> HttpResponse:
    """Say how many tasks it would be; where that number was confirmed, do it."""
    deed = DEEDS.get(request.POST.get("do", ""))
    if deed is None:
        raise Http404(_("There is nothing of this kind to do."))
    form = TaskFilterForm(request.GET, project=request.project)
    try:
        tasks = _chosen(request, form.wanted())
        confirmed = request.POST.get("n") == str(len(tasks))
        more = None
        if deed.form is not None:
            more = deed.form(request.POST if confirmed else None, project=request.project)
        if not confirmed or (more is not None and not more.is_valid()):
            changed = "n" in request.POST and not confirmed
            return _asked(request, deed, tasks, form=more, changed=changed)
        given = more.given() if more is not None else {}
        if deed.minds_filter:
            given["knows"] = form.wanted().shows_machines
        done = deed.do(tasks=tasks, by=request.member, **given)
    except ActionRefused as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, _said(done))
        if deed.do is keep_for_experts:
            for sentence in shortages.experts(request.project):
                messages.warning(request, sentence)
    address = redirect("labeling:tasks", request.project.slug)
    address["Location"] += f"?{request.GET.urlencode()}" if request.GET else ""
    return address


def _asked(request: ProjectRequest, deed: Deed, tasks: list[int], **content: Any) -> HttpResponse:
    """The page that says how many it would be and waits for a yes."""
    content |= {
        "deed": deed,
        "do": request.POST["do"],
        "n": len(tasks),
        "chosen": [] if "all" in request.POST else tasks,
    }
    return render(request, "labeling/many.html", shell(request, "tasks", **content))


def _chosen(request: ProjectRequest, wanted: Wanted) -> list[int]:
    """The tasks that were ticked, or, for admins, all that the filter finds."""
    found = matching(request.member, wanted)
    if "all" in request.POST:
        if not has_right(request.member, Right.MANAGE):
            raise ActionRefused(_("Only admins change all that match; tick the tasks you mean."))
        looked = walk(found, most=MOST, seconds=SECONDS)
        ids = looked.ids
    else:
        given = request.POST.getlist("task")[:MOST]
        ticked = [int(one) for one in given if one.isdecimal() and len(one) < 19]
        mine = matching(request.member, Wanted()).filter(pk__in=ticked)
        ids = list(mine.order_by("-pk").values_list("pk", flat=True))
    if not ids:
        raise ActionRefused(_("No task was chosen: tick some with the key x or by hand."))
    return ids


def _said(done: Done) -> str:
    said = ngettext("%(n)d task was changed.", "%(n)d tasks were changed.", done.changed)
    words = said % {"n": done.changed}
    if done.left:
        left = ngettext("%(n)d was left as it is.", "%(n)d were left as they are.", done.left) % {
            "n": done.left
        }
        words = f"{words} {left}"
    return words
