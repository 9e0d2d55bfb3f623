from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from rerank_engine import encoder as encoder_module
from rerank_engine.encoder import BUILTIN, Encoder
from rerank_engine.errors import EncoderError

TEXTS = [
    "My card was swallowed by the machine",
    "",
    "how do I top up?",
    "The transfer I made yesterday to another account still has not arrived, where is it?",
]


def test_vectors_have_length_one_and_come_in_the_order_of_the_texts(encoder: Encoder) -> None:
    vectors = encoder.encode(TEXTS, batch_size=2)
    assert vectors.shape == (4, encoder.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(vectors, alone, atol=1e-5)
    assert encoder.encode([]).shape == (0, encoder.dimension)


def test_like_texts_are_closer_than_unlike_ones(encoder: Encoder) -> None:
    a, b, c = encoder.encode(["I lost my card", "my card is missing", "the exchange rate is bad"])
    assert a @ b > a @ c + 0.2


def test_the_end_of_a_long_text_counts(encoder: Encoder) -> None:
    filler = "The weather was pleasant and nothing happened at all. " * 60
    plain, ended, other = encoder.encode(
        [filler, filler + "My card was stolen. " * 80, "My card was stolen."]
    )
    assert ended @ other > plain @ other + 0.2
    np.testing.assert_allclose(np.linalg.norm(ended), 1.0, atol=1e-5)


@pytest.mark.parametrize("text", ["word " * 2000, "卡" * 1500, "!?" * 700, "я" * 900])
def test_windows_fit_the_model_and_lose_nothing(encoder: Encoder, text: str) -> None:
    pieces, owners, counts = encoder._windows([text, "short"])
    assert "".join(piece for piece, owner in zip(pieces, owners, strict=True) if not owner) == text
    assert owners.tolist() == [0] * (len(pieces) - 1) + [1]
    assert counts.max() <= encoder._model.max_seq_length


def test_progress_reaches_its_end(encoder: Encoder) -> None:
    seen: list[tuple[int, int]] = []
    encoder.encode(TEXTS, batch_size=3, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 4), (4, 4)]


def test_scripts_the_built_in_encoder_cannot_read_are_flagged(encoder: Encoder) -> None:
    texts = {
        "Где моя карта?": True,
        "我的卡在哪里": True,
        "where is my card": False,
        "Where is my карта please": False,
        "Straße, naïve café": False,
        "12345 !!": False,
        "": False,
    }
    assert encoder.unsupported_script(list(texts)).tolist() == list(texts.values())
    assert encoder.unsupported_script([]).shape == (0,)


def test_a_model_in_a_folder_gives_the_same_vectors_under_its_own_name(
    encoder: Encoder, tmp_path: Path
) -> None:
    folder = tmp_path / "my-model"
    shutil.copytree(encoder_module._builtin_folder(), folder)
    mine = Encoder.load(folder, device="cpu")
    np.testing.assert_allclose(mine.encode(TEXTS), encoder.encode(TEXTS), atol=1e-6)
    assert mine.fingerprint == encoder.fingerprint.replace(BUILTIN, "my-model")
    # It is not the built-in one, so only unknown tokens count against a script.
    assert mine.unsupported_script(["Где моя карта?", "𒀀𒀁𒀂𒀃"]).tolist() == [False, True]


def test_built_in_weights_that_are_not_the_published_ones_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encoder_module, "BUILTIN_SHA256", "0" * 64)
    with pytest.raises(EncoderError, match="not the published ones"):
        Encoder.load()


def test_what_is_no_model_or_no_text_is_refused_in_words(encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="not the folder of a sentence-transformers model"):
        Encoder.load("all-MiniLM-L6-v2")
    (tmp_path / "modules.json").write_text("{")
    with pytest.raises(EncoderError, match="cannot be loaded"):
        Encoder.load(tmp_path)
    with pytest.raises(EncoderError, match="list of strings"):
        encoder.encode("one text")
    with pytest.raises(EncoderError, match="list of strings"):
        encoder.encode([None])  # type: ignore[list-item]
