"""Reports of rerankers: what is kept, and what is refused in words."""

from __future__ import annotations

from typing import Any

import pytest

from labeling.actions.artifacts import store_reranker_report
from labeling.actions.errors import ActionRefused
from labeling.models import Artifact, Project, RerankerReport
from labeling.reranker_report import ReportError, read_report
from tests.labeling.builders import make_artifact, make_project
from tests.labeling.reranker_report import report_content

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


def test_a_report_is_kept_and_a_later_one_replaces_it(project: Project) -> None:
    artifact = make_artifact(project, Artifact.Kind.RERANKER)
    store_reranker_report(artifact, report_content(project))
    store_reranker_report(artifact, report_content(project, training_rows=9))
    assert RerankerReport.objects.get().content["training_rows"] == 9


def test_only_rerankers_have_reports(project: Project) -> None:
    artifact = make_artifact(project, Artifact.Kind.KNN)
    with pytest.raises(ActionRefused, match="is no reranker"):
        store_reranker_report(artifact, report_content(project))


def test_another_shape_is_refused_and_nothing_is_kept(project: Project) -> None:
    artifact = make_artifact(project, Artifact.Kind.RERANKER)
    with pytest.raises(ActionRefused, match="“mode” is missing"):
        store_reranker_report(artifact, report_content(project, mode=""))
    assert not RerankerReport.objects.exists()


def test_what_was_not_measured_may_be_null_or_left_out(project: Project) -> None:
    content = report_content(
        project,
        heat=None,
        validation={"origin": {"accuracy": 1.0, "nll": 0.1, "hard_accuracy": None}},
        curves=[
            {
                "model_version": "m1",
                "k": 5,
                "threshold": None,
                "rows": 3,
                "points": [{"variance": 1, "hard_share": 0, "accuracy": 1}],
            }
        ],
    )
    report = read_report(content)
    assert report.heat is None
    assert report.validation["origin"].hard_accuracy is None
    assert report.curves[0].threshold is None
    assert report.curves[0].points[0].seconds is None


def test_points_come_in_the_order_of_their_thresholds(project: Project) -> None:
    content = report_content(project)
    content["curves"][0]["points"] = content["curves"][0]["points"][::-1]
    assert [point.variance for point in read_report(content).curves[0].points] == [0.5, 3.0, 9.0]


def changed(content: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    *way, last = path.split(".")
    inner: Any = content
    for step in way:
        inner = inner[int(step)] if step.isdecimal() else inner[step]
    inner[int(last) if last.isdecimal() else last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("training_rows", -1, "training_rows"),
        ("training_rows", True, "training_rows"),
        ("settings", [], "settings"),
        ("validation", {}, "origin"),
        ("validation.origin.accuracy", 1.2, "validation.origin.accuracy"),
        ("validation.origin.nll", float("nan"), "validation.origin.nll"),
        ("validation.ours.nll_interval", [0.1], "validation.ours.nll_interval"),
        ("curves.0.threshold", "3", r"curves\[0\].threshold"),
        ("curves.0.points", None, r"curves\[0\].points"),
        ("curves.0.points.0", {"variance": 1.0}, r"curves\[0\].points.hard_share"),
        ("heat.label_ids", list(range(101)), "more than 100 labels"),
        ("heat.before", [[1.0]], "heat.before"),
        ("heat.after.1", [1.0, float("inf"), 0.0], "heat.after"),
    ],
)
def test_a_wrong_value_is_named(project: Project, path: str, value: Any, words: str) -> None:
    with pytest.raises(ReportError, match=words):
        read_report(changed(report_content(project), path, value))


def test_something_else_than_an_object_is_no_report() -> None:
    with pytest.raises(ReportError, match="content"):
        read_report([1, 2])
