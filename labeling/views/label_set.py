"""The label set: searched by everybody, changed by admins, every version with its differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from labeling.access import Right, page
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.taxonomy import (
    LabelSpec,
    current_specs,
    current_taxonomy,
    parse_labels,
    set_labels,
)
from labeling.models import Label, Project, TaxonomyVersion
from labeling.views.search import label_index
from labeling.views.shell import PageRequest, shell

VERSIONS = 30
LISTED = 500
BELONGS = " => "
BREAK = " ↵ "


class LabelForm(forms.Form):
    """One label. Examples stand a line each; a line break within one is written as ↵."""

    name = forms.CharField(max_length=200, label=gettext_lazy("Name"))
    key = forms.CharField(
        required=False,
        max_length=100,
        label=gettext_lazy("Key"),
        help_text=gettext_lazy("What programs call it. It never changes; empty: from the name."),
    )
    description = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        label=gettext_lazy("Description"),
        help_text=gettext_lazy("What belongs here. People and validators read it."),
    )
    examples = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 6}),
        label=gettext_lazy("Texts that fit, one a line"),
    )
    counter_examples = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 6}),
        label=gettext_lazy("Texts that look alike but do not fit, one a line"),
        help_text=gettext_lazy(
            "Where a text belongs may follow it: my card is lost => card replacement"
        ),
    )
    version = forms.IntegerField(widget=forms.HiddenInput)

    def spec(self, key: str = "") -> LabelSpec:
        """The label as it is sent, unchecked; `key` where it has one already."""
        given = self.cleaned_data
        return LabelSpec(
            key=key or given["key"].strip() or "_".join(given["name"].split()),
            name=given["name"],
            description=given["description"],
            examples=lines_of(given["examples"]),
            counter_examples=[_belonging(line) for line in lines_of(given["counter_examples"])],
        )


def lines_of(text: str) -> list[str]:
    lines = (line.strip().replace(BREAK.strip(), "\n") for line in text.splitlines())
    return [line for line in lines if line]


def _belonging(line: str) -> Any:
    text, arrow, label = line.rpartition(BELONGS)
    return {"text": text.strip(), "label": label.strip()} if arrow and text.strip() else line


def text_of(entries: Sequence[Any]) -> str:
    """Examples as the form shows them."""
    lines = [
        BELONGS.join(filter(None, [entry.get("text", ""), entry.get("label", "")]))
        if isinstance(entry, dict)
        else str(entry)
        for entry in entries
    ]
    return "\n".join(line.replace("\r", "").replace("\n", BREAK) for line in lines)


@page(Right.SEE)
@require_GET
def label_set(request: PageRequest) -> HttpResponse:
    """The labels, searched as on the labeling page, and the versions of the set."""
    index, query = label_index(request.project), request.GET.get("q", "")[:200]
    found = index.find(query) if query.strip() else list(index.cards.values())
    versions = request.project.taxonomies.select_related("created_by")[:VERSIONS]
    names = dict(request.project.labels.values_list("pk", "name"))
    content = shell(
        request,
        "manage",
        tab="labels",
        found=found[:LISTED],
        total=len(index.cards),
        query=query,
        versions=[in_words(version, names) for version in versions],
    )
    part = request.htmx and "q" in request.GET
    template = "labeling/label_set.html#found" if part else "labeling/label_set.html"
    return render(request, template, content)


def in_words(version: TaxonomyVersion, names: dict[int, str]) -> dict[str, Any]:
    """A version with what it changed; labels by the names they have or had last."""
    changes = version.changes

    def called(ids: Sequence[Any]) -> list[str]:
        return [names.get(int(pk), "?") for pk in ids]

    return {
        "version": version,
        "labels": len(version.label_ids),
        "added": called(changes.get("added", [])),
        "retired": called(changes.get("retired", [])),
        "described": called(changes.get("described", [])),
        "renamed": list(changes.get("renamed", {}).values()),
        "merged": [
            (called([old])[0], called([new])[0]) for old, new in changes.get("merged", {}).items()
        ],
        "split": [(called([old])[0], called(new)) for old, new in changes.get("split", {}).items()],
        "is_first": version.number == 1,
    }


@page(Right.MANAGE)
@never_cache
@require_http_methods(["GET", "POST"])
def add_label(request: PageRequest) -> HttpResponse:
    """One more label."""
    version = current_taxonomy(request.project).number
    form = LabelForm(request.POST or None, initial={"version": version})
    if request.method == "POST" and form.is_valid():
        try:
            spec = form.spec()
            specs = [*current_specs(request.project), spec]
            change_set(request, specs, form.cleaned_data["version"])
        except ActionRefused as refused:
            form.add_error(None, refused.sentence(problems=3))
        else:
            messages.success(request, _("The label is added."))
            return redirect("labeling:label_set", request.project.slug)
    return _form_page(request, form, None)


@page(Right.MANAGE)
@never_cache
@require_http_methods(["GET", "POST"])
def edit_label(request: PageRequest, label_id: int) -> HttpResponse:
    """Rename and describe one label; it stays the same label."""
    label = get_object_or_404(request.project.labels.active(), pk=label_id)
    initial = {
        "name": label.name,
        "key": label.key,
        "description": label.description,
        "examples": text_of(label.examples),
        "counter_examples": text_of(label.counter_examples),
        "version": current_taxonomy(request.project).number,
    }
    form = LabelForm(request.POST or None, initial=initial)
    form.fields["key"].disabled = True
    if request.method == "POST" and form.is_valid():
        try:
            changed = form.spec(key=label.key)
            specs = [
                changed if spec.key == label.key else spec
                for spec in current_specs(request.project)
            ]
            change_set(request, specs, form.cleaned_data["version"])
        except ActionRefused as refused:
            form.add_error(None, refused.sentence(problems=3))
        else:
            messages.success(request, _("The label is changed."))
            return redirect("labeling:label_set", request.project.slug)
    return _form_page(request, form, label)


def _form_page(request: PageRequest, form: LabelForm, label: Label | None) -> HttpResponse:
    certified = certified_versions(request.project)
    content = {"tab": "labels", "form": form, "label": label, "certified": certified}
    status = 422 if form.is_bound and form.errors else 200
    return render(
        request, "labeling/label.html", shell(request, "manage", **content), status=status
    )


def certified_versions(project: Project) -> list[int]:
    """Policies whose certificate a change of labels ends."""
    certified = project.policies.filter(certificate__isnull=False, void_reason="")
    return sorted(certified.values_list("version", flat=True))


def change_set(request: PageRequest, specs: Sequence[LabelSpec], version: int) -> TaxonomyVersion:
    """Make the label set that of `specs`, unless somebody changed it since `version`."""
    checked = parse_labels([vars(spec) for spec in specs])
    if version != current_taxonomy(request.project).number:
        raise Conflict(_("Somebody changed the labels meanwhile. Load the page again."))
    return set_labels(project=request.project, specs=checked, by=request.member)
