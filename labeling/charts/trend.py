"""A share week by week, with its interval: is it getting worse?"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from labeling.charts.axes import Axis, Tick, coordinate

WIDE, NARROW = 640, 340
LEFT, RIGHT = 46, 14
TOP, BOTTOM, HEIGHT = 26, 186, 216
# An axis shows at least ten percent, so that no noise looks like a slump.
_LEAST_SPAN = 0.1


@dataclass(frozen=True)
class TrendPoint:
    """The week that begins on `day`: a share and its interval, whose bounds may be unknown."""

    day: datetime.date
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Mark:
    """A point and where it and its interval stand."""

    point: TrendPoint
    x: str
    y: str
    low_y: str
    high_y: str


@dataclass(frozen=True)
class Day:
    """A marked week and its coordinate."""

    day: datetime.date
    at: str
    anchor: str


@dataclass(frozen=True)
class TrendChart:
    """Everything that the template draws, in a box of `width` by `height`."""

    width: int
    left: int
    right: int
    marks: Sequence[Mark]
    path: str
    ticks: Sequence[Tick]
    decimals: int
    days: Sequence[Day]
    height: int = HEIGHT
    bottom: int = BOTTOM


def trend_chart(points: Sequence[TrendPoint], width: int, *, scale: int = 100) -> TrendChart | None:
    """The points in the order of time; None where fewer than two weeks have one. Ticks are percent,
    with a `scale` of 1 plain numbers."""
    if len(points) < 2:
        return None
    first, last = points[0].day.toordinal(), points[-1].day.toordinal()
    x = Axis(float(first), float(last), LEFT + 8, width - RIGHT - 8)
    y = Axis(*_span(points), BOTTOM, TOP)
    marks = [
        Mark(
            point,
            coordinate(x.at(point.day.toordinal())),
            coordinate(y.at(point.value)),
            coordinate(y.at(point.value if point.low is None else point.low)),
            coordinate(y.at(point.value if point.high is None else point.high)),
        )
        for point in points
    ]
    shown = Axis(scale * y.low, scale * y.high, y.start, y.end)
    return TrendChart(
        width=width,
        left=LEFT,
        right=width - RIGHT,
        marks=marks,
        path="M" + "L".join(f"{mark.x} {mark.y}" for mark in marks),
        ticks=shown.ticks(5),
        decimals=shown.decimals(5),
        days=[
            Day(points[0].day, coordinate(LEFT), "start"),
            Day(points[-1].day, coordinate(width - RIGHT), "end"),
        ],
    )


def _span(points: Sequence[TrendPoint]) -> tuple[float, float]:
    bounds = [
        bound
        for point in points
        for bound in (point.value, point.low, point.high)
        if bound is not None
    ]
    low, high = min(bounds), max(bounds)
    margin = max(0.06 * (high - low), (_LEAST_SPAN - (high - low)) / 2)
    return max(low - margin, min(low, 0.0)), min(high + margin, max(high, 1.0))
