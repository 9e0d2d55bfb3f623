from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rerank_engine.encoder import Encoder
from rerank_engine.errors import ArtifactError, TrainingDataError
from rerank_engine.semantic_map import (
    MapRows,
    MapSettings,
    SemanticMap,
    confused_labels,
    save_semantic_map,
    train_semantic_map,
)
from rerank_engine.tuned_classifier import (
    TunedClassifier,
    TunedSettings,
    save_tuned_classifier,
    train_tuned_classifier,
)
from rerank_engine.tuning import TuneReport, TuneSettings, embed_all, token_ids
from tests.rerank_engine.tiny import write_tiny_encoder

LABELS = ["lost card", "late transfer", "exchange rate"]
WORDS = {
    0: ["lost", "missing", "gone", "stolen", "vanished"],
    1: ["late", "slow", "pending", "waiting", "delayed"],
    2: ["rate", "euro", "dollar", "exchange", "currency"],
}
COMMON = ["my", "the", "is", "please", "why", "what"]


def _rows(n: int, seed: int) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, len(LABELS), n)
    texts = [
        " ".join([*rng.choice(COMMON, 2), *rng.choice(WORDS[int(code)], 2), rng.choice(COMMON)])
        for code in codes
    ]
    return texts, codes


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = [word for group in WORDS.values() for word in group]
    words += [*COMMON, *(word for label in LABELS for word in label.split())]
    return write_tiny_encoder(tmp_path_factory.mktemp("tiny"), words)


def _map_rows(n: int = 120, seed: int = 0) -> MapRows:
    texts, codes = _rows(n, seed)
    return MapRows(texts, codes, (codes[:, None] + [1, 2]) % len(LABELS))


# The tiny encoder's word embeddings are random, so they have to be learned too.
FAST = TuneSettings(epochs=5, batch_size=16, learning_rate=3e-3, train_embeddings=True)
QUICK = MapSettings(tune=FAST)


def test_training_brings_texts_to_their_labels(base: Path) -> None:
    texts, codes = _rows(60, seed=1)
    before = Encoder.load(base)
    plain = (before.encode(texts) @ before.encode(LABELS).T).argmax(axis=1)
    model, report = train_semantic_map(
        _map_rows(), LABELS, base=base, validation=(texts, codes), seed=0, settings=QUICK
    )
    after = embed_all(model, token_ids(model, texts)[0]).numpy()
    labels = embed_all(model, token_ids(model, LABELS)[0]).numpy()
    assert ((after @ labels.T).argmax(axis=1) == codes).mean() > (plain == codes).mean() + 0.2
    assert report.losses[report.best_epoch] == min(report.losses) < report.losses[0]


def test_the_same_seed_trains_the_same_map_and_another_seed_another(base: Path) -> None:
    def weights(seed: int) -> np.ndarray:
        model, _ = train_semantic_map(_map_rows(), LABELS, base=base, seed=seed, settings=QUICK)
        return embed_all(model, token_ids(model, LABELS)[0]).numpy()

    first = weights(3)
    np.testing.assert_array_equal(first, weights(3))
    assert not np.allclose(first, weights(4))


def test_a_training_that_was_cut_off_goes_on_to_the_same_weights(
    base: Path, tmp_path: Path
) -> None:
    whole, _ = train_semantic_map(_map_rows(), LABELS, base=base, seed=0, settings=QUICK)

    class Killed(Exception):
        pass

    def cut(done: int, total: int) -> None:
        if done > total * 0.6:
            raise Killed

    place = tmp_path / "map.ckpt"
    arguments = {"base": base, "seed": 0, "settings": QUICK, "checkpoint": place}
    with pytest.raises(Killed):
        train_semantic_map(_map_rows(), LABELS, progress=cut, **arguments)  # type: ignore[arg-type]
    assert place.is_file()
    steps: list[int] = []
    resumed, _ = train_semantic_map(
        _map_rows(),
        LABELS,
        progress=lambda done, total: steps.append(done),
        **arguments,  # type: ignore[arg-type]
    )
    assert steps[0] > 1
    assert not place.exists()
    ids = token_ids(whole, LABELS)[0]
    np.testing.assert_array_equal(embed_all(whole, ids).numpy(), embed_all(resumed, ids).numpy())


def test_a_damaged_checkpoint_is_passed_over(base: Path, tmp_path: Path) -> None:
    place = tmp_path / "map.ckpt"
    place.write_bytes(b"not a checkpoint")
    _, report = train_semantic_map(
        _map_rows(), LABELS, base=base, seed=0, settings=QUICK, checkpoint=place
    )
    assert report.best_epoch == QUICK.tune.epochs


def test_confused_labels_are_the_best_wrong_ones() -> None:
    logits = np.array([[5.0, 1.0, 3.0, 2.0], [0.0, np.nan, 2.0, 1.0]])
    found = confused_labels(logits, np.array([0, 2]), k=2)
    np.testing.assert_array_equal(found, [[2, 3], [3, 0]])
    assert confused_labels(logits, np.array([0, 2]), k=9).shape == (2, 3)


@pytest.mark.parametrize(
    ("codes", "confused", "words"),
    [
        ([0, 0], [[1], [1]], "two labels"),
        ([0, 1], [[0], [2]], "true label among its confused"),
        ([0, 7], [[1], [2]], "outside of 0 to 2"),
        ([0, 1, 2], [[1], [2]], "2 texts came with labels"),
    ],
)
def test_bad_rows_are_refused_in_words(
    base: Path, codes: list[int], confused: list[list[int]], words: str
) -> None:
    rows = MapRows(["lost card", "late"], np.array(codes), np.array(confused))
    with pytest.raises(TrainingDataError, match=words):
        train_semantic_map(rows, LABELS, base=base, seed=0, settings=QUICK)


def test_a_fine_tuned_classifier_learns_and_reads_back(base: Path, tmp_path: Path) -> None:
    texts, codes = _rows(120, seed=0)
    held_texts, held = _rows(60, seed=1)
    settings = TunedSettings(tune=FAST)
    model, linear, report = train_tuned_classifier(
        texts,
        codes,
        n_classes=3,
        base=base,
        validation=(held_texts, held),
        seed=0,
        settings=settings,
    )
    folder = save_tuned_classifier(
        tmp_path / "classifier", model, linear, report, data_hash="x", settings=settings
    )
    read = TunedClassifier.load(folder)
    assert isinstance(read.report, TuneReport)
    assert read.n_classes == 3
    logits = read.logits(read.encoder.encode(held_texts))
    assert (logits.argmax(axis=1) == held).mean() > 0.9
    vectors = embed_all(model, token_ids(model, held_texts)[0]).numpy()
    weight = 20.0 * linear.weight.detach().numpy()
    np.testing.assert_allclose(logits, vectors @ weight.T + linear.bias.detach().numpy(), atol=1e-3)


def test_labels_and_texts_of_a_map_are_read_in_the_same_precision(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    model, report = train_semantic_map(_map_rows(), LABELS, base=base, seed=0, settings=QUICK)
    folder = save_semantic_map(
        tmp_path / "map",
        model,
        report,
        label_keys=["a", "b", "c"],
        label_texts=LABELS,
        data_hash="x",
        settings=QUICK,
    )
    fine = SemanticMap.load(folder, label_keys=["a", "b", "c"])
    rough = SemanticMap.load(folder, label_keys=["a", "b", "c"], precision="bfloat16")
    for read in (fine, rough):
        np.testing.assert_array_equal(read.label_vectors, read.encoder.encode(LABELS))
    assert not np.array_equal(fine.label_vectors, rough.label_vectors)
    assert fine.encoder.fingerprint != rough.encoder.fingerprint
    with pytest.raises(ArtifactError, match="another label set"):
        SemanticMap.load(folder, label_keys=["a", "c", "b"])


def test_training_multiplies_in_the_precision_that_its_settings_name(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)

    def weights(precision: str) -> np.ndarray:
        settings = MapSettings(tune=replace(FAST, epochs=1, precision=precision))
        model, _ = train_semantic_map(_map_rows(), LABELS, base=base, seed=0, settings=settings)
        return embed_all(model, token_ids(model, LABELS)[0]).numpy()

    fine = weights("float32")
    assert not np.array_equal(fine, weights("bfloat16"))
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    np.testing.assert_array_equal(fine, weights("bfloat16"))
