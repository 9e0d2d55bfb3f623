"""The marginal effect of the variance threshold: accuracy above, cost below (LRSL, figure 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labeling.charts.axes import Axis, Tick, coordinate
from labeling.reranker_report import Curve, Point

WIDE, NARROW = 640, 340
LEFT, RIGHT = 46, 12
ACCURACY_TOP, ACCURACY_BOTTOM = 26, 156
COST_TOP, COST_BOTTOM = 196, 266
HEIGHT = 306
# The chosen threshold's label stands on the side where there is room for it.
_ROOM_FOR_LABEL = 130
# An axis shows at least half a percent, so that no noise looks like a mountain.
_LEAST_SPAN = 0.005


@dataclass(frozen=True)
class Dot:
    """A measured point and where its two marks stand."""

    point: Point
    x: str
    accuracy_y: str
    cost_y: str


@dataclass(frozen=True)
class Panel:
    """One of the two drawings over the common axis; tick values are shares."""

    path: str
    ticks: Sequence[Tick]
    decimals: int
    top: int
    bottom: int


@dataclass(frozen=True)
class Marker:
    """The line of the chosen threshold, and where its label stands."""

    x: str
    label_x: str
    anchor: str


@dataclass(frozen=True)
class MarginalChart:
    """Everything that the template draws, in a box of `width` by `height`."""

    width: int
    left: int
    right: int
    dots: Sequence[Dot]
    accuracy: Panel
    cost: Panel
    ticks: Sequence[Tick]
    decimals: int
    threshold: Marker | None
    height: int = HEIGHT

    @property
    def middle(self) -> str:
        """Half way along the axis, where its title stands."""
        return coordinate((self.left + self.right) / 2)


def marginal_chart(curve: Curve, width: int) -> MarginalChart | None:
    """Accuracy and hard share against the threshold; None where fewer than two were tried."""
    if len(curve.points) < 2:
        return None
    shown = [point.variance for point in curve.points]
    if curve.threshold is not None:
        shown.append(curve.threshold)
    x = Axis(min(shown), max(shown), LEFT, width - RIGHT)
    accuracy = Axis(*_span(curve.points), ACCURACY_BOTTOM, ACCURACY_TOP)
    cost = Axis(0.0, 1.0, COST_BOTTOM, COST_TOP)
    marks = 7 if width >= WIDE else 4
    return MarginalChart(
        width=width,
        left=LEFT,
        right=width - RIGHT,
        dots=[
            Dot(
                point,
                coordinate(x.at(point.variance)),
                coordinate(accuracy.at(point.accuracy)),
                coordinate(cost.at(point.hard_share)),
            )
            for point in curve.points
        ],
        accuracy=_panel(curve.points, x, accuracy, lambda p: p.accuracy, 4),
        cost=_panel(curve.points, x, cost, lambda p: p.hard_share, 3),
        ticks=x.ticks(marks),
        decimals=x.decimals(marks),
        threshold=_marker(curve.threshold, x),
    )


def _span(points: Sequence[Point]) -> tuple[float, float]:
    found = [point.accuracy for point in points]
    low, high = min(found), max(found)
    margin = max(0.12 * (high - low), (_LEAST_SPAN - (high - low)) / 2, 0.0)
    return max(low - margin, 0.0), min(high + margin, 1.0)


def _panel(
    points: Sequence[Point], x: Axis, y: Axis, of: Callable[[Point], float], most: int
) -> Panel:
    ends = [f"{coordinate(x.at(one.variance))} {coordinate(y.at(of(one)))}" for one in points]
    in_percent = Axis(100 * y.low, 100 * y.high, y.start, y.end)
    return Panel(
        path=f"M{'L'.join(ends)}",
        ticks=in_percent.ticks(most),
        decimals=in_percent.decimals(most),
        top=int(y.end),
        bottom=int(y.start),
    )


def _marker(threshold: float | None, x: Axis) -> Marker | None:
    if threshold is None:
        return None
    at = x.at(threshold)
    if at + _ROOM_FOR_LABEL < x.end:
        return Marker(coordinate(at), coordinate(at + 5), "start")
    return Marker(coordinate(at), coordinate(at - 5), "end")


def nearest(curve: Curve) -> Point | None:
    """The measured point next to the chosen threshold; None without one."""
    if curve.threshold is None or not curve.points:
        return None
    threshold = curve.threshold
    return min(curve.points, key=lambda point: abs(point.variance - threshold))
