"""Merging, splitting, retiring and importing labels: first what would happen, then that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from labeling.access import Right, page
from labeling.actions.errors import ActionRefused
from labeling.actions.relabel import effects, merge_labels, split_label
from labeling.actions.taxonomy import LabelSpec, compare_labels, current_specs, current_taxonomy
from labeling.models import Label, TaxonomyVersion
from labeling.views.label_set import change_set
from labeling.views.labels_form import LabelsForm, as_text, labels_of
from labeling.views.pasted import PastedRefused, put_back
from labeling.views.shell import PageRequest, shell


class MergeForm(forms.Form):
    """The label that stays."""

    into = forms.ModelChoiceField(
        queryset=Label.objects.none(), label=gettext_lazy("Merge it into"), empty_label=None
    )


@page(Right.MANAGE)
@never_cache
@require_http_methods(["GET", "POST"])
def merge(request: PageRequest, label_id: int) -> HttpResponse:
    """Let a label be called another from now on."""
    label = _label(request, label_id)
    form = MergeForm(request.POST or None)
    field = form.fields["into"]
    assert isinstance(field, forms.ModelChoiceField)
    field.queryset = request.project.labels.active().exclude(pk=label.pk).order_by("name")

    def do() -> TaxonomyVersion:
        return merge_labels(labels=[label], into=form.cleaned_data["into"], by=request.member)

    return _change(request, label, form, "merge", do)


@page(Right.MANAGE)
@never_cache
@require_http_methods(["GET", "POST"])
def split(request: PageRequest, label_id: int) -> HttpResponse:
    """Put several new labels in the place of one."""
    label = _label(request, label_id)
    form = LabelsForm(request.POST or None, request.FILES or None)
    specs: list[LabelSpec] = []
    if form.is_bound and form.is_valid():
        specs = _read(form)

    def do() -> TaxonomyVersion:
        return split_label(label=label, into=specs, by=request.member)

    return _change(request, label, form, "split", do, specs=specs)


@page(Right.MANAGE)
@never_cache
@require_http_methods(["GET", "POST"])
def retire(request: PageRequest, label_id: int) -> HttpResponse:
    """Offer a label no more; what stands under it stays."""
    label = _label(request, label_id)
    number = current_taxonomy(request.project).number

    def do() -> TaxonomyVersion:
        specs = [spec for spec in current_specs(request.project) if spec.key != label.key]
        return change_set(request, specs, number)

    return _change(request, label, forms.Form(request.POST or None), "retire", do)


@page(Right.MANAGE)
@never_cache
@require_http_methods(["GET", "POST"])
def import_labels(request: PageRequest) -> HttpResponse:
    """Make the label set that of a file, after what changes was looked at."""
    form = LabelsForm(request.POST or None, request.FILES or None)
    content: dict[str, Any] = {"tab": "labels", "form": form}
    content["version"] = current_taxonomy(request.project).number
    if form.is_bound and form.is_valid():
        specs = _read(form)
        if specs:
            content["changes"] = compare_labels(project=request.project, specs=specs)
        if specs and "confirm" in request.POST:
            try:
                seen = request.POST.get("version", "")
                change_set(request, specs, int(seen) if seen.isdecimal() else 0)
            except ActionRefused as refused:
                form.add_error(None, refused.sentence(problems=3))
            else:
                messages.success(request, _("The label set is changed."))
                return redirect("labeling:label_set", request.project.slug)
    status = 422 if form.is_bound and form.errors else 200
    page = shell(request, "manage", **content)
    return render(request, "labeling/label_import.html", page, status=status)


def _label(request: PageRequest, label_id: int) -> Label:
    return get_object_or_404(request.project.labels.active().select_related("project"), pk=label_id)


def _read(form: forms.Form) -> list[LabelSpec]:
    """The labels of the form; what is wrong with them becomes its error."""
    try:
        specs = labels_of(form)
    except PastedRefused as refused:
        for problem in refused.sentences():
            form.add_error(None, problem)
        return []
    put_back(form, as_text(specs))
    return specs


def _change(
    request: PageRequest,
    label: Label,
    form: forms.Form,
    kind: str,
    do: Callable[[], TaxonomyVersion],
    **content: Any,
) -> HttpResponse:
    """Ask, say what would happen, and with `confirm` let it happen."""
    ready = form.is_bound and form.is_valid()
    if ready and "confirm" in request.POST:
        try:
            do()
        except ActionRefused as refused:
            form.add_error(None, refused.sentence(problems=3))
        else:
            said = {
                "merge": _("The labels are merged."),
                "split": _("The label is split. People are asked again."),
                "retire": _("The label is retired."),
            }
            messages.success(request, said[kind])
            return redirect("labeling:label_set", request.project.slug)
    content |= {
        "tab": "labels",
        "label": label,
        "form": form,
        "kind": kind,
        "ready": ready or kind == "retire",
        "effects": effects(request.project, [label]),
    }
    status = 422 if form.is_bound and form.errors else 200
    page = shell(request, "manage", **content)
    return render(request, "labeling/label_change.html", page, status=status)
