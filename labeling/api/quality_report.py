"""What `/metrics/` says of quality, as plain values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.utils.translation import gettext as _

from labeling.models import Part, Project
from labeling.quality.classifier import classifier_report
from labeling.quality.experts import references
from labeling.quality.people import Coefficients, Replacement, people_report
from labeling.quality.savings import savings
from labeling.quality.table import Row, table


def quality(project: Project, part: str) -> dict[str, Any]:
    """People and machines against the experts in `part`, agreement, the classifier, savings."""
    return {
        "against_experts": _against_experts(project, part),
        "agreement": _agreement(project),
        "classifier_periods": [asdict(one) for one in classifier_report(project)],
        "savings": asdict(savings(project)),
    }


def _against_experts(project: Project, part: str) -> dict[str, Any]:
    found = references(project, (part,))
    everybody = table(project, found)
    names = dict(project.labels.values_list("pk", "name"))
    note = ""
    if part == Part.CERTIFY:
        note = _(
            "This part certifies. Who chooses by these figures takes away what a certificate "
            "promises."
        )
    return {
        "part": part,
        "settled": found.settled,
        "sampled": len(found.said),
        "random": found.random,
        "note": note,
        "answerers": [_answerer(row, names) for row in everybody.rows],
        "same_data": asdict(everybody.same) if everybody.same else None,
    }


def _answerer(row: Row, names: dict[int, str]) -> dict[str, Any]:
    told = asdict(row)
    for label in told["labels"]:
        label["label"] = names.get(label["label"], label["label"])
    return told


def _agreement(project: Project) -> dict[str, Any]:
    report = people_report(project)
    names = {validator.pk: str(validator) for validator in project.validators.all()}
    return {
        "all": _coefficients(report.all),
        "unaided": _coefficients(report.unaided),
        "without_unk_and_conf": _coefficients(report.without),
        "weeks": [asdict(week) for week in report.weeks],
        "replacements": [_replacement(names, one) for one in report.replacements],
    }


def _coefficients(found: Coefficients) -> dict[str, Any]:
    values = {name: asdict(one) for name, one in found.values.items()}
    return {"answers": found.answers, **values}


def _replacement(names: dict[int, str], one: Replacement) -> dict[str, Any]:
    test, plan = one.test, one.plan
    return {
        "validator": names[one.validator],
        "winning_rate": test.winning_rate if test else None,
        "average_advantage": test.average_advantage if test else None,
        "passes": test.passes if test else None,
        "decided": plan.decided if plan else None,
        "more_labels_each": plan.more_each if plan else None,
    }
