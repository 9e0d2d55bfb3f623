"""Accuracy against coverage, a line for each judge (Tsymbalov 2025, figure 6.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labeling.charts.axes import Axis, Tick, coordinate

WIDE, NARROW = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 26, 250
HEIGHT = 290
STYLES = 6
"""So many lines are told apart, by dashes and marks; more are for the table alone."""
_LEAST_SPAN = 0.05


@dataclass(frozen=True)
class Line:
    """A judge's line: its name, which of the styles draws it, and its path."""

    name: str
    style: int
    path: str
    end_x: str
    end_y: str


@dataclass(frozen=True)
class CoverageChart:
    """Everything that the template draws, in a box of `width` by `height`."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    lines: Sequence[Line]
    accuracy: Sequence[Tick]
    coverage: Sequence[Tick]
    decimals: int

    @property
    def middle(self) -> int:
        return (self.left + self.right) // 2


def coverage_chart(
    curves: Sequence[tuple[str, Sequence[tuple[float, float]]]], width: int
) -> CoverageChart | None:
    """`curves`: a name and its points (coverage, accuracy), both in [0, 1]. None without points."""
    drawn = [(name, points) for name, points in curves if points][:STYLES]
    if not drawn:
        return None
    found = [accuracy for _name, points in drawn for _coverage, accuracy in points]
    low = max(min(found) - 0.02, 0.0)
    low = max(min(low, 1.0 - _LEAST_SPAN), 0.0)
    x = Axis(0.0, 1.0, LEFT, width - RIGHT)
    y = Axis(low, 1.0, BOTTOM, TOP)
    percent_x, percent_y = (
        Axis(100 * axis.low, 100 * axis.high, axis.start, axis.end) for axis in (x, y)
    )
    return CoverageChart(
        width=width,
        height=HEIGHT,
        left=LEFT,
        right=width - RIGHT,
        top=TOP,
        bottom=BOTTOM,
        lines=[_line(name, style, points, x, y) for style, (name, points) in enumerate(drawn)],
        accuracy=percent_y.ticks(5),
        coverage=percent_x.ticks(6),
        decimals=percent_y.decimals(5),
    )


def _line(name: str, style: int, points: Sequence[tuple[float, float]], x: Axis, y: Axis) -> Line:
    ends = [(coordinate(x.at(one)), coordinate(y.at(other))) for one, other in points]
    path = "M" + "L".join(f"{at} {height}" for at, height in ends)
    return Line(name, style, path, *ends[-1])
