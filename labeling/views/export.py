"""Export: which tasks, in which format, how many, and the file."""

from __future__ import annotations

from django import forms
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from labeling.access import Right, page
from labeling.formats.selection import SelectionForm
from labeling.formats.sending import sent
from labeling.formats.writers import FORMATS, download
from labeling.views.shell import PageRequest, shell

SAID = {
    "jsonl": _("JSON lines: everything, one object a line"),
    "csv": _("CSV: for spreadsheets, lists as JSON in their cell"),
    "parquet": _("Parquet: typed columns"),
    "label_studio": _("Label Studio: tasks for its import"),
    "argilla": _("Argilla: records for its import"),
    "huggingface": _("Hugging Face: a folder for load_dataset, zipped"),
    "doccano": _("doccano: examples for its import"),
    "prodigy": _("Prodigy: examples with a choice of labels"),
    "fasttext": _("fastText: lines to train on"),
}
_IN_ITS_KEY = _(
    "The rest stands under the name “countersign”, which that tool keeps but does not use."
)
LOST = {
    "csv": _("CSV has no types: an empty cell and a missing value look alike."),
    "parquet": _("Free-form objects, such as metadata, are JSON texts."),
    "label_studio": _(
        "A prediction there has one label and one score, an annotation is of a user there, and "
        "“nobody can choose” counts as skipped."
    ),
    "argilla": _("A record there has one suggestion; answers of people are not its responses."),
    "huggingface": _(
        "Three splits: “train” has the tasks whose label stands, “test” those of the benchmark, "
        "“unlabeled” the rest. Free-form objects, such as metadata, are JSON texts."
    ),
    "doccano": _("An example there has the labels that stand, and no scores or answers of people."),
    "prodigy": _("An example there has the label that stands as its one answer, and no scores."),
    "fasttext": _(
        "A line has the key of the label and the text, with white space as one space, and nothing "
        "else: neither who decided nor what belongs to the benchmark. Choose above what goes in."
    ),
}
KEEP_THE_REST = ("label_studio", "argilla", "doccano", "prodigy")


def lost(kind: str) -> str:
    """What the format has no place for, in a sentence or two; nothing where it holds everything."""
    said = [str(LOST[kind])] if kind in LOST else []
    return " ".join([*said, str(_IN_ITS_KEY)] if kind in KEEP_THE_REST else said)


class ExportForm(SelectionForm):
    """The choices of an export, and its format."""

    format = forms.ChoiceField(
        choices=[(name, SAID[name]) for name in FORMATS], initial="jsonl", label=_("Format")
    )
    raw = forms.BooleanField(
        required=False,
        label=_("CSV for programs: no apostrophe before what a spreadsheet runs as a formula"),
    )
    field_order = ("format", "raw")


@page(Right.EXPORT)
@never_cache
@require_GET
def export(request: PageRequest) -> HttpResponseBase:
    """The choices with the number of rows; with `download` in the query, the file itself."""
    form = ExportForm(request.GET if request.GET else {"format": "jsonl"}, project=request.project)
    if not form.is_valid():
        return _shown(request, form, None, status=422)
    selection = form.selection()
    if "download" not in request.GET:
        return _shown(request, form, selection.tasks(request.project).count())
    kind = form.cleaned_data["format"]
    raw, split = form.cleaned_data["raw"], form.split_of()
    file = download(request.project, selection, kind, raw=raw, split=split)
    return sent(file)


def _shown(
    request: PageRequest, form: ExportForm, rows: int | None, status: int = 200
) -> HttpResponse:
    names = request.project.labels.active().order_by("name").values_list("name", flat=True)
    content = shell(request, "manage", tab="export", form=form, rows=rows, names=names)
    content["lost"] = lost(form.cleaned_data.get("format", ""))
    template = "labeling/export.html#count" if request.htmx else "labeling/export.html"
    return render(request, template, content, status=status)
