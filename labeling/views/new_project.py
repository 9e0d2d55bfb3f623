"""A new project: its address, its name and its labels, looked at before it is made."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from labeling.access import signed_in
from labeling.actions.errors import ActionRefused
from labeling.actions.projects import create_project
from labeling.actions.taxonomy import LabelSpec
from labeling.models import Project, User
from labeling.views.labels_form import LabelsForm, as_text, labels_of
from labeling.views.pasted import PastedRefused, put_back

SHOWN = 12


class NewProjectForm(LabelsForm):
    """A project to be."""

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
    field_order = ("name", "slug", "introduction", "labels", "file")

    def clean_slug(self) -> str:
        slug = str(self.cleaned_data["slug"])
        if Project.objects.filter(slug=slug).exists():
            raise forms.ValidationError(_("Another project has this address already."))
        return slug


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
    except PastedRefused as refused:
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
    refused: PastedRefused | None = None,
    status: int = 200,
) -> HttpResponse:
    if specs is not None:  # a file cannot be sent back, so what was read takes its place
        put_back(form, as_text(specs))
    content: dict[str, Any] = {
        "form": form,
        "specs": (specs or [])[:SHOWN],
        "count": len(specs or []),
        "more": max(0, len(specs or []) - SHOWN),
        "refused": refused,
    }
    return render(request, "labeling/new_project.html", content, status=status)
