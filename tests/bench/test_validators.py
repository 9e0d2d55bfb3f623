"""The tables of `bench.validators`, against figures worked out by hand."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np
import pytest

from bench.validator_material import Material, Task
from bench.validator_tables import FITTED, MEAN, Answer, Cell, figure_of, tables
from llm_worker.types import Candidate, Document, Question

Said = dict[str, float]
CARDS = {
    label: Candidate(label, f"label {label}", "", ("fits",), ("looks alike",)) for label in range(4)
}


def task(number: int, truth: int, candidates: tuple[int, ...] = (1, 2)) -> Task:
    documents = (Document("d", "title", "text"),)
    return Task(number, f"text {number}", np.zeros(2, np.float32), candidates, truth, documents)


def material(tune: list[Task], test: list[Task]) -> Material:
    return Material(["a", "b", "c", "d"], CARDS, tune, test, [], 0, dict)


def cell(name: str, question: Question, answers: dict[int, Said], **setting: Any) -> Cell:
    return Cell(name, question, setting, {n: Answer(said, 0.9, 10) for n, said in answers.items()})


@pytest.fixture
def made() -> tuple[Material, list[Cell]]:
    """Four tasks to tune on, four to test on. The truth is label 1, but for the last of each,
    where no candidate is right."""
    tune = [task(n, truth) for n, truth in enumerate((1, 1, 1, 3))]
    test = [task(n, truth) for n, truth in enumerate((1, 1, 1, 3), start=10)]
    surely, less = {"1": 0.9, "2": 0.1, "unk": 0.0}, {"1": 0.6, "2": 0.4, "unk": 0.0}
    wrong = {"1": 0.3, "2": 0.5, "unk": 0.2}
    multi = {0: surely, 1: surely, 2: less, 3: wrong, 10: surely, 11: less, 12: wrong, 13: less}
    sure = {n: {"yes": 0.8, "no": 0.2} for n in (0, 1, 2, 10, 11, 12)}
    binary = sure | {3: {"yes": 0.1, "no": 0.9}, 13: {"yes": 0.7, "no": 0.3}}
    cells = [cell("one", "multiclass", multi), cell("one", "binary", binary)]
    return material(tune, test), cells


def row(result: dict[str, Any], validator: str, question: str) -> dict[str, Any]:
    (found,) = [
        one
        for one in result["cells"]
        if (one["validator"], one["question"]) == (validator, question)
    ]
    assert isinstance(found, dict)
    return found


def test_a_threshold_is_tuned_on_one_half_and_measured_on_the_other(
    made: tuple[Material, list[Cell]],
) -> None:
    one = row(tables(*made, target=1.0), "one", "multiclass")
    assert one["threshold"] == 0.6
    assert (one["n"], one["without_answer"]) == (4, 0)
    assert one["coverage"]["value"] == 0.75
    assert one["accuracy"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert one["total_accuracy"]["value"] == 0.5
    assert one["accuracy"]["low"] < 2 / 3 < one["accuracy"]["high"]


def test_where_no_threshold_reaches_the_target_nothing_is_accepted(
    made: tuple[Material, list[Cell]],
) -> None:
    about, cells = made
    hopeless = cell("two", "multiclass", {n: {"1": 0.1, "2": 0.9, "unk": 0.0} for n in range(14)})
    one = row(tables(about, [*cells, hopeless], target=0.9), "two", "multiclass")
    assert one["threshold"] is None
    assert one["coverage"]["value"] == 0.0
    assert one["accuracy"]["value"] is None


def test_the_curve_takes_ties_together_and_ends_at_all_tasks(
    made: tuple[Material, list[Cell]],
) -> None:
    curve = row(tables(*made, target=1.0), "one", "multiclass")["curve"]
    assert [point["coverage"] for point in curve] == [0.25, 0.75, 1.0]
    assert [point["accuracy"] for point in curve] == [1.0, 0.6667, 0.5]
    assert [point["total_accuracy"] for point in curve] == [0.25, 0.5, 0.5]


def test_a_binary_answer_is_counted_for_yes_and_for_no(made: tuple[Material, list[Cell]]) -> None:
    one = row(tables(*made, target=0.75), "one", "binary")
    assert one["coverage"]["value"] == 0.75
    assert one["yes_and_no"]["yes"]["precision"]["value"] == 1.0
    assert "no" not in one["yes_and_no"]  # nobody said no among what is accepted


def test_an_ensemble_is_made_of_the_plain_cells(made: tuple[Material, list[Cell]]) -> None:
    about, cells = made
    other = {n: {"1": 0.0, "2": 1.0, "unk": 0.0} for n in (*range(4), *range(10, 14))}
    plain = cell("two", "multiclass", other, look_alikes=True, documents=False, remedy="none")
    shown = cell("two", "multiclass", other, look_alikes=False, documents=False, remedy="none")
    result = tables(about, [*cells, plain, shown], target=1.0)
    # The mean prefers label 2 everywhere, so the likeliest option is never right.
    assert row(result, MEAN, "multiclass")["best_option_right"]["value"] == 0.0
    weights = row(result, FITTED, "multiclass")["weights"]
    assert len(weights) == 2
    assert weights[0] > weights[1]


def test_validators_are_compared_on_the_same_tasks(made: tuple[Material, list[Cell]]) -> None:
    about, cells = made
    hopeless = cell("two", "multiclass", {n: {"1": 0.1, "2": 0.9, "unk": 0.0} for n in range(14)})
    compared = tables(about, [*cells, hopeless], target=1.0)["paired"]
    found = {(one["question"], one["validator"], one["than"]): one for one in compared}
    # “one” accepts two tasks of four rightly, the mean with a validator that is never right none.
    worse = found["multiclass", MEAN, "one"]
    assert worse["difference"] == -0.5
    assert -1.0 <= worse["low"] < -0.5 < worse["high"] <= 0.0
    # Alone, it is the mean.
    assert found["binary", MEAN, "one"]["difference"] == 0.0


def test_the_figure_is_a_drawing_with_every_line_named(made: tuple[Material, list[Cell]]) -> None:
    drawing = ElementTree.fromstring(figure_of(*made))
    names = [text.text for text in drawing.iter() if text.tag.endswith("text")]
    assert {"one", MEAN, "coverage"} <= set(names)


def test_cards_and_documents_are_shown_as_the_setting_says() -> None:
    about = material([], [])
    (bare,) = about.requests([task(1, 1)], "binary", look_alikes=False, documents=False)
    assert (bare.asked_label_id, bare.documents) == (1, ())
    assert all(card.examples and not card.counter_examples for card in bare.candidates)
    (full,) = about.requests([task(1, 1)], "multiclass", look_alikes=True, documents=True)
    assert (full.asked_label_id, len(full.documents)) == (None, 1)
    assert all(card.counter_examples for card in full.candidates)
