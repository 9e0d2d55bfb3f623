"""Disputes: who said what, what the machines think, and one key to settle."""

from __future__ import annotations

import re
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
from labeling.actions.disputes import UNK, confused_pairs, with_pair
from labeling.actions.errors import ActionRefused
from labeling.actions.lease import see_machines
from labeling.actions.shown import CANDIDATES, candidate_ids
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
from labeling.views.sides import sides_of

Said = TypeVar("Said", Annotation, BenchmarkAnswer)


@page(Right.REVIEW)
@never_cache
@require_http_methods(["GET", "POST"])
def adjudicate(request: ProjectRequest) -> HttpResponse:
    """The next disputed task, of a pair of answers where `?pair=` names one, or the one that
    `?task=` names. What an expert answered for the
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
            return _next(request)
    everything = _disputes_for(request.member)
    pair = _pair(request)
    disputed = with_pair(everything, *pair) if pair else everything
    queue = disputed.select_related("project", "asked_label", "benchmark_item").order_by(
        "-priority", "pk"
    )
    task = (queue.filter(pk=wanted).first() if wanted.isdecimal() else None) or queue.first()
    content = shell(request, "adjudicate", sentence=sentence, left=disputed.count())
    content |= {"pairs": _pairs(request, everything), "pair": "-".join(map(str, pair or ()))}
    if task is not None:
        said = said_of(task)
        if not _in_benchmark(task):
            see_machines(member=request.member, task=task)
        panel = build(task, visible_of(task, said))
        content |= {
            "sides": sides_of(panel, said),
            "panel": panel,
            "in_benchmark": _in_benchmark(task),
            "comment": request.POST.get("comment", "")[:2000],
            "note_back": request.POST.get("note_back", "")[:2000],
            "reviewing": True,
        }
    return render(request, "labeling/adjudicate.html", content, status=status)


def _next(request: ProjectRequest) -> HttpResponse:
    """The page again, for the next of the same pair."""
    address = redirect("labeling:adjudicate", slug=request.project.slug)
    pair = _pair(request)
    if pair:
        address["Location"] += "?pair={}-{}".format(*pair)
    return address


def _pair(request: ProjectRequest) -> tuple[int, int] | None:
    """The two answers that the address names, by ids of labels."""
    found = re.fullmatch(r"([0-9]{1,18})-([0-9]{1,18})", request.GET.get("pair", ""))
    return (int(found[1]), int(found[2])) if found else None


def _pairs(request: ProjectRequest, disputed: QuerySet[Task]) -> list[dict[str, Any]]:
    """What people confuse most often, in words."""
    names = dict(request.project.labels.values_list("pk", "name")) | {UNK: _("nobody can choose")}
    return [
        {"pair": pair, "one": names.get(pair.one), "other": names.get(pair.other)}
        for pair in confused_pairs(disputed.filter(benchmark_item__isnull=True))
    ]


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
    visible = visible_of(task, said_of(task))
    settle(member=request.member, task=task, visible=visible, **form.review())


def _in_benchmark(task: Task) -> bool:
    return hasattr(task, "benchmark_item")


def said_of(task: Task) -> list[Annotation | BenchmarkAnswer]:
    """The current answers to the present text; of a benchmark task those of its experts."""
    if _in_benchmark(task):
        experts = BenchmarkAnswer.objects.filter(item__task=task, current=True)
        return list(_in_words(experts.exclude(adjudicates=True)))
    answers = task.annotations.current().filter(revision=task.revision, purpose=Purpose.LABEL)
    return list(_in_words(answers))


def _in_words(answers: QuerySet[Said]) -> QuerySet[Said]:
    found = answers.select_related("member", "label", "asked_label")
    return found.prefetch_related("conf_labels").order_by("pk")


def visible_of(task: Task, said: Sequence[Annotation | BenchmarkAnswer]) -> dict[str, Any]:
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
