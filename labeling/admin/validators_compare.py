"""Validators side by side on a part of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET

from labeling.actions.compare import PARTS, Comparison, Judge, compare
from labeling.actions.runs import configuration_for
from labeling.admin.base import managed_by, project_shell
from labeling.charts.coverage import NARROW, WIDE, coverage_chart
from labeling.models import Configuration, Part, Policy, Project
from labeling.statistics.intervals import Share, wilson

AT_COVERAGE = (0.2, 0.4, 0.6, 0.8, 1.0)
LEAST_TAKEN = 10
"""Accuracies over fewer answers than this are noise, and are not drawn."""
MOST_POINTS = 80


class ChoiceForm(forms.Form):
    part = forms.ChoiceField(
        choices=[(part.value, part.label) for part in PARTS],
        label=gettext_lazy("Part of the benchmark"),
    )
    at = forms.FloatField(
        min_value=0,
        max_value=1,
        label=gettext_lazy("Threshold"),
        widget=forms.NumberInput(attrs={"step": "any"}),
    )


@dataclass(frozen=True)
class TableRow:
    """Accuracy of a judge's most confident answers, by share of the tasks that they cover."""

    judge: Judge
    cells: Sequence[Share | None]


@require_GET
def page(request: HttpRequest, pk: int) -> HttpResponse:
    """How good each validator is, and all together, where experts have answered."""
    subject = get_object_or_404(managed_by(request.user), pk=pk)
    configuration = _configuration(subject)
    content = _compared(request, subject, configuration) if configuration is not None else {}
    template = "admin/validators/compare.html"
    return render(request, template, project_shell(request, subject, **content))


def _configuration(subject: Project) -> Configuration | None:
    version = subject.model_versions.order_by("-pk").first()
    return configuration_for(version) if version is not None else None


def _compared(
    request: HttpRequest, subject: Project, configuration: Configuration
) -> dict[str, Any]:
    active = subject.policies.filter(status=Policy.Status.ACTIVE).first()
    policy = active if active and active.configuration_id == configuration.pk else None
    standing: dict[str, Any] = {"part": str(Part.TUNE), "at": _threshold(policy)}
    given = {**standing, **{name: request.GET[name] for name in standing if request.GET.get(name)}}
    form = ChoiceForm(given)
    wanted = form.cleaned_data if form.is_valid() else standing
    found = compare(configuration, part=wanted["part"], threshold=wanted["at"], policy=policy)
    curves = [(judge.name, _points(judge, found)) for judge in found.judges]
    charts = [("wide", coverage_chart(curves, WIDE)), ("narrow", coverage_chart(curves, NARROW))]
    return {
        "form": form,
        "found": found,
        "policy": policy,
        "currency": subject.currency,
        "drawings": [(name, chart) for name, chart in charts if chart is not None],
        "shares": AT_COVERAGE,
        "table": [
            TableRow(judge, [_at(judge, found, share) for share in AT_COVERAGE])
            for judge in found.judges
        ],
    }


def _threshold(policy: Policy | None) -> float:
    thresholds = policy.rule["threshold"] if policy else {}
    found = thresholds.get("multiclass", thresholds.get("yes"))
    return 0.5 if found is None else round(float(found), 4)


def _points(judge: Judge, found: Comparison) -> list[tuple[float, float]]:
    """Coverage and accuracy, thinned so that a page of many tasks stays small."""
    points = [one for one in judge.curve if one.taken >= LEAST_TAKEN]
    step = max(len(points) // MOST_POINTS, 1)
    kept = [*points[:-1:step], *points[-1:]]
    return [(one.taken / found.rows, one.right / one.taken) for one in kept]


def _at(judge: Judge, found: Comparison, share: float) -> Share | None:
    """Accuracy of the most confident answers that cover at least `share` of the tasks; None where
    it does not answer so many."""
    point = next((one for one in judge.curve if one.taken >= share * found.rows - 1e-9), None)
    return wilson(point.right, point.taken) if point else None
