from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_worker.clients.knn import KnnValidator, nearest, train_knn
from llm_worker.clients.knn_fit import KnnSettings
from llm_worker.errors import ArtifactError, InvalidRequestError, TrainingDataError
from llm_worker.types import Candidate, FloatArray, ValidationRequest, ValidationResult
from llm_worker.validators import validate_all
from tests.llm_worker import made_texts
from tests.llm_worker.conftest import Encode
from tests.llm_worker.made_texts import asked

SETTINGS = KnnSettings(k=3, temperature=0.1, unk_similarity=0.5, floor=0.01)


def only(validator: KnnValidator, request: ValidationRequest) -> ValidationResult:
    results, failures = validate_all(validator, [request])
    assert failures == []
    return results[0]


def unit(*numbers: float) -> FloatArray:
    vector = np.array(numbers, np.float32)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture
def by_hand() -> KnnValidator:
    rows = np.stack([unit(1, 0, 0), unit(0, 1, 0), unit(1, 1, 0)])
    return KnnValidator(rows, np.array([10, 20, 10]), SETTINGS)


def test_the_votes_are_those_of_the_formula(by_hand: KnnValidator) -> None:
    answer = only(by_hand, asked(labels=(10, 20), vector=unit(1, 0, 0))).probabilities
    first, second, pseudo = np.exp(1.0 / 0.1), np.exp(np.sqrt(0.5) / 0.1), np.exp(0.5 / 0.1)
    total = first + second + np.exp(0.0) + pseudo
    assert answer.options == ("10", "20", "unk")
    assert answer.of("10") == pytest.approx(0.99 * (first + second) / total + 0.01 / 3, abs=1e-6)
    assert answer.of("20") == pytest.approx(0.99 * 1.0 / total + 0.01 / 3, abs=1e-6)
    assert answer.of("unk") == pytest.approx(0.99 * pseudo / total + 0.01 / 3, abs=1e-6)
    assert answer.mass == pytest.approx(1.0)


def test_votes_for_labels_that_are_not_offered_are_for_unk(by_hand: KnnValidator) -> None:
    answer = only(by_hand, asked(labels=(20,), vector=unit(1, 0, 0))).probabilities
    assert answer.best == "unk"


def test_a_text_far_from_every_row_is_unk(by_hand: KnnValidator) -> None:
    answer = only(by_hand, asked(labels=(10, 20), vector=unit(0, 0, 1))).probabilities
    assert answer.of("unk") > 0.95


def test_a_binary_answer_is_the_vote_for_the_asked_label(by_hand: KnnValidator) -> None:
    which = asked(labels=(10, 20), vector=unit(1, 0.2, 0))
    shares = only(by_hand, which).probabilities
    for label in (10, 20):
        request = replace(which, question="binary", asked_label_id=label)
        answer = only(by_hand, request).probabilities
        voted = (shares.of(str(label)) - 0.01 / 3) / 0.99
        assert answer.of("yes") == pytest.approx(0.99 * voted + 0.01 / 2)


def test_the_length_of_the_vector_does_not_matter(by_hand: KnnValidator) -> None:
    request = asked(labels=(10, 20), vector=unit(1, 1, 1))
    assert request.text_vector is not None
    longer = replace(request, text_vector=(request.text_vector * 7).astype(np.float32))
    expected = only(by_hand, request).probabilities.probabilities
    assert only(by_hand, longer).probabilities.probabilities == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("vector", [None, unit(1, 0)])
def test_a_request_without_a_fitting_vector_fails_alone(
    by_hand: KnnValidator, vector: FloatArray | None
) -> None:
    good = asked(1, labels=(10, 20), vector=unit(1, 0, 0))
    results, failures = validate_all(by_hand, [good, asked(2, vector=vector)])
    assert [result.task_id for result in results] == [1]
    assert [(f.task_id, f.reason, f.retryable) for f in failures] == [(2, "no_text_vector", False)]
    assert "vector of 3 numbers" in failures[0].message


def test_a_question_about_labels_without_rows_is_not_answered(by_hand: KnnValidator) -> None:
    about_none = asked(1, labels=(30, 40), vector=unit(1, 0, 0))
    about_one = asked(2, labels=(10, 30), question="binary", about=30, vector=unit(1, 0, 0))
    results, failures = validate_all(by_hand, [about_none, about_one])
    assert results == []
    assert [failure.reason for failure in failures] == ["label_without_rows"] * 2
    assert failures[1].message == "The kNN was trained on no text labeled refund."


@given(
    st.integers(0, 2**31),
    st.lists(st.integers(0, 9), unique=True, min_size=1, max_size=9),
    st.sampled_from([0.001, 0.05, 10.0]),
)
def test_every_answer_is_a_distribution_over_the_options(
    seed: int, labels: list[int], temperature: float
) -> None:
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(30, 4)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    settings = replace(SETTINGS, temperature=temperature, k=20)
    validator = KnnValidator(rows, np.arange(30) % 10, settings)
    candidates = tuple(Candidate(label, f"label {label}") for label in labels)
    request = ValidationRequest(1, "text", "multiclass", candidates, text_vector=rows[0])
    answer = only(validator, request).probabilities
    assert answer.options == (*(str(label) for label in labels), "unk")
    assert min(answer.probabilities) >= SETTINGS.floor / (len(labels) + 1) - 1e-12


def test_the_nearest_rows_are_those_of_a_full_sort() -> None:
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(50, 5)).astype(np.float32)
    queries = generator.normal(size=(7, 5)).astype(np.float32)
    values, index = nearest(queries, rows, k=9)
    expected = np.argsort(-(queries @ rows.T), axis=1)[:, :9]
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_allclose(values, np.take_along_axis(queries @ rows.T, expected, axis=1))


def test_a_trained_knn_knows_new_texts_and_texts_of_no_label(
    knn: KnnValidator, encode: Encode
) -> None:
    texts = ["where is my package", "change the address please", "is the shop open tomorrow"]
    vectors = encode([*texts, "my cat likes to sleep on warm stones"])
    found = [
        only(knn, asked(text=texts[row], vector=vectors[row])).probabilities
        for row in range(len(texts))
    ]
    assert [answer.best for answer in found] == ["10", "20", "40"]
    stray = only(knn, asked(text="my cat", vector=vectors[3])).probabilities
    assert stray.best == "unk"


def test_fitting_leaves_rows_of_the_same_text_out_together(encode: Encode) -> None:
    texts, label_ids, _ = made_texts.rows()
    # Copies of every text under a wrong label: by themselves they say that neighbours mislead.
    doubled = [*texts, *texts]
    ids = np.concatenate([label_ids, np.roll(label_ids, 8)])
    vectors = encode(doubled)
    together = train_knn(vectors, ids, text_hashes=doubled)
    apart = train_knn(vectors, ids)
    assert together.settings != apart.settings


def test_training_twice_gives_the_same_validator(knn: KnnValidator, encode: Encode) -> None:
    texts, label_ids, _ = made_texts.rows()
    again = train_knn(encode(texts), label_ids, text_hashes=texts)
    assert again.settings == knn.settings
    assert again.artifact_hash == knn.artifact_hash


@pytest.mark.parametrize(
    ("vectors", "label_ids", "hashes", "sentence"),
    [
        (np.eye(3), [1, 2], None, r"Expected vectors \(n, d\)"),
        (np.ones(3), [1, 2, 3], None, r"Expected vectors \(n, d\)"),
        (np.eye(3), [1, 1, 1], None, "at least two labels"),
        (np.eye(3) * 2.0, [1, 2, 3], None, "of length 1"),
        (np.eye(3) * np.nan, [1, 2, 3], None, "of length 1"),
        (np.eye(3), [1, 2, 3], ["a"], "3 rows came with 1 text hashes"),
    ],
)
def test_rows_that_cannot_train_are_refused(
    vectors: FloatArray, label_ids: list[int], hashes: list[str] | None, sentence: str
) -> None:
    with pytest.raises(TrainingDataError, match=sentence):
        train_knn(vectors, label_ids, text_hashes=hashes)


def test_two_rows_of_two_labels_are_enough() -> None:
    answer = only(
        train_knn(np.stack([unit(1, 0), unit(0, 1)]), [10, 20]),
        asked(labels=(10, 20), vector=unit(1, 0)),
    )
    assert answer.probabilities.of("10") >= answer.probabilities.of("20")


@pytest.mark.parametrize(
    "changes", [{"k": 0}, {"temperature": 0.0}, {"floor": 0.0}, {"unk_similarity": 2.0}]
)
def test_settings_out_of_range_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(InvalidRequestError):
        replace(SETTINGS, **changes)  # type: ignore[arg-type]


def test_a_saved_knn_answers_the_same(by_hand: KnnValidator, tmp_path: Path) -> None:
    by_hand.save(tmp_path / "deep" / "knn")
    loaded = KnnValidator.load(tmp_path / "deep" / "knn")
    request = asked(labels=(10, 20), vector=unit(1, 2, 3))
    assert only(loaded, request).probabilities == only(by_hand, request).probabilities
    assert loaded.artifact_hash == by_hand.artifact_hash
    assert only(loaded, request).prompt_hash == request.prompt_hash(by_hand.artifact_hash)


def test_saving_again_replaces_and_leaves_nothing_behind(
    by_hand: KnnValidator, tmp_path: Path
) -> None:
    by_hand.save(tmp_path / "knn")
    other = KnnValidator(np.eye(3, dtype=np.float32), np.array([1, 2, 3]), SETTINGS)
    other.save(tmp_path / "knn")
    assert KnnValidator.load(tmp_path / "knn").artifact_hash == other.artifact_hash
    assert [path.name for path in tmp_path.iterdir()] == ["knn"]


def test_a_failed_save_leaves_the_old_artifact(
    by_hand: KnnValidator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_hand.save(tmp_path / "knn")

    def full_disk(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space left"):
        by_hand.save(tmp_path / "knn")
    monkeypatch.undo()
    assert KnnValidator.load(tmp_path / "knn").artifact_hash == by_hand.artifact_hash
    assert [path.name for path in tmp_path.iterdir()] == ["knn"]


def test_a_missing_artifact_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="There is no saved validator in"):
        KnnValidator.load(tmp_path / "nowhere")


def test_a_damaged_file_is_refused(by_hand: KnnValidator, tmp_path: Path) -> None:
    by_hand.save(tmp_path)
    rows = tmp_path / "rows.npz"
    rows.write_bytes(rows.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match=r"rows.npz is damaged: its SHA-256"):
        KnnValidator.load(tmp_path)
    rows.unlink()
    with pytest.raises(ArtifactError, match=r"rows.npz is missing"):
        KnnValidator.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": 99}, "not of format 1; train the validator again"),
        ({"kind": "cross_encoder"}, "holds a 'cross_encoder', not a 'knn'"),
        ({"files": None}, "lacks its files"),
        ({"settings": {"k": 3}}, "cannot be read"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    by_hand: KnnValidator, tmp_path: Path, changes: dict[str, object], sentence: str
) -> None:
    by_hand.save(tmp_path)
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | changes))
    with pytest.raises(ArtifactError, match=sentence):
        KnnValidator.load(tmp_path)


def test_settings_changed_after_saving_are_noticed(by_hand: KnnValidator, tmp_path: Path) -> None:
    by_hand.save(tmp_path)
    manifest = tmp_path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"k": 3', '"k": 2'))
    with pytest.raises(ArtifactError, match="was changed after it was saved"):
        KnnValidator.load(tmp_path)
    manifest.write_text("{")
    with pytest.raises(ArtifactError, match="cannot be read"):
        KnnValidator.load(tmp_path)
