"""Axes: round numbers to mark, and where a value lies."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Tick:
    """A marked value and its coordinate."""

    value: float
    at: str


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high`, drawn from `start` to `end` (either may be the larger)."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The coordinate of `value`; an axis of one value puts it in the middle."""
        span = self.high - self.low
        part = (value - self.low) / span if span > 0 else 0.5
        return self.start + part * (self.end - self.start)

    def ticks(self, most: int) -> list[Tick]:
        """At most `most` round values within the axis, and at least one."""
        step = self.step(most)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        values = [place * step for place in range(first, last + 1)] or [self.low]
        return [Tick(value, coordinate(self.at(value))) for value in values]

    def step(self, most: int) -> float:
        """The smallest of 1, 2, 2.5 and 5 times a power of ten that gives at most `most` ticks."""
        rough = (self.high - self.low) / max(most - 1, 1)
        if rough <= 0:
            return abs(self.low) or 1.0
        power = 10.0 ** math.floor(math.log10(rough))
        return next(one * power for one in (1, 2, 2.5, 5, 10) if one * power >= rough - 1e-12)

    def decimals(self, most: int) -> int:
        """How many decimals tell these ticks apart."""
        step = self.step(most)
        return next((n for n in range(6) if abs(round(step, n) - step) < 1e-9 * max(step, 1)), 6)


def coordinate(value: float) -> str:
    """As SVG reads it: a dot whatever the reader's language, one decimal."""
    return f"{value:.1f}".removesuffix(".0")
