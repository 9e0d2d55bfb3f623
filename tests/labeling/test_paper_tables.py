"""The figures that Tsymbalov 2025 prints: which follow from their own row by our definitions.

`docs/concepts/metrics.md` lists those that do not.
"""

from __future__ import annotations

import itertools

import pytest

from labeling.statistics.metrics import (
    CONF,
    LABEL,
    UNK,
    Pair,
    Said,
    answer_metrics,
    by_label,
    yes_or_no,
)
from tests.support import ROOT

# Table, row: coverage (conf = unk), coverage (conf is no unk), accuracy without conf, accuracy with
# conf as wrong, total accuracy.
MULTICLASS: dict[str, tuple[float, float, float, float, float]] = {
    "6.1 Human": (0.2134, 0.5240, 0.6977, 0.3113, 0.1489),
    "6.1 Vikhr": (0.6254, 0.6254, 0.4250, 0.4250, 0.2658),
    "6.1 Gemma2": (0.4688, 0.4688, 0.4931, 0.4931, 0.2312),
    "6.1 Athene": (0.5498, 0.5498, 0.4001, 0.4001, 0.2200),
    "6.1 Llama3.3": (0.6585, 0.6585, 0.4118, 0.4118, 0.2712),
    "6.1 Qwen2.5": (0.5243, 0.5243, 0.5399, 0.5399, 0.2831),
    "6.4 Llama3.3, e5, 1": (0.6479, 0.6479, 0.4221, 0.4221, 0.2735),
    "6.4 Llama3.3, e5, 5": (0.7062, 0.7062, 0.4013, 0.4013, 0.2834),
    "6.4 Llama3.3, BM25, 1": (0.6440, 0.6440, 0.4209, 0.4209, 0.2711),
    "6.4 Llama3.3, BM25, 5": (0.6234, 0.6234, 0.4333, 0.4333, 0.2701),
    "6.4 Llama3.3, e5, frida": (0.6416, 0.6416, 0.4517, 0.4517, 0.2898),
    "6.4 Llama3.3, best RAG": (0.6446, 0.6446, 0.4519, 0.4519, 0.2913),
    "6.4 Qwen2.5, best RAG": (0.5483, 0.5483, 0.5334, 0.5334, 0.2925),
    "6.5 Llama3.3, intents, 1": (0.6645, 0.6645, 0.3669, 0.3669, 0.2438),
    "6.5 Llama3.3, intents, 5": (0.6427, 0.6427, 0.3141, 0.3141, 0.2018),
    "6.7 Llama3.3, LoRA, 1": (0.6712, 0.6712, 0.4055, 0.4055, 0.2722),
    "6.7 Llama3.3, LoRA, 2": (0.7328, 0.7328, 0.3455, 0.3455, 0.2532),
    "6.9 Qwen2.5": (0.4376, 0.4376, 0.6831, 0.6831, 0.2989),
    "6.9 Llama3.3": (0.4374, 0.4374, 0.6758, 0.6758, 0.2957),
    "6.9 Ensemble": (0.4269, 0.4269, 0.7030, 0.7030, 0.3001),
}
# Precision of yes and of no, recall of yes and of no, accuracy, macro F1.
BINARY: dict[str, tuple[float, float, float, float, float, float]] = {
    "6.2 Human": (0.8748, 0.7162, 0.7834, 0.8297, 0.8018, 0.7977),
    "6.2 Llama3.3 text": (0.8779, 0.8178, 0.9743, 0.4600, 0.8711, 0.7562),
    "6.2 Llama3.3 prob": (0.8718, 0.8067, 0.9721, 0.4496, 0.8643, 0.7483),
    "6.2 Llama3.3 thresholds": (0.8918, 0.6825, 0.7387, 0.8624, 0.7875, 0.7850),
    "6.2 Qwen2.5 text": (0.8613, 0.6531, 0.8726, 0.6307, 0.8059, 0.7543),
    "6.2 Qwen2.5 prob": (0.8471, 0.6365, 0.8837, 0.5606, 0.7977, 0.7306),
    "6.2 Qwen2.5 thresholds": (0.9398, 0.6863, 0.8518, 0.8560, 0.8530, 0.8277),
    "6.3 text + prob": (0.8507, 0.6540, 0.8678, 0.6214, 0.7971, 0.7482),
    "6.3 text + prob, thresholds": (0.8614, 0.6628, 0.7285, 0.8199, 0.7646, 0.7612),
    "6.6 Llama3.3 RAG thresholds": (0.8835, 0.7416, 0.7674, 0.8683, 0.8113, 0.8106),
    "6.6 Qwen2.5 RAG text": (0.8787, 0.6932, 0.7591, 0.8386, 0.7904, 0.7868),
    "6.6 Qwen2.5 RAG thresholds": (0.8993, 0.8401, 0.9712, 0.5818, 0.8908, 0.8103),
    "6.8 Qwen2.5 RAG text LoRA": (0.8947, 0.7058, 0.7565, 0.8677, 0.8012, 0.7991),
    "6.8 Qwen2.5 RAG thresholds LoRA": (0.9131, 0.7641, 0.8131, 0.8867, 0.8430, 0.8405),
    "6.10 Human, same 65 %": (0.8808, 0.7403, 0.8049, 0.8362, 0.8174, 0.8133),
    "6.10 Ensemble": (0.8851, 0.7680, 0.8271, 0.8421, 0.8332, 0.8292),
}
DO_NOT_FOLLOW = {
    ("6.1 Human", "accuracy with conf as wrong"),
    ("6.2 Llama3.3 prob", "accuracy"),
    ("6.6 Qwen2.5 RAG thresholds", "macro F1"),
}
ROUNDING = 0.00005
# Whole tasks instead of shares: one task in ten thousand, twice.
WHOLE = 0.0002


def pairs_like(row: tuple[float, float, float, float, float], n: int) -> list[Pair]:
    """`n` answers with the coverages and the accuracy without conf of a printed row."""
    coverage, with_conf, accuracy = row[:3]
    labels, conf = round(coverage * n), round(with_conf * n) - round(coverage * n)
    right = round(accuracy * labels)
    expert = Said(LABEL, "a")
    answers = [Said(LABEL, "a")] * right + [Said(LABEL, "b")] * (labels - right)
    answers += [Said(CONF, conf=frozenset({"a", "b"}))] * conf
    answers += [Said(UNK)] * (n - len(answers))
    return [Pair(task, expert, answer) for task, answer in enumerate(answers)]


@pytest.mark.parametrize("name", MULTICLASS)
def test_every_printed_total_follows_from_its_row(name: str) -> None:
    row = MULTICLASS[name]
    found = answer_metrics(pairs_like(row, 10_000))
    assert found.coverage.value == pytest.approx(row[0], abs=ROUNDING)
    assert found.coverage_with_conf.value == pytest.approx(row[1], abs=ROUNDING)
    assert found.accuracy.value == pytest.approx(row[2], abs=WHOLE)
    assert found.total_accuracy.value == pytest.approx(row[4], abs=WHOLE)
    follows = found.accuracy_conf_wrong.value == pytest.approx(row[3], abs=WHOLE)
    assert follows == ((name, "accuracy with conf as wrong") not in DO_NOT_FOLLOW)


def f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall)


def accuracies(row: tuple[float, float, float, float, float, float]) -> list[list[float]]:
    """The accuracies that fit within rounding: from the precision of yes, and from that of no."""
    yes, no, recall_yes, recall_no = row[:4]
    found: list[list[float]] = [[], []]
    for a, b, c in itertools.product((-ROUNDING, 0.0, ROUNDING), repeat=3):
        up, down = recall_yes + b, recall_no + c
        odds = (yes + a) * (1 - down) / ((1 - yes - a) * up)
        other = (1 - no - a) * down / ((no + a) * (1 - up))
        for values, positives in zip(found, (odds / (1 + odds), other / (1 + other)), strict=True):
            values.append(positives * up + (1 - positives) * down)
    return found


@pytest.mark.parametrize("name", BINARY)
def test_printed_accuracy_and_macro_f1_follow_from_precision_and_recall(name: str) -> None:
    row = BINARY[name]
    macro = [
        (f1(row[0] + off, row[2] + off) + f1(row[1] + off, row[3] + off)) / 2
        for off in (-ROUNDING, ROUNDING)
    ]
    follows = macro[0] - ROUNDING <= row[5] <= macro[1] + ROUNDING
    assert follows == ((name, "macro F1") not in DO_NOT_FOLLOW)
    follows = all(
        min(values) - ROUNDING <= row[4] <= max(values) + ROUNDING for values in accuracies(row)
    )
    assert follows == ((name, "accuracy") not in DO_NOT_FOLLOW)


@pytest.mark.parametrize("name", ["6.2 Human", "6.10 Ensemble"])
def test_our_code_gives_the_printed_figures_on_answers_made_like_a_row(name: str) -> None:
    yes, no, recall_yes, recall_no, accuracy, macro = BINARY[name]
    n = 4000
    odds = yes * (1 - recall_no) / ((1 - yes) * recall_yes)
    positives = round(n * odds / (1 + odds))
    hits, rejected = round(recall_yes * positives), round(recall_no * (n - positives))
    said = ["yes"] * hits + ["no"] * (positives - hits)
    said += ["no"] * rejected + ["yes"] * (n - positives - rejected)
    pairs = [
        yes_or_no(task, Said(LABEL, "a" if task < positives else "b"), "a", answer)
        for task, answer in enumerate(said)
    ]
    found = by_label(pairs)
    by_name = {label.label: label for label in found.labels}
    for name, precision, recall in (("yes", yes, recall_yes), ("no", no, recall_no)):
        assert by_name[name].precision.value == pytest.approx(precision, abs=0.001)
        assert by_name[name].recall.value == pytest.approx(recall, abs=0.001)
    assert found.macro_f1.value == pytest.approx(macro, abs=0.001)
    assert answer_metrics(pairs).accuracy.value == pytest.approx(accuracy, abs=0.001)


def test_the_page_lists_just_the_figures_that_do_not_follow() -> None:
    page = (ROOT / "docs" / "concepts" / "metrics.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| 6.")]
    assert len(rows) == len(DO_NOT_FOLLOW)
    for name, _figure in DO_NOT_FOLLOW:
        assert sum(row.startswith(f"| {name.split(' ')[0]} |") for row in rows) == 1
