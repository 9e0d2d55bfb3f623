"""What somebody looks for among the tasks, as the address of the page says it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from labeling.actions.browse import Wanted
from labeling.language import tag_of
from labeling.models import Project, Source, TaskStatus

LARGEST_ID = 2**63 - 1
ANY = ("", _("any"))


def _share(label: Any) -> forms.IntegerField:
    return forms.IntegerField(min_value=0, max_value=100, required=False, label=label)


class TaskFilterForm(forms.Form):
    """Filters of the task browser; shares are whole percent. Everything may be empty."""

    q = forms.CharField(min_length=2, max_length=200, required=False, label=_("Words in the text"))
    status = forms.ChoiceField(required=False, label=_("Status"))
    label = forms.TypedChoiceField(coerce=int, required=False, label=_("Label that stands"))
    source = forms.ChoiceField(required=False, label=_("How it came about"))
    annotator = forms.TypedChoiceField(coerce=int, required=False, label=_("Answered by"))
    assigned = forms.TypedChoiceField(coerce=int, required=False, label=_("Assigned to"))
    policy = forms.TypedChoiceField(coerce=int, required=False, label=_("Decided by policy"))
    run = forms.IntegerField(
        min_value=1, max_value=LARGEST_ID, required=False, label=_("In run number")
    )
    hard = forms.ChoiceField(required=False, label=_("Hard for the classifier"))
    flagged = forms.BooleanField(required=False, label=_("Flagged for experts"))
    language = forms.CharField(max_length=40, required=False, label=_("Language, by its tag"))
    expert_only = forms.BooleanField(required=False, label=_("For experts alone"))
    low = _share(_("Classifier sure of at least, in %"))
    high = _share(_("Classifier sure of at most, in %"))
    machines = forms.BooleanField(required=False, label=_("Show what machines said"))

    def __init__(self, *args: Any, project: Project) -> None:
        super().__init__(*args)
        self._offer("status", TaskStatus.choices)
        self._offer("source", Source.choices)
        self._offer("hard", [("yes", _("yes")), ("no", _("no"))])
        self._offer("label", project.labels.order_by("name", "pk").values_list("pk", "name"))
        present = project.members.present().order_by("name")
        self._offer("assigned", ((one.pk, str(one)) for one in present))
        self._offer("annotator", ((one.pk, str(one)) for one in project.members.order_by("name")))
        versions = project.policies.order_by("-version").values_list("version", flat=True)
        self._offer("policy", ((number, f"v{number}") for number in versions))

    def _offer(self, name: str, choices: Iterable[tuple[Any, Any]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [ANY, *choices]

    def wanted(self) -> Wanted:
        """What is asked; a field with a mistake asks nothing, and says so on the page."""
        given = self.cleaned_data if self.is_valid() else getattr(self, "cleaned_data", {})
        low, high = given.get("low"), given.get("high")
        hard = given.get("hard")
        return Wanted(
            text=given.get("q", "").strip(),
            status=given.get("status", ""),
            label=given.get("label") or None,
            source=given.get("source", ""),
            low=None if low is None else low / 100,
            high=None if high is None else high / 100,
            annotator=given.get("annotator") or None,
            run=given.get("run"),
            policy=given.get("policy") or None,
            hard=None if not hard else hard == "yes",
            language=tag_of(given.get("language", "")),
            assigned=given.get("assigned") or None,
            expert_only=given.get("expert_only", False),
            flagged=given.get("flagged", False),
            machines=given.get("machines", False),
        )
