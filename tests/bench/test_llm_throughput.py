"""The parts of `bench.llm_throughput` that need no server."""

from __future__ import annotations

from bench.llm_throughput import spread, with_text_first
from llm_worker.prompts.build import build_prompt
from llm_worker.prompts.families import FAMILIES
from llm_worker.types import Candidate, ValidationRequest


def test_the_naive_layout_has_the_same_lines_with_the_text_before_the_cards() -> None:
    cards = (Candidate(1, "late"), Candidate(2, "refund", "money back"))
    for family in FAMILIES.values():
        ours = build_prompt(family, ValidationRequest(1, "where is it", "multiclass", cards)).text
        naive = with_text_first(ours)
        assert sorted(naive.splitlines()) == sorted(ours.splitlines())
        assert ours.index("[TEXT]\n") > ours.index("[LABEL]\n")
        assert naive.index("[TEXT]\n") < naive.index("[LABEL]\n")
        assert naive.startswith(ours[: ours.index("\n[LABEL]")])


def test_a_spread_names_the_median_and_both_ends() -> None:
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "least": 1.0, "most": 3.0}
