"""The pictures of the LRSL benchmark show what stands in the cells."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from bench.lrsl_figures import curve, top
from bench.lrsl_tables import Cells, groups_in
from tests.support import ROOT

FOLDER = ROOT / "docs" / "benchmarks" / "lrsl"


@pytest.fixture
def cells() -> Cells:
    return groups_in(FOLDER)["hwu64", "frozen", "confused"]


def lines(picture: str) -> dict[str, list[tuple[float, float]]]:
    """The points of the drawn lines by how they look; the legend's lines are left out."""
    found: dict[str, list[tuple[float, float]]] = {}
    for element in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}path"):
        look = element.get("class", "")
        places = re.findall(r"([\d.]+) ([\d.]+)", element.get("d", ""))
        if look.startswith("line") and len(places) > 1:
            found[look.removeprefix("line ")] = [(float(x), float(y)) for x, y in places]
    return found


def test_the_curve_starts_at_the_classifier_and_ends_where_everything_is_reranked(
    cells: Cells,
) -> None:
    drawn = lines(curve("hwu64", cells))
    assert set(drawn) == {"a", "b", "c"}
    level = drawn["c"][0][1]
    assert drawn["a"][0][1] == pytest.approx(level, abs=0.2)
    assert drawn["b"][0][1] == pytest.approx(level, abs=0.2)
    assert len(drawn["a"]) == len(cells[0]["curve"]["ours"])
    heights = {look: points[-1][1] for look, points in drawn.items()}
    ends = {"a": "ours", "b": "paper"}
    for look, way in ends.items():
        gain = cells[0]["curve"][way][-1]["accuracy"] - cells[0]["origin"]["accuracy"]
        # A picture's y grows downwards.
        assert (level - heights[look] > 0) == (gain > 0)


def test_both_lines_of_the_best_k_end_at_ten_and_are_named(cells: Cells) -> None:
    picture = top("hwu64", cells)
    drawn = lines(picture)
    assert [len(points) for points in drawn.values()] == [5, 5]
    for words in ("classifier alone", "ours", "prefers-color-scheme: dark"):
        assert words in picture


def test_pictures_stand_beside_the_cells_they_were_made_from() -> None:
    groups: dict[tuple[str, str, str], Any] = groups_in(FOLDER)
    for (data, classifier, semantic_map), cells in groups.items():
        if semantic_map == "confused":
            stored = FOLDER / f"{data}-{classifier}-curve.svg"
            assert stored.read_text(encoding="utf-8") == curve(data, cells)
