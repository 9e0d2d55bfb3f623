"""Disputes: who said what, what the machines think, and one key to settle."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from labeling.access import ProjectRequest, Right, page
from labeling.actions.adjudicate import adjudicate as settle
from labeling.actions.errors import ActionRefused
from labeling.actions.lease import CANDIDATES, candidate_ids
from labeling.models import Annotation, Purpose, Question, Task, TaskStatus
from labeling.views.forms import AnswerForm
from labeling.views.panel import build
from labeling.views.shell import shell


@page(Right.REVIEW)
@never_cache
@require_http_methods(["GET", "POST"])
def adjudicate(request: ProjectRequest) -> HttpResponse:
    """The next disputed task, or the one that `?task=` names."""
    sentence, status = "", 200
    wanted = request.GET.get("task", "")
    if request.method == "POST":
        form = AnswerForm(request.POST, project=request.project)
        try:
            _settle(request, form)
        except ActionRefused as refused:
            sentence, status = refused.message, 422
            wanted = request.POST.get("task", "")
        else:
            messages.success(request, _("Settled."))
            return redirect("labeling:adjudicate", slug=request.project.slug)
    disputed = request.project.tasks.filter(status=TaskStatus.DISPUTED)
    queue = disputed.select_related("project", "asked_label").order_by("-priority", "pk")
    task = (queue.filter(pk=wanted).first() if wanted.isdecimal() else None) or queue.first()
    content = shell(request, "adjudicate", sentence=sentence, left=disputed.count())
    if task is not None:
        said = _said(task)
        content |= {"said": said, "panel": build(task, _visible(task, said))}
    return render(request, "labeling/adjudicate.html", content, status=status)


def _settle(request: ProjectRequest, form: AnswerForm) -> None:
    if not form.is_valid():
        raise ActionRefused(form.sentence())
    task = request.project.tasks.filter(pk=form.cleaned_data["task"]).first()
    if task is None:
        raise ActionRefused(_("This task is not here any more."))
    visible = _visible(task, _said(task))
    settle(member=request.member, task=task, visible=visible, **form.answer())


def _said(task: Task) -> list[Annotation]:
    """The current answers to the present text."""
    answers = task.annotations.current().filter(revision=task.revision, purpose=Purpose.LABEL)
    return list(
        answers.select_related("member", "label", "asked_label")
        .prefetch_related("conf_labels")
        .order_by("pk")
    )


def _visible(task: Task, said: list[Annotation]) -> dict[str, Any]:
    """An expert sees all there is. What people chose comes first among the candidates."""
    chosen = [annotation.label_id for annotation in said if annotation.label_id is not None]
    candidates = list(dict.fromkeys([*chosen, *candidate_ids(task)]))
    shown = dict.fromkeys(("scores", "documents", "verdicts", "reasoning"), True)
    return shown | {
        "revision": task.revision,
        "question": Question.MULTICLASS,
        "asked_label": None,
        "candidates": candidates[: max(CANDIDATES, len(set(chosen)))],
        "blind": False,
        "rejected": [],
    }
