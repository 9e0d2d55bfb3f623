"""Labels that somebody pastes or uploads: the fields, what they hold, and what is wrong with it."""

from __future__ import annotations

import json

from django import forms
from django.utils.translation import gettext_lazy

from labeling.actions.taxonomy import LabelSpec, parse_labels
from labeling.formats.labels import SUFFIXES, read_labels
from labeling.views.pasted import read_pasted


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


def labels_of(form: forms.Form) -> list[LabelSpec]:
    """The labels of a form with `labels` and `file`, or PastedRefused."""
    return read_pasted(form, SUFFIXES, ".txt", lambda path: parse_labels(read_labels(path)))


def as_text(specs: list[LabelSpec]) -> str:
    """Labels as the text field takes them back: names where that is all, else JSON."""
    if all(spec == LabelSpec(key="_".join(spec.name.split()), name=spec.name) for spec in specs):
        return "\n".join(spec.name for spec in specs)
    return json.dumps([vars(spec) for spec in specs], ensure_ascii=False, indent=1)
