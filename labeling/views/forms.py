"""What people send, strict at the edge."""

from __future__ import annotations

import re
import uuid
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from labeling.models import Answer, Label, Member, Project, Scope, UnkReason

BROKEN = _("This answer arrived broken. Load the page again and answer once more.")


# Ids that a database takes; longer ones are nobody's.
SHORT_NUMBER = re.compile(r"[0-9]{1,18}")
MAX_CONF = 50


class IdsField(forms.Field):
    """Ids of rows, each a field of the same name."""

    widget = forms.MultipleHiddenInput

    def clean(self, value: list[str] | None) -> list[int]:
        given = value or []
        if len(given) > MAX_CONF or not all(SHORT_NUMBER.fullmatch(one) for one in given):
            raise forms.ValidationError(BROKEN)
        return [int(one) for one in given]


class AnswerForm(forms.Form):
    """One answer. `choice` is "label:7", "unk:none_fits", "conf", "yes" or "no"."""

    task = forms.IntegerField(min_value=1)
    lease = forms.IntegerField(min_value=1, required=False)
    revision = forms.IntegerField(min_value=1)
    asked = forms.IntegerField(min_value=1, required=False)
    client_id = forms.UUIDField()
    choice = forms.CharField(max_length=40)
    conf = IdsField(required=False)
    seconds = forms.FloatField(min_value=0, max_value=86_400, required=False)
    comment = forms.CharField(max_length=2000, required=False)
    note_back = forms.CharField(max_length=2000, required=False)

    def __init__(self, *args: Any, project: Project) -> None:
        super().__init__(*args)
        self.project = project
        self.labels: dict[int, Label] = {}
        """The active labels that the answer names, by id."""

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        kind, _colon, rest = str(given.get("choice", "")).partition(":")
        chosen = [int(rest)] if kind == Answer.LABEL and SHORT_NUMBER.fullmatch(rest) else []
        named = {*chosen, *given.get("conf", ()), given.get("asked")} - {None}
        active = self.project.labels.active().filter(pk__in=named)
        self.labels = {label.pk: label for label in active.select_related("project")}
        wrong = _("This choice is not one of the project's labels now.")
        if not self.labels.keys() >= set(given.get("conf", ())):
            self.add_error("choice", wrong)
        elif chosen and chosen[0] in self.labels:
            given["choice"] = {"answer": Answer.LABEL, "label": self.labels[chosen[0]]}
        elif kind == Answer.UNK and rest in UnkReason.values:
            given["choice"] = {"answer": Answer.UNK, "unk_reason": rest}
        elif kind in (Answer.YES, Answer.NO, Answer.CONF) and not rest:
            given["choice"] = {"answer": Answer(kind)}
        elif "choice" in given:
            self.add_error("choice", wrong)
        return given

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

    def review(self) -> dict[str, Any]:
        """The arguments of `actions.adjudicate` and `actions.override`: an answer, and what those
        who said otherwise are told."""
        return self.answer() | {"note_back": self.cleaned_data["note_back"]}

    def sentence(self) -> str:
        """What is wrong, in one sentence."""
        said = self.errors.get("choice") or self.errors.get("comment")
        return str(said[0]) if said else str(BROKEN)


class PageForm(forms.Form):
    """What the labeling page says of itself with whatever it sends. `held`: leases of the tasks
    that it shows or will show next; `away`: of those whose answers it has still to send."""

    BROKEN = BROKEN
    ANOTHER = _(
        "Somebody else is signed in here now. Sign in as before, and what you answered is sent."
    )

    member = forms.IntegerField(min_value=1, required=False)
    client_id = forms.UUIDField(required=False)
    held = IdsField(required=False)
    away = IdsField(required=False)

    def is_of_another(self, member: Member) -> bool:
        """Was the page opened by another member than the one who is signed in now?"""
        return self.cleaned_data["member"] not in (None, member.pk)


class HelpfulForm(forms.Form):
    """A mark on a document that is shown with a task; without `helpful` it is taken back."""

    lease = forms.IntegerField(min_value=1)
    document = forms.IntegerField(min_value=1)
    helpful = forms.BooleanField(required=False)


class FlagForm(forms.Form):
    """A mark for the experts; `off` takes it back."""

    note = forms.CharField(max_length=300, required=False)
    off = forms.BooleanField(required=False)


class RowsField(forms.Field):
    """The rows of a list: "task:revision:client_id" each; cleaned, by task."""

    widget = forms.MultipleHiddenInput

    def clean(self, value: list[str] | None) -> dict[int, tuple[int, uuid.UUID]]:
        rows: dict[int, tuple[int, uuid.UUID]] = {}
        for row in (value or [])[: MAX_CONF + 1]:
            task, _colon, rest = row.partition(":")
            revision, _colon, client_id = rest.partition(":")
            if not (SHORT_NUMBER.fullmatch(task) and SHORT_NUMBER.fullmatch(revision)):
                raise forms.ValidationError(BROKEN)
            rows[int(task)] = int(revision), forms.UUIDField().clean(client_id)
        return rows


class BulkForm(forms.Form):
    """A list of look-alikes with the label that is confirmed for the ticked ones."""

    label = forms.IntegerField(min_value=1)
    row = RowsField()
    ticked = IdsField(required=False)
    by = forms.ChoiceField(choices=[("embedding", ""), ("score", "")])
    seconds = forms.FloatField(min_value=0, max_value=86_400, required=False)

    def __init__(self, *args: Any, project: Project) -> None:
        super().__init__(*args)
        self.project = project

    def clean_label(self) -> Label:
        label = self.project.labels.active().filter(pk=self.cleaned_data["label"]).first()
        if label is None:
            raise forms.ValidationError(_("This choice is not one of the project's labels now."))
        return label

    def sentence(self) -> str:
        """What is wrong, in one sentence."""
        said = self.errors.get("label")
        return str(said[0]) if said else str(BROKEN)


class TokenForm(forms.Form):
    """A new API token."""

    name = forms.CharField(max_length=100, label=_("What is it for?"))
    scopes = forms.MultipleChoiceField(
        choices=Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        label=_("What may it do?"),
    )
