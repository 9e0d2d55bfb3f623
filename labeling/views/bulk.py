"""Lists of look-alike texts: one label confirmed for all, exceptions unticked."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from labeling.access import Right, page
from labeling.actions import bulk as actions
from labeling.actions.errors import ActionRefused
from labeling.actions.lease import see_machines_of
from labeling.language import direction_of, language_of
from labeling.views.forms import SHORT_NUMBER, BulkForm
from labeling.views.search import cards
from labeling.views.shell import PageRequest, shell

MOST_LABELS = 30
REMEMBERED = 500
"""Exceptions of this session that are not offered in a list again."""


@page(Right.ANNOTATE)
@never_cache
@require_http_methods(["GET", "POST"])
def bulk(request: PageRequest) -> HttpResponse:
    """The list of the label that `?label=` names, else of that with most texts; POST takes it."""
    sentence, status = "", 200
    if request.method == "POST":
        try:
            _confirm(request)
        except ActionRefused as refused:
            sentence, status = refused.message, 422
        else:
            return redirect(reverse("labeling:bulk", args=[request.project.slug]))
    content = _content(request) | {"sentence": sentence}
    return render(request, "labeling/bulk.html", shell(request, "bulk", **content), status=status)


def _content(request: PageRequest) -> dict[str, Any]:
    found = actions.groups(request.member, without=_exceptions(request))
    known = cards(request.project)
    labels = [(known[pk], len(tasks)) for pk, tasks in found.items() if pk in known]
    wanted = request.GET.get("label", "")
    chosen = int(wanted) if SHORT_NUMBER.fullmatch(wanted) else 0
    chosen = chosen if chosen in found else next(iter(found), 0)
    content = {
        "allowed": actions.allowed(request.member),
        "labels": labels[:MOST_LABELS],
        "card": known.get(chosen),
    }
    label = request.project.labels.filter(pk=chosen).first()
    if label is None:
        return content
    alike = actions.look_alikes(label, found[chosen])
    see_machines_of(member=request.member, tasks=alike.tasks)
    rows = [
        {
            "task": task,
            "language": language_of(task.text),
            "direction": direction_of(language_of(task.text)),
            "share": alike.shares.get(task.pk) if request.project.show_scores else None,
            "client_id": uuid.uuid4(),
        }
        for task in alike.tasks
    ]
    return content | {"alike": alike, "rows": rows}


def _confirm(request: PageRequest) -> None:
    form = BulkForm(request.POST, project=request.project)
    if not form.is_valid():
        raise ActionRefused(form.sentence())
    given = form.cleaned_data
    ticked = set(given["ticked"])
    listed = given["row"]
    exceptions = [pk for pk in listed if pk not in ticked]
    done = actions.confirm(
        member=request.member,
        label=given["label"],
        tasks={pk: row for pk, row in listed.items() if pk in ticked},
        seconds=given["seconds"],
        by=given["by"],
    )
    request.session[_key(request)] = [*_exceptions(request), *exceptions][-REMEMBERED:]
    said = ngettext("%(n)d answer is stored.", "%(n)d answers are stored.", done.stored)
    messages.success(request, said % {"n": done.stored})
    if done.refused:
        kept = ngettext(
            "%(n)d text was left alone: somebody has it in hand, or it changed.",
            "%(n)d texts were left alone: somebody has them in hand, or they changed.",
            done.refused,
        )
        messages.info(request, kept % {"n": done.refused})
    if exceptions:
        left = ngettext(
            "%(n)d exception comes on the labeling page.",
            "%(n)d exceptions come on the labeling page.",
            len(exceptions),
        )
        messages.info(request, left % {"n": len(exceptions)})


def _key(request: PageRequest) -> str:
    return f"bulk-exceptions-{request.project.pk}"


def _exceptions(request: PageRequest) -> list[int]:
    return list(request.session.get(_key(request), ()))
