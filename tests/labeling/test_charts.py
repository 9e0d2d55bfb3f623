"""Charts as geometry: where things are drawn, and that nothing falls out of the drawing."""

from __future__ import annotations

import datetime
import re

import pytest

from labeling.charts.axes import Axis
from labeling.charts.heat import LEVELS, heat_maps
from labeling.charts.marginal import NARROW, WIDE, marginal_chart, nearest
from labeling.charts.trend import TrendPoint, trend_chart
from labeling.reranker_report import Curve, Heat, Point

POINTS = [Point(0.0, 0.0, 0.90), Point(5.0, 0.5, 0.94), Point(10.0, 1.0, 0.92)]


def curve(points: list[Point] = POINTS, threshold: float | None = 4.0) -> Curve:
    return Curve("m1", 5, threshold, 300, points)


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (0.0, 1.0, 5, [0.0, 0.25, 0.5, 0.75, 1.0]),
        (0.0, 10.0, 6, [0, 2, 4, 6, 8, 10]),
        (91.3, 93.9, 4, [92.0, 93.0]),
        (-0.3, 1.0, 4, [0.0, 0.5, 1.0]),
        (3.0, 3.0, 4, [3.0]),
    ],
)
def test_ticks_are_round_and_within_the_axis(
    low: float, high: float, most: int, expected: list[float]
) -> None:
    ticks = Axis(low, high, 0, 100).ticks(most)
    assert [tick.value for tick in ticks] == pytest.approx(expected)


@pytest.mark.parametrize(("step", "decimals"), [((0, 1), 2), ((0, 10), 1), ((0, 100), 0)])
def test_tick_labels_have_the_decimals_they_need(step: tuple[int, int], decimals: int) -> None:
    assert Axis(*step, 0, 100).decimals(5) == decimals


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("threshold", [0.0, 4.0, 10.0, 30.0, None])
def test_the_curve_stays_within_its_box(width: int, threshold: float | None) -> None:
    chart = marginal_chart(curve(threshold=threshold), width)
    assert chart is not None
    for dot in chart.dots:
        assert chart.left <= float(dot.x) <= chart.right
        assert chart.accuracy.top <= float(dot.accuracy_y) <= chart.accuracy.bottom
        assert chart.cost.top <= float(dot.cost_y) <= chart.cost.bottom
    if threshold is None:
        assert chart.threshold is None
    else:
        assert chart.threshold is not None
        assert chart.left <= float(chart.threshold.x) <= chart.right


def test_more_accuracy_is_higher_and_more_cost_too() -> None:
    chart = marginal_chart(curve(), WIDE)
    assert chart is not None
    assert float(chart.dots[1].accuracy_y) < float(chart.dots[0].accuracy_y)
    assert float(chart.dots[2].cost_y) < float(chart.dots[1].cost_y)


def test_equal_accuracies_make_a_level_line() -> None:
    level = [Point(0.0, 0.0, 1.0), Point(5.0, 0.5, 1.0)]
    chart = marginal_chart(curve(level), WIDE)
    assert chart is not None
    assert chart.dots[0].accuracy_y == chart.dots[1].accuracy_y


def test_one_point_is_no_curve() -> None:
    assert marginal_chart(curve(POINTS[:1]), WIDE) is None


def test_the_point_next_to_the_threshold_is_found() -> None:
    assert nearest(curve()) == POINTS[1]
    assert nearest(curve(threshold=None)) is None
    assert nearest(curve([])) is None


HEAT = Heat(
    label_ids=[7, 8, 9],
    before=[[1.0, 0.9, 0.2], [0.9, 1.0, 0.4], [0.2, 0.4, 1.0]],
    after=[[1.0, 0.1, -0.2], [0.1, 1.0, 0.3], [-0.2, 0.3, 1.0]],
)


def test_every_cell_is_drawn_once_in_its_shade() -> None:
    maps = heat_maps(HEAT, pairs=2)
    assert maps is not None
    assert (maps.low, maps.high) == (-0.2, 1.0)
    drawn: dict[tuple[int, int], int] = {}
    for shade, path in enumerate(maps.after):
        for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", path):
            for column in range(int(x), int(x) + int(length)):
                assert (int(y), column) not in drawn
                drawn[int(y), column] = shade
    assert len(drawn) == 9
    assert drawn[0, 0] == drawn[2, 2] == LEVELS - 1
    assert drawn[0, 2] == drawn[2, 0] == 0
    assert drawn[0, 1] < drawn[1, 2]


def test_the_closest_pairs_are_named_once_each_with_both_values() -> None:
    maps = heat_maps(HEAT, pairs=2)
    assert maps is not None
    found = [(pair.one, pair.other, pair.before, pair.after) for pair in maps.closest_before]
    assert found == [(0, 1, 0.9, 0.1), (1, 2, 0.4, 0.3)]
    assert [(pair.one, pair.other) for pair in maps.closest_after] == [(1, 2), (0, 1)]
    assert maps.mean_before == pytest.approx(0.5)
    assert maps.mean_after == pytest.approx(0.2 / 3)


def test_labels_that_are_all_the_same_have_a_scale_too() -> None:
    maps = heat_maps(Heat([1, 2], [[1.0, 1.0]] * 2, [[1.0, 1.0]] * 2), pairs=5)
    assert maps is not None
    assert maps.low < maps.high


def test_one_label_has_nothing_to_be_compared_with() -> None:
    assert heat_maps(Heat([1], [[1.0]], [[1.0]]), pairs=5) is None


# --- Week by week -------------------------------------------------------------------------------


def weekly(*values: float) -> list[TrendPoint]:
    start = datetime.date(2026, 9, 7)
    return [
        TrendPoint(start + datetime.timedelta(weeks=at), value, value - 0.05, value + 0.02)
        for at, value in enumerate(values)
    ]


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_a_trend_stays_within_its_drawing_and_later_weeks_stand_further_right(width: int) -> None:
    chart = trend_chart(weekly(0.95, 0.90, 0.98), width)
    assert chart is not None
    places = [(float(mark.x), float(mark.y)) for mark in chart.marks]
    assert [x for x, _y in places] == sorted(x for x, _y in places)
    assert places[1][1] > places[0][1] > places[2][1]  # worse is further down
    for mark in chart.marks:
        assert chart.left < float(mark.x) < chart.right
        assert float(mark.high_y) < float(mark.y) < float(mark.low_y) <= chart.bottom
    assert all(0 <= tick.value <= 100 for tick in chart.ticks)


def test_a_flat_trend_has_an_axis_and_one_week_has_no_trend() -> None:
    chart = trend_chart([TrendPoint(point.day, 1.0, None, None) for point in weekly(1, 1)], WIDE)
    assert chart is not None
    assert len(chart.ticks) >= 2
    assert trend_chart(weekly(0.9), WIDE) is None
    assert trend_chart([], WIDE) is None


def test_a_coefficient_below_nought_is_drawn_too() -> None:
    chart = trend_chart(weekly(-0.2, 0.1), WIDE, scale=1)
    assert chart is not None
    assert min(tick.value for tick in chart.ticks) < 0
    assert all(float(mark.low_y) <= chart.bottom for mark in chart.marks)
