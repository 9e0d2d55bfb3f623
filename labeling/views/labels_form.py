"""Labels that somebody pastes or uploads: the fields, what they hold, and what is wrong with it."""

from __future__ import annotations

import json

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.actions.errors import ActionRefused, Detail
from labeling.actions.taxonomy import LabelSpec, parse_labels
from labeling.formats.labels import SUFFIXES, read_labels
from labeling.formats.records import FileRefused
from labeling.views.uploads import on_disk, on_disk_as

MAX_LABELS_BYTES = 5 * 1024 * 1024


class LabelsForm(forms.Form):
    """Labels, pasted, or from a file, which wins."""

    labels = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false"}),
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
