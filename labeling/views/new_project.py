"""A new project: its address, its name and its labels, looked at before it is made."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from labeling.access import signed_in
from labeling.actions.errors import ActionRefused, Detail
from labeling.actions.projects import create_project
from labeling.actions.taxonomy import LabelSpec, parse_labels
from labeling.formats.labels import SUFFIXES, read_labels
from labeling.formats.records import FileRefused
from labeling.models import Project, User
from labeling.views.uploads import on_disk, on_disk_as

MAX_LABELS_BYTES = 5 * 1024 * 1024
SHOWN = 12


class NewProjectForm(forms.Form):
    """A project to be; labels are pasted, or come from a file, which wins."""

    name = forms.CharField(max_length=200, label=gettext_lazy("Name"))
    slug = forms.SlugField(
        max_length=64,
        label=gettext_lazy("Address"),
        help_text=gettext_lazy("Letters, digits and hyphens; it stands in links and stays."),
    )
    introduction = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        label=gettext_lazy("What the texts are about"),
    )
    labels = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 12, "spellcheck": "false"}),
        label=gettext_lazy("Labels"),
        help_text=gettext_lazy(
            "One name a line, or JSON: a list of names or of objects with key, name, description, "
            "examples and counter_examples."
        ),
    )
    file = forms.FileField(
        required=False,
        widget=forms.FileInput(attrs={"accept": ",".join(SUFFIXES)}),
        label=gettext_lazy("or a file with them"),
        help_text=gettext_lazy("CSV with the column name, JSON, JSON lines, YAML or text."),
    )

    def clean_slug(self) -> str:
        slug = str(self.cleaned_data["slug"])
        if Project.objects.filter(slug=slug).exists():
            raise forms.ValidationError(_("Another project has this address already."))
        return slug


class LabelsRefused(Exception):
    """Labels that cannot be read, with every problem."""

    def __init__(self, message: str, details: list[Detail]) -> None:
        super().__init__(message)
        self.message, self.details = message, details


def labels_of(form: forms.Form) -> list[LabelSpec]:
    """The labels of a form with `labels` and `file`, or LabelsRefused."""
    upload, pasted = form.cleaned_data.get("file"), str(form.cleaned_data.get("labels") or "")
    try:
        if upload is not None:
            with on_disk(upload, SUFFIXES, MAX_LABELS_BYTES) as path:
                raw = read_labels(path)
        elif pasted.strip():
            kind = ".json" if pasted.lstrip()[:1] in "[{" else ".txt"
            with on_disk_as(pasted.encode(), _("labels") + kind) as path:
                raw = read_labels(path)
        else:
            raise LabelsRefused(_("Paste labels or choose a file with them."), [])
        return parse_labels(raw)
    except FileRefused as refused:
        raise LabelsRefused(str(refused), []) from refused
    except ActionRefused as refused:
        raise LabelsRefused(refused.message, refused.details) from refused


def as_text(specs: list[LabelSpec]) -> str:
    """Labels as the text field takes them back: names where that is all, else JSON."""
    if all(spec == LabelSpec(key="_".join(spec.name.split()), name=spec.name) for spec in specs):
        return "\n".join(spec.name for spec in specs)
    return json.dumps([vars(spec) for spec in specs], ensure_ascii=False, indent=1)


def put_back(form: forms.Form, specs: list[LabelSpec]) -> None:
    """Show the labels that were read in the place of what was pasted or uploaded."""
    sent = {name: form.data[name] for name in form.data}
    form.data = sent | {"labels": as_text(specs)}


@signed_in
@require_http_methods(["GET", "POST"])
def new_project(request: HttpRequest) -> HttpResponse:
    """The form; a POST shows the labels as they were read, and with `make` makes the project."""
    user = request.user
    assert isinstance(user, User)
    if request.method != "POST":
        return _shown(request, NewProjectForm())
    form = NewProjectForm(request.POST, request.FILES)
    valid = form.is_valid()
    try:
        specs = labels_of(form)
    except LabelsRefused as refused:
        return _shown(request, form, refused=refused, status=422)
    if not valid:
        return _shown(request, form, specs=specs, status=422)
    if "make" not in request.POST:
        return _shown(request, form, specs=specs)
    given = form.cleaned_data
    settings = {"introduction": given["introduction"]} if given["introduction"] else None
    try:
        made = create_project(
            slug=given["slug"], name=given["name"], labels=specs, by=user, settings=settings
        )
    except ActionRefused as error:
        form.add_error(None, error.message)
        return _shown(request, form, specs=specs, status=422)
    messages.success(request, _("The project is made. You are its admin."))
    return redirect("labeling:overview", made.slug)


def _shown(
    request: HttpRequest,
    form: NewProjectForm,
    *,
    specs: list[LabelSpec] | None = None,
    refused: LabelsRefused | None = None,
    status: int = 200,
) -> HttpResponse:
    if specs is not None:  # a file cannot be sent back, so what was read takes its place
        put_back(form, specs)
    content: dict[str, Any] = {
        "form": form,
        "specs": (specs or [])[:SHOWN],
        "count": len(specs or []),
        "more": max(0, len(specs or []) - SHOWN),
        "refused": refused,
    }
    return render(request, "labeling/new_project.html", content, status=status)
