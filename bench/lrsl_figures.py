"""The pictures of docs/benchmarks/lrsl.md from stored cells of `bench.lrsl`.

`python -m bench.lrsl_figures FOLDER` reads every JSON file of FOLDER, one cell each, and writes two
SVG pictures beside them for each data set and classifier with the map as it should be: accuracy
and time against the share of rows that are reranked (the marginal effect; figures 4 and 10 of the
paper), and top-1 to top-10 accuracy (figure 1b). Means over seeds. They are readable in light and
dark, and without colour.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.common import say
from bench.lrsl_tables import TOP, Cells, groups_in, mean

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, UPPER, LOWER = 62, 20, 34, 58
TICKS = (2, 6, 11, 16, 20)
"""The points of a curve that are named below it: tenth, quarter, half, three quarters, all."""
STEPS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Between two lines of the grid, in points."""
STYLE = """
svg { background: #fff; color: #1b1f24; font: 13px system-ui, sans-serif; }
text { fill: currentColor; } .small { font-size: 11px; }
.axis, .grid { stroke: currentColor; fill: none; } .grid { opacity: .15; }
.line { fill: none; stroke-width: 2.2; stroke: var(--ink); }
.a { --ink: #0b5cad; } .b { --ink: #a33b00; } .c { --ink: #4a4f57; }
.b .line, .b.line { stroke-dasharray: 7 4; } .c.line { stroke-dasharray: 2 4; }
.name { font-weight: 600; fill: var(--ink); }
@media (prefers-color-scheme: dark) {
  svg { background: #14171c; color: #e6e8eb; }
  .a { --ink: #6cb2ff; } .b { --ink: #ffa56b; } .c { --ink: #b4bac4; }
}
"""


Tick = tuple[float, str, str]
"""Where a tick stands, and the two lines under it."""


@dataclass(frozen=True)
class Line:
    """One line of a picture: its name, how it looks (a, b or c) and its points."""

    name: str
    look: str
    x: Sequence[float]
    y: Sequence[float]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.lrsl_figures", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with results of bench.lrsl")
    options = parser.parse_args()
    for (data, classifier, semantic_map), cells in sorted(groups_in(options.folder).items()):
        if semantic_map != "confused":
            continue
        for what, picture in (("curve", curve(data, cells)), ("top", top(data, cells))):
            place = options.folder / f"{data}-{classifier}-{what}.svg"
            place.write_text(picture, encoding="utf-8")
            say(str(place))


def curve(data: str, cells: Cells) -> str:
    """Accuracy against the share of rows reranked, and below what that takes."""
    shares = _points(cells, "ours", "hard_share")
    variances = _points(cells, "ours", "variance")
    seconds = mean([_seconds_each(cell) for cell in cells])
    before = 100 * mean([cell["origin"]["accuracy"] for cell in cells])
    lines = [
        Line("classifier alone", "c", [0.0, 100.0], [before, before]),
        Line(
            "paper (eq. 10)",
            "b",
            list(100 * shares),
            list(100 * _points(cells, "paper", "accuracy")),
        ),
        Line("ours", "a", list(100 * shares), list(100 * _points(cells, "ours", "accuracy"))),
    ]
    ticks = [
        (
            100 * share,
            f"{100 * share:.0f} %",
            f"v &lt; {variance:.2g}, {1000 * share * seconds:.0f} s",
        )
        for share, variance in ((shares[place], variances[place]) for place in TICKS)
    ]
    return _picture(
        f"{data}: accuracy against what is reranked",
        "share of rows that are hard; variance threshold v, seconds for 1,000 texts",
        lines,
        ticks,
    )


def _points(cells: Cells, way: str, key: str) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.mean(
        [[p[key] for p in cell["curve"][way]] for cell in cells], axis=0
    )
    return found


def _seconds_each(cell: dict[str, Any]) -> float:
    """Seconds to encode one text with the map: what reranking a row costs, but for arithmetic."""
    spent = [took for what, took in cell["seconds"].items() if what.endswith("with the map")]
    return float(sum(spent) / sum(cell["rows"].values()))


def top(data: str, cells: Cells) -> str:
    """Top-k accuracy of the classifier and after our reranking."""
    x = [float(place) for place in range(len(TOP))]
    lines = [
        Line(
            words,
            look,
            x,
            [100 * mean([cell[name]["top_k_accuracy"].get(k, 1.0) for cell in cells]) for k in TOP],
        )
        for name, words, look in (("origin", "classifier alone", "b"), ("ours", "ours", "a"))
    ]
    ticks = [(place, k, "") for place, k in zip(x, TOP, strict=True)]
    return _picture(f"{data}: right label among the first k", "k", lines, ticks)


def _picture(title: str, below: str, lines: Sequence[Line], ticks: Sequence[Tick]) -> str:
    """An SVG with one axis each way; every line stands in the legend."""
    grid = _grid([value for line in lines for value in line.y])
    low, high = grid[0], grid[-1]
    least, most = min(min(line.x) for line in lines), max(max(line.x) for line in lines)

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - least) / (most - least) * (WIDTH - LEFT - RIGHT)
        return across, HEIGHT - LOWER - (y - low) / (high - low) * (HEIGHT - UPPER - LOWER)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT + 26}" '
        f'width="{WIDTH}" height="{HEIGHT + 26}" role="img" aria-label="{title}">',
        f"<style>{STYLE}</style>",
        f'<text x="{LEFT}" y="20" font-weight="600">{title} (%)</text>',
    ]
    for value in grid:
        down = at(least, value)[1]
        parts.append(f'<path class="grid" d="M{LEFT} {down:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(_text(LEFT - 8, down + 4, f"{value:g}", anchor="end"))
    for x, words, more in ticks:
        across, down = at(x, low)
        anchor = "end" if x == most and more else "middle"
        parts.append(f'<path class="axis" d="M{across:.1f} {down:.1f}v5"/>')
        parts.append(_text(across, down + 19, words, anchor=anchor))
        parts.append(_text(across, down + 34, more, anchor=anchor, look="small"))
    for line in lines:
        places = (at(x, y) for x, y in zip(line.x, line.y, strict=True))
        path = "L".join(f"{across:.1f} {down:.1f}" for across, down in places)
        parts.append(f'<path class="line {line.look}" d="M{path}"/>')
    parts.append(_text(LEFT, HEIGHT - 6, below, look="small"))
    return "\n".join([*parts, *_legend(lines), "</svg>", ""])


def _text(x: float, y: float, words: str, *, anchor: str = "start", look: str = "") -> str:
    return f'<text class="{look}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'


def _legend(lines: Sequence[Line]) -> list[str]:
    parts, across = [], LEFT
    for line in lines:
        parts.append(f'<path class="line {line.look}" d="M{across} {HEIGHT + 16}h28"/>')
        parts.append(_text(across + 34, HEIGHT + 20, line.name, look=f"name {line.look}"))
        across += 60 + 8 * len(line.name)
    return parts


def _grid(values: Sequence[float]) -> NDArray[np.float64]:
    """Round numbers around the values, at most seven."""
    low, high = min(values), max(values)
    step = next((one for one in STEPS if (high - low) / one <= 5), 20.0)
    first, last = np.floor(low / step), np.ceil(high / step)
    found: NDArray[np.float64] = step * np.arange(first, max(last, first + 1) + 1)
    return found


if __name__ == "__main__":
    main()
