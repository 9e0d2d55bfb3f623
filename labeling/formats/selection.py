"""Which tasks an export holds: one form for the page, the command and REST."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.db.models import Exists, FloatField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.actions.taxonomy import label_names
from labeling.formats.split import Split, SplitRefused
from labeling.models import Decision, PlanRow, Project, Resolution, Run, Source, Task, TaskStatus


@dataclass(frozen=True)
class Selection:
    """What narrows an export; everything is None, empty or False where it does not. Tasks whose
    text was erased are there only if that status is asked for.

    `label_id` is the label that stands; `sources` are those of the resolution, whose time lies in
    [`resolved_since`, `resolved_before`). `run_id`: a run in whose plan the present text stands.
    `confidence_at_least` is of the exported column `confidence`, `certified` of that column.
    """

    status: str | None = None
    sources: tuple[str, ...] = ()
    label_id: int | None = None
    run_id: int | None = None
    resolved_since: datetime.datetime | None = None
    resolved_before: datetime.datetime | None = None
    confidence_at_least: float | None = None
    certified: bool = False

    def tasks(self, project: Project) -> QuerySet[Task]:
        """The tasks of the project that are selected, in the order in which they came."""
        tasks = Task.objects.filter(project=project).order_by("pk")
        if self.status is not None:
            tasks = tasks.filter(status=self.status)
        else:
            tasks = tasks.exclude(status=TaskStatus.ERASED)
        if self.run_id is not None:
            planned = PlanRow.objects.filter(
                run=self.run_id, task=OuterRef("pk"), revision=OuterRef("revision")
            )
            tasks = tasks.filter(Exists(planned))
        standing = self._standing()
        if standing is not None:
            tasks = tasks.filter(Exists(standing))
        if self.confidence_at_least is not None:
            tasks = tasks.alias(settled_with=_confidence()).filter(
                settled_with__gte=self.confidence_at_least
            )
        return tasks

    def _standing(self) -> QuerySet[Resolution] | None:
        """What has to stand for a task; None where nothing has to."""
        wanted = Q()
        if self.sources:
            wanted &= Q(source__in=self.sources)
        if self.label_id is not None:
            wanted &= Q(label=self.label_id)
        if self.resolved_since is not None:
            wanted &= Q(created_at__gte=self.resolved_since)
        if self.resolved_before is not None:
            wanted &= Q(created_at__lt=self.resolved_before)
        if self.certified:
            wanted &= Q(
                source=Source.AUTO,
                decision__policy__certificate__isnull=False,
                decision__policy__void_reason="",
            )
        if not wanted:
            return None
        return Resolution.objects.current().filter(wanted, task=OuterRef("pk"))


def _confidence() -> Coalesce:
    """As in the exported row: of the decision that settled the task, else of the last live one."""
    settled = Resolution.objects.current().filter(task=OuterRef("pk"), decision__isnull=False)
    last = Decision.objects.filter(
        task=OuterRef("pk"), revision=OuterRef("revision"), mode=Decision.Mode.LIVE
    ).order_by("-pk")
    return Coalesce(
        Subquery(settled.values("decision__confidence")[:1]),
        Subquery(last.values("confidence")[:1]),
        output_field=FloatField(),
    )


class SelectionForm(forms.Form):
    """The choices of an export, each to be left empty."""

    status = forms.ChoiceField(
        choices=[("", gettext_lazy("any")), *TaskStatus.choices],
        required=False,
        label=gettext_lazy("Status"),
    )
    source = forms.MultipleChoiceField(
        choices=Source.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label=gettext_lazy("How the label came about"),
        help_text=gettext_lazy("None ticked: whatever way it came about, and tasks without one."),
    )
    label = forms.CharField(
        required=False,
        max_length=200,
        label=gettext_lazy("Label that stands"),
        help_text=gettext_lazy("Its name or key."),
    )
    run = forms.IntegerField(
        required=False, min_value=1, label=gettext_lazy("Tasks of the run with the number")
    )
    resolved_since = forms.DateTimeField(
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        label=gettext_lazy("Resolved since"),
    )
    resolved_before = forms.DateTimeField(
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        label=gettext_lazy("Resolved before"),
        help_text=gettext_lazy("Without that day."),
    )
    confidence_at_least = forms.FloatField(
        required=False,
        min_value=0.0,
        max_value=1.0,
        label=gettext_lazy("Confidence of the machines at least"),
        help_text=gettext_lazy("From 0 to 1; tasks that no machine decided are left out."),
    )
    certified = forms.BooleanField(
        required=False, label=gettext_lazy("Only labels that stand by a certified policy")
    )
    split = forms.CharField(
        required=False,
        max_length=100,
        label=gettext_lazy("Split into train, validation and test"),
        help_text=gettext_lazy(
            "Shares such as 80,10,10, for one more column. Copies of a text stay on one side, and "
            "nothing of the benchmark outside its part “fit” is in train."
        ),
    )
    seed = forms.CharField(
        required=False,
        max_length=64,
        label=gettext_lazy("Seed of the split"),
        help_text=gettext_lazy("The same seed gives the same sides, another one others."),
    )

    def __init__(self, data: Mapping[str, Any] | None = None, *, project: Project) -> None:
        super().__init__(data)
        self.project = project

    def clean_label(self) -> int | None:
        name = str(self.cleaned_data["label"]).strip()
        if not name:
            return None
        found = label_names(self.project).get(name)
        if found is None:  # what was retired may still stand
            retired = self.project.labels.filter(Q(key=name) | Q(name=name))
            found = retired.order_by("pk").values_list("pk", flat=True).first()
        if found is None:
            raise forms.ValidationError(
                _("The project has no label “%(name)s”."), params={"name": name}
            )
        return found

    def clean_run(self) -> int | None:
        number: int | None = self.cleaned_data["run"]
        if number is not None and not Run.objects.filter(project=self.project, pk=number).exists():
            raise forms.ValidationError(_("The project has no run of this number."))
        return number

    def clean_split(self) -> str:
        shares = str(self.cleaned_data["split"]).strip()
        if shares:
            try:
                Split.of(shares)
            except SplitRefused as error:
                raise forms.ValidationError(str(error)) from error
        return shares

    def clean(self) -> None:
        since = self.cleaned_data.get("resolved_since")
        before = self.cleaned_data.get("resolved_before")
        if since is not None and before is not None and since >= before:
            self.add_error("resolved_before", _("This lies before the beginning."))

    def selection(self) -> Selection:
        """What a valid form selects."""
        given = self.cleaned_data
        return Selection(
            status=given["status"] or None,
            sources=tuple(given["source"]),
            label_id=given["label"],
            run_id=given["run"],
            resolved_since=given["resolved_since"],
            resolved_before=given["resolved_before"],
            confidence_at_least=given["confidence_at_least"],
            certified=given["certified"],
        )

    def split_of(self) -> Split | None:
        """How a valid form splits the rows, if it does."""
        shares = self.cleaned_data["split"]
        return Split.of(shares, self.cleaned_data["seed"]) if shares else None

    def choices(self) -> dict[str, Any]:
        """What a valid form chose, by name, as it may be kept and given to a form again."""
        chosen = {
            name: self.cleaned_data[name]
            for name in SelectionForm.base_fields
            if self.cleaned_data[name] not in (None, "", [], False)
        }
        if "label" in chosen:
            chosen["label"] = self.project.labels.get(pk=chosen["label"]).key
        for name in ("resolved_since", "resolved_before"):
            if name in chosen:
                chosen[name] = chosen[name].isoformat()
        return chosen
