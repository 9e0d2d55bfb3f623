"""Validators against the experts: figures by hand, and what is never looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.actions.compare import PARTS, Comparison, compare
from labeling.charts.coverage import NARROW, WIDE, coverage_chart
from labeling.models import Part, Policy, Validator, Verdict
from labeling.statistics.judging import coverage_curve, log_loss
from tests.labeling.builders import label_of, make_benchmark_item
from tests.labeling.scenes import Scene, make_scene


def arrays(rows: list[tuple[float, bool]]) -> tuple[Any, Any]:
    return np.array([row[0] for row in rows], float), np.array([row[1] for row in rows], bool)


# --- Figures ------------------------------------------------------------------------------------


def test_log_loss_is_finite_however_wrong() -> None:
    assert log_loss([1.0, 1.0], [4, 4]) == pytest.approx(0.0, abs=1e-3)
    worst = log_loss([0.0], [4])
    assert worst is not None
    assert 5.0 < worst < 10.0
    assert log_loss([], []) is None


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.5, 0.9]), st.booleans()), max_size=40))
def test_the_curve_counts_what_a_threshold_would_take(rows: list[tuple[float, bool]]) -> None:
    for point in coverage_curve(*arrays(rows)):
        taken = [right for confidence, right in rows if confidence >= point.confidence]
        assert (point.taken, point.right) == (len(taken), sum(taken))


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_lines_stay_within_the_drawing(width: int) -> None:
    curves = [("one", [(0.2, 1.0), (1.0, 0.4)]), ("none", []), ("two", [(0.5, 0.9)])]
    chart = coverage_chart(curves, width)
    assert chart is not None
    assert [line.name for line in chart.lines] == ["one", "two"]
    assert len({line.style for line in chart.lines}) == 2
    for line in chart.lines:
        for pair in line.path[1:].split("L"):
            x, y = (float(number) for number in pair.split())
            assert chart.left <= x <= chart.right
            assert chart.top <= y <= chart.bottom
    assert coverage_chart([("none", [])], width) is None


# --- Against the experts ------------------------------------------------------------------------


@pytest.fixture
def scene(db: None) -> Scene:
    return make_scene(validators=2)


def fill(scene: Scene, part: str = "tune") -> None:
    """The first validator is right three times of four, the second once; the last failed."""
    rows: list[tuple[str, Any, Any]] = [
        ("a", {"a": 0.9, "unk": 0.1}, {"a": 0.6, "unk": 0.4}),
        ("b", {"b": 0.8, "unk": 0.2}, {"a": 0.7, "b": 0.2, "unk": 0.1}),
        ("unk", {"a": 0.3, "unk": 0.7}, {"a": 0.7, "unk": 0.3}),
        ("c", {"a": 0.6, "c": 0.3, "unk": 0.1}, {"a": 1.0, "c": 0.0, "unk": 0.0}),
        ("a", {"a": 0.9, "unk": 0.1}, "The server is away."),
    ]
    for answer, first, second in rows:
        reference: dict[str, Any] = {"reference": answer}
        if answer != "unk":
            reference = {"reference": "label", "reference_label": label_of(scene.project, answer)}
        make_benchmark_item(scene.task(first, second), part, **reference)


def compared(scene: Scene, part: str = "tune", at: float = 0.75, **more: Any) -> Comparison:
    return compare(scene.configuration, part=part, threshold=at, policy=more.get("policy"))


def test_figures_of_validators_and_of_all_together(scene: Scene) -> None:
    fill(scene)
    found = compared(scene)
    first, second, together = found.judges
    assert (found.rows, found.unscored) == (5, 0)
    assert (first.answered, first.failed) == (5, 0)
    assert (first.right.successes, first.right.n) == (4, 5)  # its unk is the expert's
    # 0.9, 0.8 and 0.9 reach 0.75, all of them right; what is unk takes nothing
    assert (first.accepted.accuracy.successes, first.accepted.accuracy.n) == (3, 3)
    assert (first.accepted.coverage.successes, first.accepted.coverage.n) == (3, 5)
    assert (second.answered, second.failed) == (4, 1)
    assert (second.right.successes, second.right.n) == (1, 4)
    assert (second.accepted.accuracy.successes, second.accepted.accuracy.n) == (0, 1)
    assert (second.accepted.total_accuracy.successes, second.accepted.total_accuracy.n) == (0, 5)
    assert together.validator is None
    assert together.answered == 4
    assert together.right.successes == 2
    for judge in found.judges:
        assert judge.loss is not None
        assert judge.f1 is not None
        assert judge.calibration is not None
    assert second.loss is not None
    assert first.loss is not None
    assert second.loss > first.loss


def test_all_together_follow_the_rule_of_the_policy(scene: Scene) -> None:
    fill(scene)
    weights = {str(one.pk): w for one, w in zip(scene.validators, (0.999, 0.001), strict=True)}
    policy = Policy(rule={"pool": "linear", "weights": weights})
    assert compared(scene, policy=policy).judges[-1].right.successes == 3


def test_one_validator_needs_no_line_for_all_together(db: None) -> None:
    scene = make_scene(validators=1)
    make_benchmark_item(
        scene.task({"a": 0.9, "unk": 0.1}),
        "tune",
        reference="label",
        reference_label=label_of(scene.project, "a"),
    )
    assert len(compared(scene).judges) == 1


def test_what_it_took_is_counted_on_these_tasks_only(scene: Scene) -> None:
    fill(scene)
    fill(scene, "test")
    Validator.objects.filter(pk=scene.validators[0].pk).update(price_input=1.0)
    Verdict.objects.filter(failure="").update(
        tokens=100, cached_tokens=40, server_calls=1, latency_ms=8.0
    )
    first, second, together = compared(scene).judges
    assert first.usage is not None
    assert (first.usage.answers, first.usage.tokens, first.usage.cached_tokens) == (5, 500, 200)
    assert first.usage.money == pytest.approx(500 / 1e6)
    assert second.usage is not None
    assert (second.usage.answers, second.usage.failures, second.usage.money) == (4, 1, None)
    assert together.usage is None


def test_a_binary_question_counts_yes_and_no(db: None) -> None:
    scene = make_scene("binary", validators=1)
    for answer, yes in (("a", 0.9), ("b", 0.2), ("b", 0.8)):
        make_benchmark_item(
            scene.task({"yes": yes, "no": 1 - yes}),
            "tune",
            reference="label",
            reference_label=label_of(scene.project, answer),
        )
    [judge] = compared(scene, at=0.85).judges
    assert (judge.right.successes, judge.right.n) == (2, 3)
    assert (judge.accepted.accuracy.successes, judge.accepted.accuracy.n) == (1, 1)


def test_nothing_to_compare_has_no_figures(scene: Scene) -> None:
    found = compared(scene)
    assert found.rows == 0
    assert {judge.f1 for judge in found.judges} == {None}
    assert {judge.right.value for judge in found.judges} == {None}


def test_certify_is_not_on_offer() -> None:
    assert Part.CERTIFY not in PARTS
    assert {*PARTS, Part.CERTIFY} == set(Part)
