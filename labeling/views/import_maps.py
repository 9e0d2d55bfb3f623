"""Which column of an uploaded file holds what; guessed from the names, corrected by a person."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.actions.taxonomy import label_names
from labeling.formats.mapping import ColumnMap, columns_of, kind_of
from labeling.models import MappedName, ScoreKind, Upload

NONE, BY_LABEL, AS_JSON, BEST = "none", "by_label", "json", "best"
GUESSES: Mapping[str, Sequence[str]] = {
    "id": ("external_id", "id", "uid", "key"),
    "text": ("text", "query", "message", "utterance", "sentence", "body", "content"),
    "scores": ("logits", "probabilities", "scores"),
    "label": ("predicted_label", "prediction", "label", "intent", "category", "class"),
    "score": ("confidence", "score", "probability", "predicted_confidence"),
    "title": ("title", "name"),
    "section": ("section", "category"),
}


class MapForm(forms.Form):
    """A form whose choices are the columns of the file; what is not given is guessed."""

    places: tuple[str, ...] = ()
    needed: tuple[str, ...] = ("text",)

    def __init__(self, upload: Upload, path: Path, given: Mapping[str, Any]) -> None:
        self.found = columns_of(path)
        self.path = path
        super().__init__(given if "text" in given else self.guess(upload))
        columns = [(name, name[:80]) for name in self.found]
        for place in self.places:
            field = self.fields[place]
            assert isinstance(field, forms.ChoiceField)
            none = [] if place in self.needed else [("", "–")]
            field.choices = [*none, *columns]

    def fingerprint(self) -> str:
        """Stands for all that a valid form says."""
        return hashlib.sha256(repr(sorted(self.cleaned_data.items())).encode()).hexdigest()

    def guess(self, upload: Upload) -> dict[str, Any]:
        lower = {name.strip().casefold(): name for name in reversed(self.found)}
        guessed = {
            place: next((lower[name] for name in GUESSES[place] if name in lower), "")
            for place in self.places
        }
        if not guessed["text"]:
            guessed["text"] = self.found[0]
        return guessed


def _column(label: Any, help_text: Any = "", *, required: bool = False) -> forms.ChoiceField:
    return forms.ChoiceField(required=required, label=label, help_text=help_text)


class PredictionMapForm(MapForm):
    """Texts, and what the classifier said of them."""

    places = ("id", "text", "scores", "label", "score")

    model_version = forms.CharField(
        max_length=200,
        label=gettext_lazy("Model version"),
        help_text=gettext_lazy("What the classifier is called that gave the scores."),
    )
    mapping = forms.ChoiceField(
        required=False,
        label=gettext_lazy("Label mapping"),
        help_text=gettext_lazy("From the names in the file to labels of the project."),
    )
    text = _column(gettext_lazy("Text"), required=True)
    id = _column(
        gettext_lazy("Identifier"),
        gettext_lazy("None: rows are called by the name of the file and their number."),
    )
    how = forms.ChoiceField(
        widget=forms.RadioSelect,
        choices=[
            (NONE, gettext_lazy("there are none: the project's own classifier predicts")),
            (BY_LABEL, gettext_lazy("in columns that are named like the labels")),
            (AS_JSON, gettext_lazy("in one column, as a JSON list or object")),
            (BEST, gettext_lazy("as the best label and its probability")),
        ],
        label=gettext_lazy("Scores stand"),
    )
    scores = _column(gettext_lazy("Column with JSON"))
    label = _column(gettext_lazy("Best label"))
    score = _column(gettext_lazy("Its probability"))
    kind = forms.ChoiceField(
        required=False,
        choices=[("", gettext_lazy("as the first row looks")), *ScoreKind.choices],
        label=gettext_lazy("Scores are"),
    )
    metadata = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label=gettext_lazy("Shown beside the text"),
    )

    def __init__(self, upload: Upload, path: Path, given: Mapping[str, Any]) -> None:
        mappings = list(upload.project.mappings.values_list("name", flat=True))
        self.stem = Path(upload.name).stem
        self.by_label = self._label_columns(upload, path, given.get("mapping", ""))
        super().__init__(upload, path, given)
        mapping = self.fields["mapping"]
        assert isinstance(mapping, forms.ChoiceField)
        mapping.choices = [("", "–"), *((name, name) for name in mappings)]
        if not mappings:
            del self.fields["mapping"]
        field = self.fields["metadata"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(name, name[:80]) for name in self.found if name not in self.by_label]

    @staticmethod
    def _label_columns(upload: Upload, path: Path, mapping: str) -> tuple[str, ...]:
        """Columns named like a label, as the project or a mapping of it calls them."""
        names = set(label_names(upload.project))
        names |= set(
            MappedName.objects.filter(
                mapping__project=upload.project, mapping__name=mapping
            ).values_list("name", flat=True)
        )
        return tuple(name for name in columns_of(path) if name in names)

    def guess(self, upload: Upload) -> dict[str, Any]:
        guessed = super().guess(upload)
        guessed["model_version"] = self.stem[:200]
        guessed["how"] = NONE
        if self.by_label:
            guessed["how"] = BY_LABEL
        elif guessed["scores"]:
            guessed["how"] = AS_JSON
            guessed["kind"] = guessed["scores"] if guessed["scores"] in ScoreKind.values else ""
        elif guessed["label"] and guessed["score"]:
            guessed["how"] = BEST
        return guessed

    def clean(self) -> None:
        given, how = self.cleaned_data, self.cleaned_data.get("how")
        missing = _("Choose a column.")
        if how == AS_JSON and not given.get("scores"):
            self.add_error("scores", missing)
        if how == BEST:
            for name in ("label", "score"):
                if not given.get(name):
                    self.add_error(name, missing)
        if how == BY_LABEL and not self.by_label:
            self.add_error("how", _("No column is named like a label of the project."))

    def columns(self) -> ColumnMap:
        """Which column holds what, of a valid form."""
        given, how = self.cleaned_data, self.cleaned_data["how"]
        kind = given["kind"]
        if how == BY_LABEL and not kind:
            kind = kind_of(self.path, self.by_label)
        return ColumnMap(
            name=self.stem[:150],
            text=given["text"],
            id=given["id"],
            kind=kind,
            scores=given["scores"] if how == AS_JSON else "",
            by_label=self.by_label if how == BY_LABEL else (),
            label=given["label"] if how == BEST else "",
            score=given["score"] if how == BEST else "",
            metadata=tuple(given["metadata"]),
        )


class DocumentMapForm(MapForm):
    """Documents that people and validators consult."""

    places = ("id", "text", "title", "section")
    needed = ("id", "text")

    id = _column(gettext_lazy("Identifier"), required=True)
    text = _column(gettext_lazy("Text"), required=True)
    title = _column(gettext_lazy("Title"))
    section = _column(gettext_lazy("Section"))

    def columns(self) -> dict[str, str]:
        """Which column holds what, of a valid form."""
        return {name: self.cleaned_data[name] for name in self.places}
