"""The exact prompt of a task for an LLM validator, to look at before and after it is used.

The web process does not know how prompts are made: a job puts one together, this page waits for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from labeling.actions.previews import request_preview
from labeling.admin.base import actor, managed_by, project_shell
from labeling.models import Project, PromptPreview, Task, Validator

SHOWN = 20
POLL_SECONDS = 2
CUT = {
    "domain": gettext_lazy("introduction and guidelines"),
    "instructions": gettext_lazy("instructions"),
    "shots": gettext_lazy("solved examples"),
    "cards": gettext_lazy("label cards"),
    "documents": gettext_lazy("documents"),
    "text": gettext_lazy("the text"),
    "notes": gettext_lazy("notes"),
}
ROLES = {
    "user": gettext_lazy("The message to the model"),
    "assistant": gettext_lazy("The answer, begun for it"),
}
_TAG = re.compile(r"\[/?[A-Z]+\]")


def urls() -> list[URLPattern]:
    """Addresses below those of the project's admin page."""
    guarded = admin.site.admin_view
    return [
        path("<int:pk>/prompts/", guarded(overview), name="labeling_project_prompts"),
        path(
            "<int:pk>/prompts/<int:preview_id>/", guarded(preview), name="labeling_project_prompt"
        ),
    ]


class PreviewForm(forms.Form):
    """Which task, for which validator."""

    validator = forms.ModelChoiceField(
        queryset=Validator.objects.none(), label=gettext_lazy("Validator"), empty_label=None
    )
    task = forms.CharField(max_length=200, label=gettext_lazy("Id of the task"))

    def __init__(self, subject: Project, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "label_suffix": ""})
        self.subject = subject
        choice = self.fields["validator"]
        assert isinstance(choice, forms.ModelChoiceField)
        choice.queryset = llms(subject)

    def clean_task(self) -> Task:
        given = self.cleaned_data["task"].strip()
        task = self.subject.tasks.filter(external_id=given).first()
        if task is None:
            raise forms.ValidationError(
                _("The project has no task “%(id)s”."), params={"id": given}, code="no_task"
            )
        return task


def llms(subject: Project) -> Any:
    """The LLMs in use."""
    return subject.validators.filter(kind=Validator.Kind.LLM, active=True).order_by("name")


@require_http_methods(["GET", "HEAD", "POST"])
def overview(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for a prompt, and find those asked for before; other projects are not there (404)."""
    subject = get_object_or_404(managed_by(request.user), pk=pk)
    form = PreviewForm(subject, request.POST or None, initial={"task": _newest_task(subject)})
    if request.method == "POST" and form.is_valid():
        chosen = form.cleaned_data
        made = request_preview(
            task=chosen["task"], validator=chosen["validator"], by=actor(request, subject)
        )
        return redirect("admin:labeling_project_prompt", subject.pk, made.pk)
    content = {"form": form, "llms": llms(subject).exists(), "previews": _of(subject)[:SHOWN]}
    status = 422 if form.errors else 200
    shell = project_shell(request, subject, **content)
    return render(request, "admin/prompts/page.html", shell, status=status)


@require_GET
def preview(request: HttpRequest, pk: int, preview_id: int) -> HttpResponse:
    """One prompt; htmx asks again for its part until it is made, or cannot be."""
    subject = get_object_or_404(managed_by(request.user), pk=pk)
    found = get_object_or_404(_of(subject), pk=preview_id)
    waits = found.status == PromptPreview.Status.WAITING
    content = {
        "preview": found,
        "every": POLL_SECONDS if waits else None,
        "cut": [CUT.get(part, part) for part in found.cut],
        "messages_sent": [_shown(message) for message in found.messages],
        "is_old": found.revision != found.task.revision,
    }
    whole = getattr(request, "htmx", False)
    template = "admin/prompts/preview.html" + ("#prompt" if whole else "")
    return render(request, template, project_shell(request, subject, **content))


@dataclass(frozen=True)
class Message:
    """One message of the chat: whose it is, in words, and its lines with their kinds."""

    who: str
    lines: list[tuple[str, str]]


def _shown(message: dict[str, str]) -> Message:
    role = message["role"]
    lines = [(_kind(line), line) for line in message["content"].split("\n")]
    return Message(str(ROLES.get(role, role)), lines)


def _kind(line: str) -> str:
    """What a line of a prompt is: data, a project's own instruction, a tag, or ours."""
    if line.startswith("| "):
        return "data"
    if line.startswith("> "):
        return "own"
    return "tag" if _TAG.fullmatch(line) else ""


def _of(subject: Project) -> Any:
    found = PromptPreview.objects.filter(task__project=subject)
    return found.select_related("task", "validator").order_by("-pk")


def _newest_task(subject: Project) -> str:
    newest = subject.tasks.filter(prediction__isnull=False).order_by("-pk")
    return newest.values_list("external_id", flat=True).first() or ""
