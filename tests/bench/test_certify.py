"""Ways to choose a threshold, and what `bench.certify` and `bench.monitor` make of them."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench import certify, monitor
from bench.certify_models import Population, without_copies

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def scored(n: int, seed: int = 0) -> tuple[Floats, Flags]:
    rng = np.random.default_rng(seed)
    scores = rng.beta(6, 1, n).round(3)
    return scores, rng.random(n) > scores**0.5


def made(n: int = 4000) -> Population:
    """A population on which the scorer knows more than the two probabilities."""
    rng = np.random.default_rng(1)
    known, right = rng.random(n), np.zeros(n, bool)
    right[:] = rng.random(n) < 0.7 + 0.3 * known
    scores = {"classifier": rng.random(n), "reranked": rng.random(n), "scorer": known}
    labels = {name: ["a"] * n for name in scores}
    truth = ["a" if one else "b" for one in right]
    wrong = dict.fromkeys(scores, ~right)
    return Population(["text"] * n, truth, labels, scores, wrong, {}, 100)


def options(**changed: object) -> argparse.Namespace:
    wanted = {"alpha": [0.1], "delta": 0.1, "repeats": 5, "seed": 0}
    return argparse.Namespace(**{**wanted, "tune_rows": 500, "certify_rows": 800, **changed})


def test_copies_of_a_normalised_text_are_left_out() -> None:
    rows = [{"text": text, "category": "a"} for text in ("Where?", " where? ", "There!", " ")]
    assert [row["text"] for row in without_copies(rows)] == ["Where?", "There!"]


def test_mapie_chooses_as_its_own_controller_does() -> None:
    from mapie.risk_control import BinaryClassificationController

    scores, wrong = scored(1500)
    controller = BinaryClassificationController(
        predict_function=lambda rows: np.column_stack([1 - rows[:, 0], rows[:, 0]]),
        risk="precision",
        target_level=0.95,
        confidence_level=0.9,
        best_predict_param_choice="recall",
    )
    controller.calibrate(scores[:, None], (~wrong).astype(int))
    ours = certify.mapie(scores, wrong, 0.05, 0.1, "bonferroni_holm")
    assert ours == pytest.approx(controller.best_predict_param)


def test_sgr_keeps_its_promise_and_finds_what_is_there() -> None:
    scores, wrong = scored(1500)
    threshold = certify.sgr(scores, wrong, 0.1, 0.1)
    assert threshold is not None
    assert wrong[scores >= threshold].mean() < 0.1
    assert certify.sgr(scores, np.zeros(1500, bool), 0.1, 0.1) is not None
    assert certify.sgr(scores, np.ones(1500, bool), 0.1, 0.1) is None


def test_repeats_are_judged_by_the_whole_population() -> None:
    found = certify._repeat(made(), options())["0.1"]
    assert found["ours"]["coverage"] > found["ours_top_probability"]["coverage"]
    assert found["ours"]["scorer_chosen"] == 1.0
    for way in found.values():
        low, high = way["violation_interval"]
        assert 0 <= low <= way["violation"] <= high <= 1


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text("text,category\nhello,a\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="leave no population"):
        certify.measure(options(train=path, test=path, train_rows=10))


def test_the_monitor_is_measured_on_quiet_and_on_drifting_streams() -> None:
    wanted = argparse.Namespace(
        streams=30, days=120, audits=10, onset=40, promised=0.05, delta=0.1, seed=0
    )
    found = monitor.measure(wanted)
    assert found["quiet"]["false_alarms"]["share"] <= 0.2
    assert found["quiet"]["naive_false_alarms"]["share"] > 0.2
    assert found["jump"]["missed"]["share"] == 0.0
    assert found["jump"]["delay_days"]["50%"] < found["slope"]["delay_days"]["50%"]
