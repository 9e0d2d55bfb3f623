"""Export: which tasks, in which format, how many, and the file."""

from __future__ import annotations

from django import forms
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from labeling.access import Right, page
from labeling.formats.selection import SelectionForm
from labeling.formats.writers import FORMATS, download
from labeling.views.shell import PageRequest, shell

SAID = {
    "jsonl": _("JSON lines: everything, one object a line"),
    "csv": _("CSV: for spreadsheets, lists as JSON in their cell"),
    "parquet": _("Parquet: typed columns"),
    "label_studio": _("Label Studio: tasks for its import"),
    "argilla": _("Argilla: records for its import"),
}


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
    file = download(request.project, selection, kind, raw=form.cleaned_data["raw"])
    return StreamingHttpResponse(
        file.blocks,
        content_type=file.content_type,
        headers={"Content-Disposition": f'attachment; filename="{file.name}"'},
    )


def _shown(
    request: PageRequest, form: ExportForm, rows: int | None, status: int = 200
) -> HttpResponse:
    names = request.project.labels.active().order_by("name").values_list("name", flat=True)
    content = shell(request, "manage", tab="export", form=form, rows=rows, names=names)
    template = "labeling/export.html#count" if request.htmx else "labeling/export.html"
    return render(request, template, content, status=status)
