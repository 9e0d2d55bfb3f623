"""Disputes: who said what, what the machines think, and one key to settle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from django.contrib import messages
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from labeling.access import ProjectRequest, Right, page
from labeling.actions.adjudicate import adjudicate as settle
from labeling.actions.errors import ActionRefused
from labeling.actions.lease import CANDIDATES, candidate_ids, see_machines
from labeling.models import (
    Annotation,
    BenchmarkAnswer,
    Member,
    Purpose,
    Question,
    Role,
    Task,
    TaskStatus,
)
from labeling.views.forms import AnswerForm
from labeling.views.panel import build
from labeling.views.shell import shell

Said = TypeVar("Said", Annotation, BenchmarkAnswer)


@page(Right.REVIEW)
@never_cache
@require_http_methods(["GET", "POST"])
def adjudicate(request: ProjectRequest) -> HttpResponse:
    """The next disputed task, or the one that `?task=` names. What an expert answered for the
    benchmark is settled by somebody else, or by an admin."""
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
    disputed = _disputes_for(request.member)
    queue = disputed.select_related("project", "asked_label", "benchmark_item").order_by(
        "-priority", "pk"
    )
    task = (queue.filter(pk=wanted).first() if wanted.isdecimal() else None) or queue.first()
    content = shell(request, "adjudicate", sentence=sentence, left=disputed.count())
    if task is not None:
        said = _said(task)
        if not _in_benchmark(task):
            see_machines(member=request.member, task=task)
        content |= {
            "said": said,
            "panel": build(task, _visible(task, said)),
            "in_benchmark": _in_benchmark(task),
        }
    return render(request, "labeling/adjudicate.html", content, status=status)


def _disputes_for(member: Member) -> QuerySet[Task]:
    disputed = Task.objects.filter(project_id=member.project_id, status=TaskStatus.DISPUTED)
    if member.role == Role.ADMIN:
        return disputed
    own = BenchmarkAnswer.objects.filter(
        item__task=OuterRef("pk"), member=member, current=True, adjudicates=False
    )
    return disputed.filter(~Exists(own))


def _settle(request: ProjectRequest, form: AnswerForm) -> None:
    if not form.is_valid():
        raise ActionRefused(form.sentence())
    task = request.project.tasks.filter(pk=form.cleaned_data["task"]).first()
    if task is None:
        raise ActionRefused(_("This task is not here any more."))
    visible = _visible(task, _said(task))
    settle(member=request.member, task=task, visible=visible, **form.answer())


def _in_benchmark(task: Task) -> bool:
    return hasattr(task, "benchmark_item")


def _said(task: Task) -> list[Annotation | BenchmarkAnswer]:
    """The current answers to the present text; of a benchmark task those of its experts."""
    if _in_benchmark(task):
        experts = BenchmarkAnswer.objects.filter(item__task=task, current=True)
        return list(_in_words(experts.exclude(adjudicates=True)))
    answers = task.annotations.current().filter(revision=task.revision, purpose=Purpose.LABEL)
    return list(_in_words(answers))


def _in_words(answers: QuerySet[Said]) -> QuerySet[Said]:
    found = answers.select_related("member", "label", "asked_label")
    return found.prefetch_related("conf_labels").order_by("pk")


def _visible(task: Task, said: Sequence[Annotation | BenchmarkAnswer]) -> dict[str, Any]:
    """An expert sees all there is, but of a benchmark task nothing that machines said: those are
    measured by it. What people chose comes first among the candidates."""
    blind = _in_benchmark(task)
    chosen = [label for one in said if (label := one.label_id or one.asked_label_id) is not None]
    candidates = list(dict.fromkeys([*chosen, *([] if blind else candidate_ids(task))]))
    shown = dict.fromkeys(("scores", "documents", "verdicts", "reasoning"), not blind)
    return shown | {
        "revision": task.revision,
        "question": Question.MULTICLASS,
        "asked_label": None,
        "candidates": candidates[: max(CANDIDATES, len(set(chosen)))],
        "blind": blind,
        "rejected": [],
    }
