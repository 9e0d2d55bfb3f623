"""The reranker of a project: what it is, what it gains and costs, and what it does to hard tasks.

Only rows are read: the training stored what it measured, and runs stored what they reranked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET

from labeling.admin.base import managed_by, project_shell
from labeling.admin.reranker_tasks import case_of, hard_tasks, label_names, newest_runs
from labeling.charts.heat import HeatMaps, Pair, heat_maps
from labeling.charts.marginal import NARROW, WIDE, MarginalChart, marginal_chart, nearest
from labeling.models import Artifact, HardThreshold, Ranking, RerankerReport
from labeling.reranker_report import (
    ORIGIN,
    Curve,
    Measured,
    Point,
    Report,
    ReportError,
    read_report,
)
from labeling.statistics.intervals import Share, wilson

SHOWN_VERSIONS = 6
SHOWN_PAIRS = 20

MODES = {
    ORIGIN: gettext_lazy("classifier alone"),
    "paper": gettext_lazy("as published: scores times similarity"),
    "ours": gettext_lazy("fitted pool of several views"),
}
VIEWS = {
    "classifier": gettext_lazy("the classifier's probability"),
    "similarity": gettext_lazy("closeness of text and label"),
    "neighbours": gettext_lazy("nearest labeled texts"),
}


def urls() -> list[URLPattern]:
    """Addresses below those of the project's admin page."""
    guarded = admin.site.admin_view
    return [
        path("<int:pk>/reranker/", guarded(overview), name="labeling_project_reranker"),
        path(
            "<int:pk>/reranker/tasks/<path:external_id>/",
            guarded(case),
            name="labeling_project_reranker_case",
        ),
    ]


@require_GET
def overview(request: HttpRequest, pk: int) -> HttpResponse:
    """The active reranker of a project that one manages; other projects are not there (404)."""
    subject = get_object_or_404(managed_by(request.user), pk=pk)
    reranker = subject.artifacts.filter(kind=Artifact.Kind.RERANKER, active=True).first()
    runs, used = newest_runs(subject, reranker.digest if reranker else None)
    report, problem = _report(reranker)
    thresholds = HardThreshold.objects.filter(model_version__project=subject, current=True)
    newest = thresholds.select_related("model_version").order_by("-pk")[:SHOWN_VERSIONS]
    content = {
        "reranker": reranker,
        "report": report,
        "problem": problem,
        "thresholds": newest,
        "tasks": hard_tasks(runs),
        "reranked_by_this": used,
        **(_measurements(report) if report else {}),
    }
    return render(request, "admin/reranker/page.html", project_shell(request, subject, **content))


@require_GET
def case(request: HttpRequest, pk: int, external_id: str) -> HttpResponse:
    """One task: the classifier's scores, the similarities, and what reranking made of them."""
    subject = get_object_or_404(managed_by(request.user), pk=pk)
    task = get_object_or_404(subject.tasks, external_id=external_id)
    found = case_of(task)
    content = {"task": task, "case": found, "threshold": _threshold(found.ranking)}
    return render(request, "admin/reranker/case.html", project_shell(request, subject, **content))


def _threshold(ranking: Ranking | None) -> float | None:
    """Below which variance a task of the ranking's run was hard."""
    fitted = ranking.run.configuration.content.get("hard_threshold") if ranking else None
    return fitted["threshold"] if fitted else None


def _report(reranker: Artifact | None) -> tuple[Report | None, str]:
    """The report, or why there is none to show."""
    if reranker is None:
        return None, ""
    stored = RerankerReport.objects.filter(artifact=reranker).first()
    if stored is None:
        return None, _("Its training kept no report.")
    try:
        return read_report(stored.content), ""
    except ReportError as error:
        return None, str(error)


@dataclass(frozen=True)
class MeasuredMode:
    """A way to rerank and what it came to on the validation rows."""

    name: str
    words: str
    measured: Measured
    accuracy: Share
    in_use: bool


@dataclass(frozen=True)
class DrawnCurve:
    """A curve with its drawings, and what stands at its threshold."""

    curve: Curve
    drawings: Sequence[tuple[str, MarginalChart]]
    chosen: Point | None
    accuracy: Share | None
    timed: bool


@dataclass(frozen=True)
class NamedPair:
    """Two labels by name."""

    one: str
    other: str
    pair: Pair


def _measurements(report: Report) -> dict[str, Any]:
    return {
        "mode_words": MODES.get(report.mode, report.mode),
        "settings": _settings_in_words(report),
        "modes": [_mode(name, row, report) for name, row in report.validation.items()],
        "curves": [_drawn(curve) for curve in report.curves[:SHOWN_VERSIONS]],
        **_heat(report),
    }


def _mode(name: str, measured: Measured, report: Report) -> MeasuredMode:
    rows = report.validation_rows
    accuracy = wilson(round(measured.accuracy * rows), rows)
    return MeasuredMode(name, str(MODES.get(name, name)), measured, accuracy, name == report.mode)


def _settings_in_words(report: Report) -> list[tuple[str, Any]]:
    """What was fitted, as (what, value); a setting that this page has no words for by its name."""
    found: list[tuple[str, Any]] = []
    for name, value in report.settings.items():
        if name == "weights" and isinstance(value, dict):
            exponent = _("hard tasks: exponent of %(view)s")
            found += [(exponent % {"view": VIEWS.get(v, v)}, w) for v, w in value.items()]
        elif name == "temperature" and value is not None:
            found.append((_("easy tasks: temperature, by which scores are divided"), value))
        elif name == "rerank_easy":
            kept = _("reranked too") if value else _("as the classifier has it")
            found.append((_("easy tasks: order of the labels"), kept))
        elif isinstance(value, str | int | float):
            found.append((name, value))
    return found


def _drawn(curve: Curve) -> DrawnCurve:
    """Two drawings, since letters of a wide one would be too small on a phone."""
    charts = [("wide", marginal_chart(curve, WIDE)), ("narrow", marginal_chart(curve, NARROW))]
    chosen = nearest(curve)
    return DrawnCurve(
        curve=curve,
        drawings=[(name, chart) for name, chart in charts if chart is not None],
        chosen=chosen,
        accuracy=wilson(round(chosen.accuracy * curve.rows), curve.rows) if chosen else None,
        timed=any(point.seconds is not None for point in curve.points),
    )


def _heat(report: Report) -> dict[str, Any]:
    maps = heat_maps(report.heat, pairs=SHOWN_PAIRS) if report.heat else None
    if report.heat is None or maps is None:
        return {}
    known = label_names(report.heat.label_ids)
    names = [known.get(label_id, f"#{label_id}") for label_id in report.heat.label_ids]
    cells = {
        "names": names,
        "before": [[round(value, 2) for value in row] for row in report.heat.before],
        "after": [[round(value, 2) for value in row] for row in report.heat.after],
    }
    titled = [(_("Before fine-tuning"), maps.before), (_("After fine-tuning"), maps.after)]
    return {"heat": maps, "maps": titled, "cells": cells, "pairs": _pairs(maps, names)}


def _pairs(maps: HeatMaps, names: Sequence[str]) -> list[tuple[str, list[NamedPair]]]:
    """The closest pairs before and after, by name."""
    return [
        (title, [NamedPair(names[pair.one], names[pair.other], pair) for pair in pairs])
        for title, pairs in (
            (_("Most alike before fine-tuning"), maps.closest_before),
            (_("Most alike after fine-tuning"), maps.closest_after),
        )
    ]
