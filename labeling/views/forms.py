"""What people send, strict at the edge."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from labeling.models import Answer, Label, Project, Scope, UnkReason

BROKEN = _("This answer arrived broken. Load the page again and answer once more.")


class AnswerForm(forms.Form):
    """One answer. `choice` is "label:7", "unk:none_fits", "conf", "yes" or "no"."""

    task = forms.IntegerField(min_value=1)
    lease = forms.IntegerField(min_value=1, required=False)
    revision = forms.IntegerField(min_value=1)
    asked = forms.IntegerField(min_value=1, required=False)
    client_id = forms.UUIDField()
    choice = forms.CharField(max_length=40)
    conf = forms.TypedMultipleChoiceField(coerce=int, required=False)
    seconds = forms.FloatField(min_value=0, max_value=86_400, required=False)
    comment = forms.CharField(max_length=2000, required=False)

    def __init__(self, *args: Any, project: Project) -> None:
        super().__init__(*args)
        self.labels: dict[int, Label] = {
            label.pk: label for label in project.labels.active().select_related("project")
        }
        conf = self.fields["conf"]
        assert isinstance(conf, forms.TypedMultipleChoiceField)
        conf.choices = [(pk, str(pk)) for pk in self.labels]

    def clean_choice(self) -> dict[str, Any]:
        kind, _colon, rest = str(self.cleaned_data["choice"]).partition(":")
        if kind == Answer.LABEL and rest.isdecimal() and int(rest) in self.labels:
            return {"answer": Answer.LABEL, "label": self.labels[int(rest)]}
        if kind == Answer.UNK and rest in UnkReason.values:
            return {"answer": Answer.UNK, "unk_reason": rest}
        if kind in (Answer.YES, Answer.NO, Answer.CONF) and not rest:
            return {"answer": Answer(kind)}
        raise forms.ValidationError(_("This choice is not one of the project's labels now."))

    def answer(self) -> dict[str, Any]:
        """The arguments that `actions.annotate.answer` and `adjudicate` share."""
        data = self.cleaned_data
        choice = dict(data["choice"])
        if choice["answer"] == Answer.CONF:
            choice["conf_labels"] = [self.labels[pk] for pk in data["conf"]]
        return choice | {
            "client_id": data["client_id"],
            "comment": data["comment"],
            "seconds": data["seconds"],
            "revision": data["revision"],
        }

    def sentence(self) -> str:
        """What is wrong, in one sentence."""
        said = self.errors.get("choice") or self.errors.get("comment")
        return str(said[0]) if said else str(BROKEN)


class HelpfulForm(forms.Form):
    """A mark on a document that is shown with a task; without `helpful` it is taken back."""

    lease = forms.IntegerField(min_value=1)
    document = forms.IntegerField(min_value=1)
    helpful = forms.BooleanField(required=False)


class TokenForm(forms.Form):
    """A new API token."""

    name = forms.CharField(max_length=100, label=_("What is it for?"))
    scopes = forms.MultipleChoiceField(
        choices=Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        label=_("What may it do?"),
    )
