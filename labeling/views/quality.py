"""Quality: people and machines against the experts, agreement, and what the machine saved."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import Count
from django.db.models.functions import TruncWeek
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from labeling.access import ProjectRequest, Right, page
from labeling.charts.trend import NARROW, WIDE, TrendChart, TrendPoint, trend_chart
from labeling.models import Answer, Part, Project, Resolution, Source
from labeling.quality.classifier import AUDIT, BENCHMARK, Period, classifier_report
from labeling.quality.experts import References, references
from labeling.quality.people import EPSILON, PeopleReport, people_report
from labeling.quality.savings import savings
from labeling.quality.table import table
from labeling.statistics.aggregation import confusion_pairs
from labeling.views.shell import shell

MISTAKES = 10
WORST = 20
WEEKS = 12
BY_MACHINE = frozenset({Source.AUTO, Source.DUPLICATE})


@page(Right.REVIEW)
@require_GET
def quality(request: ProjectRequest) -> HttpResponse:
    """Everybody in one table against the experts' answers in one part of the benchmark."""
    project = request.project
    part = asked_part(request.GET.get("part"))
    found = references(project, (part,))
    people = people_report(project)
    content = {
        "part": part,
        "parts": [(str(one), one.label) for one in Part],
        "certify": part == Part.CERTIFY,
        "found": found,
        "people": people,
        "epsilon": EPSILON,
        "trends": _charts(
            (
                TrendPoint(week.start, week.alpha.value, week.alpha.low, week.alpha.high)
                for week in people.weeks
                if week.alpha.value is not None
            ),
            scale=1,
        ),
        "progress": progress(project),
        "savings": savings(project),
        **_against_experts(project, found),
        **_named(project, people),
    }
    return render(request, "labeling/quality.html", shell(request, "quality", **content))


@page(Right.REVIEW)
@require_GET
def classifier(request: ProjectRequest) -> HttpResponse:
    """The classifier by model version and week, from random samples only."""
    periods = classifier_report(request.project)
    panels = [
        {
            "source": source,
            "whole": whole,
            "weeks": weeks,
            "trends": _charts(
                TrendPoint(
                    one.week,
                    one.metrics.accuracy.value,
                    one.metrics.accuracy.low,
                    one.metrics.accuracy.high,
                )
                for one in weeks
                if one.week is not None and one.metrics.accuracy.value is not None
            ),
        }
        for source in (BENCHMARK, AUDIT)
        for whole, weeks in _by_version(periods, source)
    ]
    content = {"panels": panels, "audit": AUDIT}
    return render(request, "labeling/classifier.html", shell(request, "quality", **content))


def asked_part(given: str | None) -> str:
    """The part that was asked for; *test* where none or an unknown one was."""
    return given if given in Part.values else str(Part.TEST)


def _against_experts(project: Project, found: References) -> dict[str, Any]:
    everybody = table(project, found)
    names = label_names(project)
    mistakes = [
        {
            "true": names.get(one.true, one.true),
            "said": names.get(one.said, one.said),
            "times": one.times,
            "share": one.share,
        }
        for one in confusion_pairs(everybody.confused, most=MISTAKES)
    ]
    return {
        "rows": everybody.rows,
        "same": everybody.same,
        "mistakes": mistakes,
        "by_label": [
            (row, [(names.get(one.label, one.label), one) for one in row.worst(WORST)])
            for row in everybody.rows
            if row.labels
        ],
        "worst": WORST,
    }


def label_names(project: Project) -> dict[object, object]:
    """What is shown for a category of agreement: a label's name, or the words for no label."""
    words: dict[object, object] = {
        str(answer): answer.label for answer in (Answer.UNK, Answer.CONF, Answer.YES, Answer.NO)
    }
    return words | dict(project.labels.values_list("pk", "name"))


def _named(project: Project, people: PeopleReport) -> dict[str, Any]:
    """What the report says of members and validators, under their names."""
    members = {member.pk: member for member in project.members.all()}
    validators = project.validators.in_bulk()
    return {
        "members": [(members[one.member], one) for one in people.members],
        "replacements": [(validators[one.validator], one) for one in people.replacements],
    }


def _charts(points: Iterable[TrendPoint], *, scale: int = 100) -> list[tuple[str, TrendChart]]:
    """The drawing for wide and for narrow windows; none where there is nothing to draw."""
    shown = list(points)
    widths = {"wide": WIDE, "narrow": NARROW}
    drawn = [(name, trend_chart(shown, width, scale=scale)) for name, width in widths.items()]
    return [(name, chart) for name, chart in drawn if chart is not None]


def _by_version(periods: Sequence[Period], source: str) -> list[tuple[Period, list[Period]]]:
    weeks: dict[str, list[Period]] = defaultdict(list)
    wholes = []
    for period in periods:
        if period.source != source:
            continue
        if period.week is None:
            wholes.append(period)
        else:
            weeks[period.version].append(period)
    return [(whole, weeks[whole.version]) for whole in wholes]


def progress(project: Project) -> list[dict[str, Any]]:
    """Labels that stand, by the week in which they came about and whether people or machines gave
    them; the newest weeks, counted by the database."""
    since = timezone.now() - datetime.timedelta(weeks=WEEKS)
    counted = (
        Resolution.objects.current()
        .filter(task__project=project, created_at__gte=since)
        .order_by()
        .annotate(week=TruncWeek("created_at"))
        .values("week", "source")
        .annotate(n=Count("pk"))
    )
    weeks: dict[datetime.date, dict[str, int]] = defaultdict(lambda: {"people": 0, "machines": 0})
    for row in counted:
        side = "machines" if row["source"] in BY_MACHINE else "people"
        weeks[row["week"].date()][side] += row["n"]
    return [{"week": week, **found} for week, found in sorted(weeks.items())]
