from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from llm_worker.clients.cross_encoder import CrossEncoderValidator, train_cross_encoder
from llm_worker.clients.cross_encoder_fit import (
    CrossEncoderSettings,
    PairRows,
    fit_settings,
    split_rows,
)
from llm_worker.clients.pair_network import PairNetwork, TokenGroup
from llm_worker.errors import ArtifactError, InvalidRequestError, TrainingDataError
from llm_worker.types import Candidate, ValidationRequest, ValidationResult
from llm_worker.validators import validate_all
from tests.llm_worker import made_texts
from tests.llm_worker.made_texts import LABEL_TEXTS, asked


def answers(
    validator: CrossEncoderValidator, *requests: ValidationRequest
) -> list[ValidationResult]:
    results, failures = validate_all(validator, requests)
    assert failures == []
    return results


@pytest.fixture(scope="module")
def untrained(base_model_path: Path) -> PairNetwork:
    return PairNetwork.from_encoder(base_model_path)


@pytest.fixture(scope="module")
def saved(cross_encoder: CrossEncoderValidator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifacts") / "cross_encoder"
    cross_encoder.save(folder)
    return folder


def test_a_trained_cross_encoder_knows_new_texts(cross_encoder: CrossEncoderValidator) -> None:
    texts = ["where is my package", "change the address please", "is the shop open tomorrow"]
    found = answers(cross_encoder, *(asked(row, text) for row, text in enumerate(texts)))
    assert [result.probabilities.best for result in found] == ["10", "20", "40"]
    assert all(result.tokens > 0 and not result.text_was_cut for result in found)
    assert {result.route for result in found} == {"cross_encoder_logits"}


def test_a_label_gets_its_logit_whatever_else_is_offered_and_in_which_order(
    cross_encoder: CrossEncoderValidator,
) -> None:
    forth, back, fewer = answers(
        cross_encoder,
        asked(1, labels=(10, 20, 30, 40)),
        asked(2, labels=(40, 30, 20, 10)),
        asked(3, labels=(20, 10)),
    )
    shares = forth.probabilities
    for option in shares.options:
        assert back.probabilities.of(option) == pytest.approx(shares.of(option), abs=1e-5)
    ratio = shares.of("10") / shares.of("20")
    assert fewer.probabilities.of("10") / fewer.probabilities.of("20") == pytest.approx(
        ratio, rel=1e-3
    )


def test_a_text_is_answered_the_same_alone_and_in_a_batch(
    cross_encoder: CrossEncoderValidator,
) -> None:
    texts = [text for group in made_texts.TEXTS.values() for text in group]
    batch = answers(cross_encoder, *(asked(row, text) for row, text in enumerate(texts)))
    for row in (0, 9, 31):
        alone = answers(cross_encoder, asked(row, texts[row]))[0].probabilities
        assert batch[row].probabilities.probabilities == pytest.approx(
            alone.probabilities, abs=1e-5
        )


def test_a_binary_question_follows_the_asked_label(cross_encoder: CrossEncoderValidator) -> None:
    right, wrong = answers(
        cross_encoder,
        asked(1, question="binary", about=10),
        asked(2, question="binary", about=40),
    )
    assert right.probabilities.options == ("yes", "no")
    assert right.probabilities.of("yes") > 0.5 > wrong.probabilities.of("yes")
    assert right.tokens < answers(cross_encoder, asked())[0].tokens


def test_a_long_text_is_cut_and_says_so(cross_encoder: CrossEncoderValidator) -> None:
    words = "parcel " * 96
    short, long, longer = answers(
        cross_encoder, asked(1, words), asked(2, words + "money"), asked(3, words + "money back")
    )
    assert [short.text_was_cut, long.text_was_cut, longer.text_was_cut] == [False, True, True]
    assert short.tokens == long.tokens == longer.tokens
    assert long.probabilities.probabilities == pytest.approx(
        short.probabilities.probabilities, abs=1e-6
    )


def test_a_label_without_a_readable_name_and_an_odd_text_are_answered(
    cross_encoder: CrossEncoderValidator,
) -> None:
    odd = replace(
        asked(1, "\u2028 \U0001f4e6 ??"), candidates=(Candidate(7, ""), Candidate(8, "x"))
    )
    assert answers(cross_encoder, odd)[0].probabilities.options == ("7", "8", "unk")


def test_the_same_seed_gives_the_same_weights(small_model_path: Path) -> None:
    texts, label_ids, negatives = made_texts.rows()

    def trained(seed: int) -> str:
        return train_cross_encoder(
            texts,
            label_ids,
            LABEL_TEXTS,
            negatives,
            base_model_path=small_model_path,
            seed=seed,
            max_pairs=48,
        ).artifact_hash

    assert trained(3) == trained(3)
    assert trained(3) != trained(4)


def test_training_leaves_the_random_numbers_of_others_alone(small_model_path: Path) -> None:
    import torch

    texts, label_ids, negatives = made_texts.rows()
    torch.manual_seed(5)
    expected = torch.rand(3).tolist()
    torch.manual_seed(5)
    told: list[tuple[int, int]] = []
    train_cross_encoder(
        texts,
        label_ids,
        LABEL_TEXTS,
        negatives,
        base_model_path=small_model_path,
        seed=3,
        max_pairs=80,
        epochs=2,
        progress=lambda done, total: told.append((done, total)),
    )
    assert torch.rand(3).tolist() == expected
    assert [total for _, total in told] == [160] * 4
    assert [told[1][0], told[3][0]] == [80, 160]
    assert told == sorted(told)


def test_no_text_is_both_trained_on_and_held_out() -> None:
    texts, label_ids, negatives = made_texts.rows()
    doubled = PairRows.checked(
        texts * 2, np.tile(label_ids, 2), LABEL_TEXTS, np.tile(negatives, (2, 1))
    )
    train, held_out = split_rows(doubled, max_pairs=10_000, seed=0)
    assert len(train.texts) + len(held_out.texts) == 64
    assert len(held_out.texts) == 6
    assert not set(train.texts) & set(held_out.texts)
    few, still_held_out = split_rows(doubled, max_pairs=40, seed=0)
    assert (len(few.texts), still_held_out.texts) == (10, held_out.texts)


def test_calibration_prefers_unk_where_the_true_label_scores_no_better(
    untrained: PairNetwork,
) -> None:
    texts, label_ids, negatives = made_texts.rows()
    good = fit_settings(untrained, PairRows.checked(texts, label_ids, LABEL_TEXTS, negatives))
    shuffled = np.roll(label_ids, 8)
    others = [[label for label in LABEL_TEXTS if label != own] for own in shuffled]
    bad = fit_settings(untrained, PairRows.checked(texts, shuffled, LABEL_TEXTS, np.array(others)))
    assert good.temperature < bad.temperature


def test_rows_may_have_fewer_negatives_than_others(small_model_path: Path) -> None:
    texts, label_ids, negatives = made_texts.rows()
    fewer = negatives.copy()
    fewer[::2, 1:] = -1
    fewer[0] = -1
    validator = train_cross_encoder(
        texts, label_ids, LABEL_TEXTS, fewer, base_model_path=small_model_path, seed=0, max_pairs=64
    )
    assert answers(validator, asked())[0].probabilities.options == ("10", "20", "30", "40", "unk")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"label_ids": [10, 20, 30]}, r"2 texts came with labels \(3,\)"),
        ({"negatives": [20, 10]}, r"negatives \(2,\)"),
        ({"negatives": [[], []]}, "a negative"),
        ({"texts": ["same", "same"]}, "two different texts"),
        ({"texts": ["a", " "]}, "A training text is empty"),
        ({"label_ids": [10, 99]}, r"for the labels \[99\]"),
        ({"negatives": [[10], [10]]}, "true label among its negatives"),
    ],
)
def test_rows_that_cannot_train_are_refused(changes: dict[str, object], sentence: str) -> None:
    rows: dict[str, object] = {
        "texts": ["one", "two"],
        "label_ids": [10, 20],
        "label_texts": LABEL_TEXTS,
        "negatives": [[20], [10]],
    }
    with pytest.raises(TrainingDataError, match=sentence):
        PairRows.checked(**(rows | changes))  # type: ignore[arg-type]


def test_no_pairs_are_refused() -> None:
    rows = PairRows.checked(["one", "two"], [10, 20], LABEL_TEXTS, [[20], [10]])
    with pytest.raises(TrainingDataError, match="at least one pair"):
        split_rows(rows, max_pairs=0, seed=0)


@pytest.mark.parametrize(
    "changes", [{"temperature": 0.0}, {"binary_temperature": -1.0}, {"unk_logit": float("nan")}]
)
def test_settings_out_of_range_are_refused(changes: dict[str, float]) -> None:
    settings = CrossEncoderSettings(1.0, 0.0, 1.0, 0.0)
    with pytest.raises(InvalidRequestError):
        replace(settings, **changes)


def test_an_untrained_network_judges_by_similarity(untrained: PairNetwork) -> None:
    names = [LABEL_TEXTS[10], LABEL_TEXTS[40]]
    labels = tuple(untrained.tokenize(names, at_most=64)[0])
    text = untrained.tokenize(["my parcel got lost"], at_most=96)[0][0]
    near, far = untrained.score([TokenGroup(text, labels)])[0]
    assert near > far


def test_a_folder_without_an_encoder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="There is no encoder in"):
        PairNetwork.from_encoder(tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match="There is no usable"):
        PairNetwork.from_encoder(tmp_path)


def test_a_saved_cross_encoder_answers_the_same(
    cross_encoder: CrossEncoderValidator, saved: Path
) -> None:
    loaded = CrossEncoderValidator.load(saved)
    assert loaded.artifact_hash == cross_encoder.artifact_hash
    assert loaded.settings == cross_encoder.settings
    before, after = answers(cross_encoder, asked())[0], answers(loaded, asked())[0]
    assert after.probabilities == before.probabilities
    assert after.prompt_hash == before.prompt_hash
    assert not [path for path in saved.iterdir() if path.suffix not in {".json", ".safetensors"}]


@pytest.mark.parametrize("name", ["weights.safetensors", "tokenizer.json", "config.json"])
def test_a_damaged_file_is_refused(saved: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(saved, folder)
    damaged = folder / name
    damaged.write_bytes(damaged.read_bytes()[:-2] + b"xx")
    with pytest.raises(ArtifactError, match=rf"{name} is damaged: its SHA-256"):
        CrossEncoderValidator.load(folder)
