"""The round that a new member labels before they begin: one text, then what experts say of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling.access import ProjectRequest, Right, page
from labeling.actions import onboarding as actions
from labeling.actions.annotate import answer
from labeling.actions.errors import ActionRefused
from labeling.actions.onboarding_texts import in_onboarding, truths_of
from labeling.language import direction_of, language_of
from labeling.models import OnboardingItem, OnboardingRound, Purpose
from labeling.views.forms import AnswerForm
from labeling.views.panel import build
from labeling.views.search import cards
from labeling.views.shell import shell


@page(Right.ANNOTATE)
@never_cache
@require_http_methods(["GET", "POST"])
def onboarding(request: ProjectRequest) -> HttpResponse:
    """The text that comes next; before a round what it is, and after one what came of it. A POST
    answers, and is followed by what experts say."""
    last = actions.last_round(request.member)
    is_open = last is not None and last.outcome == OnboardingRound.Outcome.OPEN
    item = actions.next_item(last) if last is not None and is_open else None
    if request.method == "POST":
        return _take(request, item)
    return _asked(request, item) if item else _between(request, last)


@page(Right.ANNOTATE)
@require_POST
def begin(request: ProjectRequest) -> HttpResponse:
    """Draw a round, or go on with the one under way."""
    try:
        actions.begin(member=request.member)
    except ActionRefused as refused:
        messages.error(request, refused.message)
    return redirect("labeling:onboarding", slug=request.project.slug)


@page(Right.ANNOTATE)
@never_cache
@require_GET
def told(request: ProjectRequest, item_id: int) -> HttpResponse:
    """What experts say of a text that the member has answered in a round."""
    answered = OnboardingItem.objects.filter(
        round__member=request.member, annotation__isnull=False
    ).select_related("task__project", "task__onboarding_text", "round", "annotation__label")
    item = get_object_or_404(answered, pk=item_id)
    language = language_of(item.task.text)
    content = {
        **_told(request, [item])[0],
        "language": language,
        "direction": direction_of(language),
        "left": item.round.items.filter(annotation__isnull=True).count(),
    }
    return render(request, "labeling/onboarding_told.html", shell(request, "annotate", **content))


def _take(request: ProjectRequest, item: OnboardingItem | None) -> HttpResponse:
    """Store the answer; one that is sent twice counts once."""
    form = AnswerForm(request.POST, project=request.project)
    try:
        if not form.is_valid():
            raise ActionRefused(form.sentence())
        task = request.project.tasks.filter(pk=form.cleaned_data["task"]).first()
        if task is None:
            raise ActionRefused(_("This task is not here any more."))
        visible = item.visible if item is not None and item.task_id == task.pk else {}
        given = {"purpose": Purpose.ONBOARDING, "visible": visible, **form.answer()}
        outcome = answer(member=request.member, task=task, **given)
    except ActionRefused as refused:
        if item is None:
            messages.error(request, refused.message)
            return redirect("labeling:onboarding", slug=request.project.slug)
        return _asked(request, item, sentence=refused.message, status=422)
    of = OnboardingItem.objects.get(annotation=outcome.annotation)
    return redirect("labeling:onboarding_told", request.project.slug, of.pk)


def _asked(request: ProjectRequest, item: OnboardingItem, **more: Any) -> HttpResponse:
    status = more.pop("status", 200)
    content = {
        "panel": build(item.task, item.visible),
        "place": item.round.items.filter(annotation__isnull=False).count() + 1,
        "of": item.round.items.count(),
        **more,
    }
    context = shell(request, "annotate", **content)
    return render(request, "labeling/onboarding.html", context, status=status)


def _between(request: ProjectRequest, last: OnboardingRound | None) -> HttpResponse:
    waits = in_onboarding(request.member)
    if last is None and not waits:
        return redirect("labeling:annotate", slug=request.project.slug)
    content: dict[str, Any] = {"last": last, "waits": waits}
    if last is not None:
        rows = last.items.filter(annotation__isnull=False)
        rows = rows.select_related(
            "task__project", "task__onboarding_text", "round", "annotation__label"
        )
        items = _told(request, rows.order_by("place"))
        content |= {
            "items": items,
            "right": sum(bool(one["item"].is_right) for one in items),
            "needed": actions.needed(last, len(items)),
        }
    return render(
        request, "labeling/onboarding_between.html", shell(request, "annotate", **content)
    )


def _told(request: ProjectRequest, items: Iterable[OnboardingItem]) -> list[dict[str, Any]]:
    """Answered texts, each with the experts' answer while that stands and may be told."""
    answered = list(items)
    truths = truths_of(request.project, [item.task_id for item in answered])
    known = cards(request.project)
    rows = []
    for item in answered:
        truth = truths.get(item.task_id)
        named = [truth.label, *truth.conf_labels] if truth else []
        text = getattr(item.task, "onboarding_text", None)
        rows.append(
            {
                "item": item,
                "annotation": item.annotation,
                "truth": truth,
                "cards": [known[one.pk] for one in named if one is not None and one.pk in known],
                "explanation": text.explanation if truth and text else "",
            }
        )
    return rows
