from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rerank_engine.artifacts import data_hash, find_matching, read_artifact, write_artifact
from rerank_engine.classifier import (
    KIND,
    HeadClassifier,
    out_of_fold_logits,
    stored_settings,
    train_classifier,
)
from rerank_engine.encoder import Encoder
from rerank_engine.errors import ArtifactError, TrainingDataError
from tests.support import data_path

Rows = tuple[NDArray[np.float32], NDArray[np.int64]]


def _clusters(rows: int, classes: int, *, seed: int = 0, spread: float = 0.5) -> Rows:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, 16))
    labels = np.arange(rows) % classes
    values = centres[labels] + spread * rng.normal(size=(rows, 16))
    return values.astype(np.float32), labels


def test_the_same_seed_gives_the_same_head_and_another_seed_another() -> None:
    values, labels = _clusters(120, 4)
    first, again, other = (
        train_classifier(values, labels, n_classes=4, seed=seed).logits(values)
        for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == (120, 4)
    assert first.dtype == np.float32


def test_training_leaves_the_random_numbers_of_others_alone() -> None:
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train_classifier(*_clusters(40, 4), n_classes=4, seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_two_rows_a_class_are_enough_to_tell_real_texts_apart(encoder: Encoder) -> None:
    rows = {
        "I lost my card": 0,
        "my card was stolen": 0,
        "how do I top up my account": 1,
        "adding money to my balance": 1,
        "what is the exchange rate": 2,
        "the rate for euros looks wrong": 2,
    }
    head = train_classifier(
        encoder.encode(list(rows)), np.array(list(rows.values())), n_classes=3, seed=0
    )
    asked = ["someone took my card", "I want to top up", "which exchange rate do you use"]
    assert head.logits(encoder.encode(asked)).argmax(axis=1).tolist() == [0, 1, 2]


def test_one_row_a_class_trains_and_a_class_without_rows_scores_low() -> None:
    values, labels = _clusters(3, 3)
    head = train_classifier(values, labels, n_classes=5, seed=0)
    assert head.logits(values).argmax(axis=1).tolist() == [0, 1, 2]
    assert "held_out_accuracy" not in head.metrics


def test_a_dimension_that_never_moves_does_no_harm() -> None:
    values, labels = _clusters(60, 3)
    values[:, 4] = 0.25
    head = train_classifier(values, labels, n_classes=3, seed=0)
    moved = values.copy()
    moved[:, 4] += 1e-4
    np.testing.assert_allclose(head.logits(moved), head.logits(values), atol=1e-2)


def test_progress_ends_at_its_end() -> None:
    seen: list[tuple[int, int]] = []
    train_classifier(
        *_clusters(60, 3),
        n_classes=3,
        seed=0,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1][0] == seen[-1][1]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_saved_head_gives_the_same_scores_and_is_found_by_its_data(tmp_path: Path) -> None:
    values, labels = _clusters(60, 3)
    head = train_classifier(values, labels, n_classes=3, seed=2)
    key = data_hash(values, labels)
    folder = head.save(tmp_path / "v1", data_hash=key, encoder_fingerprint="mini@1")
    again = HeadClassifier.load(folder, encoder_fingerprint="mini@1")
    np.testing.assert_array_equal(again.logits(values), head.logits(values))
    assert (again.settings, again.metrics, again.seed) == (head.settings, head.metrics, 2)
    with pytest.raises(ArtifactError, match="trained with the encoder mini@1, not mini@2"):
        HeadClassifier.load(folder, encoder_fingerprint="mini@2")

    def found(seed: int) -> bool:
        wanted = stored_settings(n_classes=3, seed=seed, encoder_fingerprint="mini@1")
        return find_matching(tmp_path, kind=KIND, data_hash=key, settings=wanted) is not None

    assert found(2)
    assert not found(3)


def test_out_of_fold_scores_do_not_know_the_label_of_their_own_row() -> None:
    values, truth = _clusters(120, 4)
    given = truth.copy()
    given[::10] = (given[::10] + 1) % 4  # wrong labels that only a leak could repeat
    guesses = out_of_fold_logits(values, given, n_classes=4, folds=4, seed=0).argmax(axis=1)
    assert (guesses == truth).mean() > 0.95
    assert (guesses == given)[::10].mean() < 0.2


def test_rows_that_cannot_train_are_refused_in_words() -> None:
    values, labels = _clusters(6, 3)
    with pytest.raises(TrainingDataError, match="at least two labels"):
        train_classifier(values, np.zeros(6, int), n_classes=3, seed=0)
    with pytest.raises(TrainingDataError, match="outside of 0 to 1"):
        train_classifier(values, labels, n_classes=2, seed=0)
    with pytest.raises(TrainingDataError, match="came with labels"):
        train_classifier(values, labels[:4], n_classes=3, seed=0)
    with pytest.raises(TrainingDataError, match="not finite"):
        train_classifier(values * np.nan, labels, n_classes=3, seed=0)
    with pytest.raises(TrainingDataError, match="7 folds"):
        out_of_fold_logits(values, labels, n_classes=3, folds=7, seed=0)
    head = train_classifier(values, labels, n_classes=3, seed=0)
    with pytest.raises(TrainingDataError, match="another encoder"):
        head.logits(values[:, :3])


def _banking77(part: str) -> tuple[list[str], list[str]]:
    path = data_path("banking77", f"{part}.csv")
    with path.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    return [row["text"] for row in rows], [row["category"] for row in rows]


def _encoded(encoder: Encoder, texts: list[str], cache: Path) -> NDArray[Any]:
    """Vectors of the texts, kept between test runs: encoding 13,000 texts takes a minute or two."""
    key = data_hash(texts, encoder.fingerprint)
    found = find_matching(cache / key, kind="vectors", data_hash=key, settings={})
    if found is None:
        write_artifact(
            cache / key,
            kind="vectors",
            arrays={"vectors": encoder.encode(texts)},
            manifest={"data_hash": key, "settings": {}},
        )
    return read_artifact(cache / key, kind="vectors").arrays["vectors"]


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_banking77_is_classified_with_at_least_93_percent_for_every_seed(
    encoder: Encoder, request: pytest.FixtureRequest
) -> None:
    (texts, names), (test_texts, test_names) = _banking77("train"), _banking77("test")
    assert (len(texts), len(test_texts)) == (10_003, 3_080)
    cache = request.config.cache
    assert cache is not None
    folder = cache.mkdir("banking77")
    classes = sorted(set(names))
    labels, truth = (np.array([classes.index(n) for n in part]) for part in (names, test_names))
    values, test_values = (_encoded(encoder, part, folder) for part in (texts, test_texts))
    accuracies = [
        (
            train_classifier(values, labels, n_classes=77, seed=seed).logits(test_values).argmax(1)
            == truth
        ).mean()
        for seed in (0, 1, 2)
    ]
    assert min(accuracies) >= 0.93, accuracies
