"""Erasing the text of a task, by admins, with its id typed once more."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from labeling.access import ProjectRequest, Right, page
from labeling.actions.erase import TRAINED, copies_of, erase_task
from labeling.actions.erase_words import outcome_in_words
from labeling.actions.errors import ActionRefused
from labeling.models import Erasure, Snapshot, Task
from labeling.views.shell import shell


class EraseForm(forms.Form):
    """Why, and that it is meant."""

    reason = forms.CharField(
        max_length=300,
        label=_("Why it is erased"),
        help_text=_("Without quoting the text: this is kept."),
    )
    copies = forms.BooleanField(required=False)
    confirm = forms.CharField(
        max_length=200,
        label=_("The id of the task, to show that you mean it"),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


@page(Right.MANAGE)
@never_cache
@require_http_methods(["GET", "POST"])
def erase(request: ProjectRequest, task_id: int) -> HttpResponse:
    """Say what would go, and let it go when the id is sent back."""
    task = get_object_or_404(Task, project=request.project, pk=task_id)
    form = EraseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            done = erase_task(task=task, by=request.member, **form.cleaned_data)
        except ActionRefused as refusal:
            form.add_error(
                "confirm" if form.cleaned_data["confirm"] != task.external_id else None,
                refusal.message,
            )
        else:
            for sentence in outcome_in_words(done):
                messages.success(request, sentence)
            return redirect("labeling:task", request.project.slug, task.pk)
    content: dict[str, Any] = {
        "task": task,
        "form": form,
        "erasure": Erasure.objects.filter(task=task).first(),
        "copies": copies_of(task).count(),
        "snapshots": request.project.snapshots.filter(status=Snapshot.Status.DONE).count(),
        "trained": request.project.artifacts.filter(active=True, kind__in=TRAINED).exists(),
    }
    status = 422 if request.method == "POST" else 200
    answer = shell(request, "tasks", **content)
    return render(request, "labeling/erase.html", answer, status=status)
