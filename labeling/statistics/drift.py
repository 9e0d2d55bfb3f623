"""How far a distribution has moved: the population stability index of binned shares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

LEAST_SHARE = 1e-4
SOME, MUCH = 0.1, 0.25
Change = Literal["little", "some", "much"]


@dataclass(frozen=True)
class Moved:
    """`index` is the population stability index. `chance` is about what it would be if nothing
    had moved, for samples of this size. `most` is the bin whose share changed most."""

    index: float
    chance: float
    change: Change
    most: str
    before: float
    after: float


def moved(
    before: Mapping[str, float], after: Mapping[str, float], *, rows_before: int, rows_after: int
) -> Moved | None:
    """The index of two sets of shares by bin: sum((q - p) ln(q / p)), empty bins at 0.0001.

    By custom below 0.1 is little, above 0.25 much. With few rows the index is large by chance
    alone: its mean is about (bins - 1) (1 / rows_before + 1 / rows_after) where nothing moved
    (Yurdakul 2018), and that is taken off before it is called some or much. None without rows.
    """
    bins = sorted({*before, *after})
    if not bins or rows_before < 1 or rows_after < 1:
        return None
    pairs = {
        name: (max(before.get(name, 0.0), LEAST_SHARE), max(after.get(name, 0.0), LEAST_SHARE))
        for name in bins
    }
    index = sum((q - p) * math.log(q / p) for p, q in pairs.values())
    chance = (len(bins) - 1) * (1 / rows_before + 1 / rows_after)
    beyond = index - chance
    change: Change = "much" if beyond > MUCH else "some" if beyond > SOME else "little"
    most = max(bins, key=lambda name: abs(after.get(name, 0.0) - before.get(name, 0.0)))
    return Moved(
        index=index,
        chance=chance,
        change=change,
        most=most,
        before=before.get(most, 0.0),
        after=after.get(most, 0.0),
    )
