"""Label mappings of a project: seen, added, replaced and removed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from labeling.access import Right, page
from labeling.actions.errors import ActionRefused
from labeling.actions.mappings import (
    make_mapping,
    parse_names,
    remove_mapping,
    replace_mapping,
    standing_names,
)
from labeling.formats.mapped_names import SUFFIXES, read_names
from labeling.models import LabelMapping
from labeling.views.pasted import PastedRefused, put_back, read_pasted
from labeling.views.shell import PageRequest, shell

Names = dict[str, str]


class NamesForm(forms.Form):
    """Names of an outside system with their labels, pasted, or from a file, which wins."""

    labels = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false"}),
        label=gettext_lazy("Names and labels"),
        help_text=gettext_lazy(
            "CSV whose first line is name,label, or JSON: an object of name and label."
        ),
    )
    file = forms.FileField(
        required=False,
        widget=forms.FileInput(attrs={"accept": ",".join(SUFFIXES)}),
        label=gettext_lazy("or a file with them"),
        help_text=gettext_lazy("CSV with the columns name and label, JSON or JSON lines."),
    )


class NewMappingForm(NamesForm):
    """The names, and what the mapping is called."""

    name = forms.CharField(
        max_length=64,
        label=gettext_lazy("Name of the mapping"),
        help_text=gettext_lazy("Letters from a to z, digits, “-” and “_”, such as crm-2026."),
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"}),
    )
    field_order = ("name", "labels", "file")


@page(Right.MANAGE)
@never_cache
@require_http_methods(["GET", "POST"])
def mappings(request: PageRequest) -> HttpResponse:
    """The mappings of the project. POST looks at a new one and, with `confirm`, saves it."""
    form = NewMappingForm(request.POST or None, request.FILES or None)

    def make(names: Names) -> LabelMapping:
        name = form.cleaned_data["name"]
        return make_mapping(
            project=request.project, name=name, pairs=names.items(), by=request.member
        )

    names, made = _looked_at(request, form, make)
    if made is not None:
        messages.success(request, _("The mapping is saved."))
        return redirect("labeling:mapping", request.project.slug, made.name)
    found = request.project.mappings.select_related("changed_by").annotate(n=Count("names"))
    return _show(request, "labeling/mappings.html", form, names=names, mappings=found)


@page(Right.MANAGE)
@never_cache
@require_http_methods(["GET", "POST"])
def mapping(request: PageRequest, name: str) -> HttpResponse:
    """One mapping. POST looks at other names for it and, with `confirm`, puts them in its place."""
    found = _mapping(request, name)
    form = NamesForm(request.POST or None, request.FILES or None)

    def replace(names: Names) -> LabelMapping:
        return replace_mapping(mapping=found, pairs=names.items(), by=request.member)

    names, changed = _looked_at(request, form, replace)
    if changed is not None:
        messages.success(request, _("The mapping is saved."))
        return redirect("labeling:mapping", request.project.slug, found.name)
    standing = standing_names(found)
    return _show(
        request, "labeling/mapping.html", form, names=names, mapping=found, standing=standing
    )


@page(Right.MANAGE)
@require_POST
def remove(request: PageRequest, name: str) -> HttpResponse:
    """Take a mapping away."""
    remove_mapping(mapping=_mapping(request, name), by=request.member)
    messages.success(request, _("The mapping is removed. What came in by it stays."))
    return redirect("labeling:mappings", request.project.slug)


def _mapping(request: PageRequest, name: str) -> LabelMapping:
    return get_object_or_404(
        request.project.mappings.select_related("project", "changed_by"), name=name
    )


def _looked_at(
    request: PageRequest, form: forms.Form, save: Callable[[Names], LabelMapping]
) -> tuple[Names | None, LabelMapping | None]:
    """The names of the form by label, if they are good, and with `confirm` what `save` made of
    them; what is wrong becomes the form's errors."""
    if not form.is_bound or not form.is_valid():
        return None, None
    try:
        pairs = read_pasted(form, SUFFIXES, ".csv", read_names)
        ids = parse_names(request.project, pairs)
        labels = request.project.labels.in_bulk(set(ids.values()))
        names = {name: labels[pk].name for name, pk in ids.items()}
        put_back(form, json.dumps(names, ensure_ascii=False, indent=1))
        return names, save(names) if "confirm" in request.POST else None
    except PastedRefused as refused:
        sentences = refused.sentences()
    except ActionRefused as refused:
        where = [detail.index for detail in refused.details[:10]]
        said = [detail.message for detail in refused.details[:10]]
        sentences = [refused.message, *map(_numbered, where, said)]
    for sentence in dict.fromkeys(sentences):
        form.add_error(None, sentence)
    return None, None


def _numbered(index: int | None, sentence: str) -> str:
    if index is None:
        return sentence
    return _("Row %(n)d: %(what)s") % {"n": index + 1, "what": sentence}


def _show(request: PageRequest, template: str, form: forms.Form, **content: Any) -> HttpResponse:
    status = 422 if form.is_bound and form.errors else 200
    content = shell(request, "manage", tab="labels", form=form, **content)
    return render(request, template, content, status=status)
