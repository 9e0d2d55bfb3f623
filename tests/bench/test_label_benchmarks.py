"""`bench.agreement` and `bench.alt_test`: small files worked out by hand, and the real sets."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import agreement, alt_test
from tests.support import data_path

LABELS = """task,worker,label
1,x,a
1,y,a
1,z,b
2,x,a
2,y,b
3,x,unk
3,y,unk
3,x,a
"""
GOLD = "task,gold\n1,a\n2,b\n4,a\n"
PUBLISHED = {
    "gemini_flash": (0.70, 0.91),
    "gemini_pro": (0.90, 0.94),
    "gpt-4o": (0.90, 0.93),
    "gpt-4o-mini": (0.50, 0.90),
    "llama-31": (0.60, 0.89),
    "mistral-v03": (0.10, 0.81),
}
"""Winning rate and average advantage that the authors' notebook prints at epsilon 0.1."""


def printed(
    module: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> dict[str, Any]:
    """What the command prints on standard output, which must be one JSON object."""
    monkeypatch.setattr(sys, "argv", ["bench", *words, "--json"])
    module.main()
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_a_small_file_comes_out_as_worked_out_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, gold = tmp_path / "labels.csv", tmp_path / "gold.csv"
    labels.write_text(LABELS, encoding="utf-8")
    gold.write_text(GOLD, encoding="utf-8")
    told = printed(agreement, monkeypatch, capsys, "--labels", str(labels), "--gold", str(gold))
    # Task 1 has the majority a, which is right; task 2 ties between its gold label and another.
    assert told["majority_accuracy"] == 0.75
    assert told["percent_agreement"] == pytest.approx((1 / 3 + 0 + 1) / 3)
    assert told["repeats"] == {"rows": 1, "same": 0}
    assert (told["gold_tasks"], told["labels"]) == (2, 7)
    assert {"dawid_skene_accuracy", "krippendorff_alpha", "fleiss_kappa"} <= told.keys()


def test_without_gold_there_are_coefficients_and_no_accuracy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(LABELS, encoding="utf-8")
    told = printed(agreement, monkeypatch, capsys, "--labels", str(labels))
    assert told["majority_accuracy"] is None
    assert told["krippendorff_alpha"] is not None


@pytest.mark.parametrize("text", ["", "task,worker\n1,x\n", "task,worker,label\n1,x,\n"])
def test_a_file_that_is_none_ends_in_words(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["bench", "--labels", str(labels), "--json"])
    with pytest.raises(SystemExit, match=r"labels\.csv (needs|has)"):
        agreement.main()


def test_people_that_are_too_few_end_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, llm = tmp_path / "labels.csv", tmp_path / "llm.csv"
    labels.write_text(LABELS, encoding="utf-8")
    llm.write_text("task,model,label\n1,m,a\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["bench", "--labels", str(labels), "--llm", str(llm)])
    with pytest.raises(SystemExit, match="m: Two people need"):
        alt_test.main()


@pytest.mark.data
def test_the_published_winning_rates_come_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = data_path("multiannot", "cebab_aspects")
    words = ("--labels", str(folder / "labels.csv"), "--llm", str(folder / "llm_labels.csv"))
    told = printed(alt_test, monkeypatch, capsys, *words, "--epsilon", "0.1")
    assert told.keys() == PUBLISHED.keys()
    for model, (rate, advantage) in PUBLISHED.items():
        assert told[model]["winning_rate"] == pytest.approx(rate)
        assert round(told[model]["average_advantage"], 2) == advantage


@pytest.mark.data
def test_dawid_skene_beats_the_majority_where_some_workers_guess(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = data_path("multiannot", "rte")
    words = ("--labels", str(folder / "labels.csv"), "--gold", str(folder / "gold.csv"))
    told = printed(agreement, monkeypatch, capsys, *words)
    assert told["majority_accuracy"] == pytest.approx(0.896875)
    assert told["dawid_skene_accuracy"] == pytest.approx(0.9275)
