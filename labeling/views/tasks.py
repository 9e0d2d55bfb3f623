"""The task browser: what is there, found by text or by what became of it, and one task whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Prefetch
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from labeling.access import ProjectRequest, Right, page
from labeling.actions.answers import own_answers
from labeling.actions.browse import COUNTED, Walk, Wanted, hidden_from, matching, walk
from labeling.actions.lease import see_machines, see_machines_of
from labeling.actions.onboarding_texts import may_choose
from labeling.language import language_of
from labeling.models import (
    Annotation,
    AssignedTask,
    Erasure,
    Member,
    OnboardingText,
    Purpose,
    Resolution,
    Source,
    Task,
)
from labeling.views.panel import documents_of
from labeling.views.shell import shell
from labeling.views.story import story_of
from labeling.views.task_form import TaskFilterForm

PER_PAGE = 50
BY_MACHINE = frozenset({Source.AUTO})


@dataclass(frozen=True)
class Row:
    """A task of the list. Of one that is to be labeled blind nothing stands but its text."""

    task: Task
    language: str
    withheld: bool
    standing: Resolution | None
    names_label: bool
    """May the label that stands be read here, or is it a machine's and those are not shown?"""
    answers: int
    assigned_to: str


@page(Right.REVIEW)
@never_cache
@require_GET
def tasks(request: ProjectRequest) -> HttpResponse:
    """Tasks that the address asks for, newest first. What machines said is shown on request: who
    has read it is not asked for a blind answer any more."""
    form = TaskFilterForm(request.GET, project=request.project)
    wanted = form.wanted()
    found = matching(request.member, wanted)
    below = _below(request)
    looked = walk(found, most=PER_PAGE + 1, below=below)
    ids = looked.ids[:PER_PAGE]
    is_full = len(looked.ids) > PER_PAGE
    content: dict[str, Any] = {
        "form": form,
        "wanted": wanted,
        "rows": _rows(request.member, ids, wanted),
        # A first page that is not full has looked at all there was time for.
        "count": _count(walk(found, most=COUNTED + 1) if is_full or below else looked),
        "address": _address(request),
        "older": ids[-1] if is_full else None,
        "go_on": None if is_full else looked.left_at,
        "is_first": below is None,
    }
    return render(request, "labeling/tasks.html", shell(request, "tasks", **content))


def _below(request: ProjectRequest) -> int | None:
    given = request.GET.get("below", "")
    return int(given) if given.isdecimal() and len(given) < 19 else None


def _address(request: ProjectRequest) -> str:
    """The filter as a query, to which links add where to go on."""
    query = request.GET.copy()
    for name in list(query):
        if name not in TaskFilterForm.base_fields or not query[name]:
            del query[name]
    return query.urlencode()


def _count(looked: Walk) -> str:
    n = len(looked.ids)
    if n > COUNTED:
        return _("over %(n)s tasks") % {"n": number_format(COUNTED, force_grouping=True)}
    said = ngettext("%(n)s task", "%(n)s tasks", n) % {"n": number_format(n, force_grouping=True)}
    return said if looked.left_at is None else _("%(said)s so far") % {"said": said}


def _rows(member: Member, ids: Sequence[int], wanted: Wanted) -> list[Row]:
    standing = Resolution.objects.current().select_related("label", "member", "decision__policy")
    shown = (
        Task.objects.filter(pk__in=ids)
        .annotate(withheld=hidden_from(member))
        .select_related("prediction__label")
        .prefetch_related(Prefetch("resolutions", queryset=standing, to_attr="standing"))
    )
    assigned = AssignedTask.objects.live().filter(task__in=ids).select_related("assignment__member")
    holders = {one.task_id: one.assignment.to for one in assigned}
    answers = Annotation.objects.current().filter(task__in=ids, purpose=Purpose.LABEL).order_by()
    counts = dict(answers.values_list("task").annotate(n=Count("pk")))
    rows = [
        _row(task, wanted, counts.get(task.pk, 0), holders.get(task.pk, ""))
        for task in shown.order_by("-pk")
    ]
    if wanted.shows_machines:
        see_machines_of(member=member, tasks=[row.task for row in rows if not row.withheld])
    return rows


def _row(task: Any, wanted: Wanted, answers: int, assigned_to: str) -> Row:
    standing = task.standing[0] if task.standing else None
    return Row(
        task=task,
        language=language_of(task.text),
        withheld=task.withheld,
        standing=None if task.withheld else standing,
        names_label=standing is not None
        and (wanted.shows_machines or standing.source not in BY_MACHINE),
        answers=answers,
        assigned_to=assigned_to,
    )


@page(Right.REVIEW)
@never_cache
@require_GET
def task(request: ProjectRequest, task_id: int) -> HttpResponse:
    """Everything about one task in order of time. To read it is to have seen the machines; what is
    to be labeled blind shows its text and the reader's own answers alone."""
    found = task_of(request, task_id)
    content: dict[str, Any] = {
        "task": found,
        "language": language_of(found.text),
        "withheld": found.withheld,
        "erasure": Erasure.objects.filter(task=found).first(),
    }
    if found.withheld:
        own = own_answers(request.member).filter(task=found)
        content["own"] = own.select_related("label", "asked_label").prefetch_related("conf_labels")
    else:
        see_machines(member=request.member, task=found)
        content |= _whole(found)
    return render(request, "labeling/task.html", shell(request, "tasks", **content))


def task_of(request: ProjectRequest, task_id: int) -> Any:
    """The project's task, with `withheld`: is it to be labeled blind?"""
    tasks = Task.objects.annotate(withheld=hidden_from(request.member))
    return get_object_or_404(tasks.select_related("project"), project=request.project, pk=task_id)


def _whole(task: Task) -> dict[str, Any]:
    chain = task.resolutions.select_related("label", "member", "decision__policy", "original__task")
    resolutions = list(chain.prefetch_related("conf_labels").order_by("-pk"))
    assigned = AssignedTask.objects.live().filter(task=task).select_related("assignment__member")
    return {
        "assignment": next((one.assignment for one in assigned), None),
        "standing": next((one for one in resolutions if one.current), None),
        "chain": resolutions,
        "entries": story_of(task),
        "documents": documents_of(task),
        "in_benchmark": hasattr(task, "benchmark_item"),
        "may_teach": may_choose(task),
        "teaches": OnboardingText.objects.chosen().filter(task=task).first(),
    }
