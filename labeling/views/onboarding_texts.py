"""The texts of the onboarding round: which were chosen, and why their answer is what it is."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from labeling.access import ProjectRequest, Right, page
from labeling.actions.errors import ActionRefused
from labeling.actions.onboarding_texts import choose_text, drop_text, tellable, texts_of, truths_of
from labeling.language import language_of
from labeling.models import OnboardingText
from labeling.views.forms import SHORT_NUMBER
from labeling.views.shell import shell
from labeling.views.tasks import task_of

NEWEST = 200


@page(Right.REVIEW)
@never_cache
@require_GET
def texts(request: ProjectRequest) -> HttpResponse:
    """The texts that rounds are taken from first, with what is told of each."""
    found = list(texts_of(request.project).select_related("task", "chosen_by")[:NEWEST])
    truths = truths_of(request.project, [one.task_id for one in found])
    rows = [
        {"text": one, "truth": truths.get(one.task_id), "language": language_of(one.task.text)}
        for one in found
    ]
    content = {"rows": rows, "there": tellable(request.project).count()}
    context = shell(request, "tasks", **content)
    return render(request, "labeling/onboarding_texts.html", context)


@page(Right.REVIEW)
@require_POST
def choose(request: ProjectRequest) -> HttpResponse:
    """Take a task that an expert settled into the texts, or change its explanation."""
    named = request.POST.get("task", "")
    task = task_of(request, int(named) if SHORT_NUMBER.fullmatch(named) else 0)
    try:
        choose_text(task=task, by=request.member, explanation=request.POST.get("explanation", ""))
    except ActionRefused as refused:
        messages.error(request, refused.message)
        return redirect("labeling:task", request.project.slug, task.pk)
    messages.success(request, _("The text is among those of the onboarding round."))
    return redirect("labeling:onboarding_texts", request.project.slug)


@page(Right.REVIEW)
@require_POST
def drop(request: ProjectRequest) -> HttpResponse:
    """Take a text out."""
    named = request.POST.get("text", "")
    text = get_object_or_404(
        OnboardingText.objects.select_related("task"),
        pk=int(named) if SHORT_NUMBER.fullmatch(named) else 0,
        task__project=request.project,
    )
    drop_text(text=text, by=request.member)
    messages.success(request, _("The text is asked in no round any more."))
    return redirect("labeling:onboarding_texts", request.project.slug)
