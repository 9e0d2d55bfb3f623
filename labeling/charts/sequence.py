"""The confidence sequence of a monitor: the error found so far, its band, and the promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labeling.charts.axes import Axis, Tick, coordinate

WIDE, NARROW = 640, 340
HEIGHT = 240
LEFT, RIGHT = 46, 12
TOP, BOTTOM = 16, 196
# A promise is drawn with room above it, so that a line near it can be read.
_ROOM = 1.25


@dataclass(frozen=True)
class SequencePoint:
    """After `n` observations: the error, and its bounds at any time; shares."""

    n: int
    error: float
    low: float
    high: float


@dataclass(frozen=True)
class SequenceChart:
    """Everything that the template draws, in a box of `width` by `height`; ticks in percent."""

    width: int
    band: str
    line: str
    promised_y: str
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    y_decimals: int
    left: int = LEFT
    top: int = TOP
    bottom: int = BOTTOM
    height: int = HEIGHT

    @property
    def right(self) -> int:
        return self.width - RIGHT

    @property
    def middle(self) -> str:
        """Half way along the axis, where its title stands."""
        return coordinate((self.left + self.right) / 2)


def sequence_chart(
    points: Sequence[SequencePoint], *, promised: float, width: int
) -> SequenceChart | None:
    """The band of `points` against the number of observations; None where there are fewer than
    two. The band may leave the top of the drawing: early on it says nothing."""
    if len(points) < 2:
        return None
    most = max(_ROOM * 2 * promised, _ROOM * max(point.error for point in points), 0.01)
    x = Axis(0, points[-1].n, LEFT, width - RIGHT)
    y = Axis(0.0, min(most, 1.0), BOTTOM, TOP)

    def end(n: int, share: float) -> str:
        return f"{coordinate(x.at(n))} {coordinate(y.at(min(share, y.high)))}"

    upper = [end(point.n, point.high) for point in points]
    lower = [end(point.n, point.low) for point in reversed(points)]
    in_percent = Axis(0.0, 100 * y.high, BOTTOM, TOP)
    return SequenceChart(
        width=width,
        band=f"M{'L'.join([*upper, *lower])}z",
        line=f"M{'L'.join(end(point.n, point.error) for point in points)}",
        promised_y=coordinate(y.at(min(promised, y.high))),
        x_ticks=x.ticks(7 if width >= WIDE else 4),
        y_ticks=in_percent.ticks(5),
        y_decimals=in_percent.decimals(5),
    )
