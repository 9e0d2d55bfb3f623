from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rerank_engine import encoder as encoder_module
from rerank_engine.encoder import BUILTIN, Encoder
from rerank_engine.encoder_batches import TokenIds, cut_windows
from rerank_engine.errors import EncoderError
from tests.rerank_engine.tiny import write_tiny_encoder

TEXTS = [
    "My card was swallowed by the machine",
    "",
    "how do I top up?",
    "The transfer I made yesterday to another account still has not arrived, where is it?",
]


def test_vectors_have_length_one_and_come_in_the_order_of_the_texts(encoder: Encoder) -> None:
    vectors = encoder.encode(TEXTS)
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


def test_a_long_text_is_the_mean_of_its_windows_weighted_by_their_tokens(encoder: Encoder) -> None:
    text = "My card was stolen. " * 80
    windows = cut_windows([text], encoder._token_ids, encoder._model.max_seq_length)
    assert len(windows.pieces) > 1
    mean = (encoder.encode(windows.pieces) * windows.sizes[:, None]).sum(axis=0)
    np.testing.assert_allclose(
        encoder.encode([text])[0], mean / np.linalg.norm(mean), atol=1e-5, rtol=0
    )


def test_the_vectors_are_those_of_plain_sentence_transformers(encoder: Encoder) -> None:
    plain = encoder._model.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    np.testing.assert_allclose(encoder.encode(TEXTS), plain, atol=1e-5, rtol=0)


def test_the_company_in_a_batch_does_not_change_a_vector(encoder: Encoder) -> None:
    alone = encoder.encode(TEXTS[:1])[0]
    crowd = [f"{TEXTS[number % 4]} number {number}" for number in range(90)]
    together = encoder.encode([*crowd[:45], TEXTS[0], *crowd[45:]])
    np.testing.assert_allclose(together[45], alone, atol=1e-5, rtol=0)


def test_equal_texts_are_encoded_once_and_each_gets_its_vector(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    forward = encoder._forward

    def counted(ids: Sequence[TokenIds]) -> NDArray[np.float32]:
        rows.append(len(ids))
        return forward(ids)

    monkeypatch.setattr(encoder, "_forward", counted)
    vectors = encoder.encode([TEXTS[0], TEXTS[2], TEXTS[0], TEXTS[3], TEXTS[2]])
    assert sum(rows) == 3
    np.testing.assert_array_equal(vectors[0], vectors[2])
    np.testing.assert_array_equal(vectors[1], vectors[4])
    np.testing.assert_allclose(vectors[[0, 1, 3]], encoder.encode(TEXTS)[[0, 2, 3]], atol=1e-5)


def test_no_batch_is_beyond_the_budget(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    padded_tokens: list[int] = []
    forward = encoder._forward

    def noted(ids: Sequence[TokenIds]) -> NDArray[np.float32]:
        padded_tokens.append(len(ids) * max(len(row) for row in ids))
        return forward(ids)

    monkeypatch.setattr(encoder, "_forward", noted)
    encoder.encode([f"{number} {'card ' * (number % 60)}" for number in range(120)])
    assert len(padded_tokens) > 1
    assert max(padded_tokens) <= encoder._budget


def test_progress_reaches_its_end(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "_budget", 30)
    seen: list[tuple[int, int]] = []
    encoder.encode([*TEXTS, TEXTS[0]], progress=lambda done, total: seen.append((done, total)))
    assert [total for _done, total in seen] == [4] * len(seen)
    assert [done for done, _total in seen] == sorted({done for done, _total in seen})
    assert len(seen) > 1
    assert seen[-1] == (4, 4)


def test_threads_may_share_an_encoder(encoder: Encoder) -> None:
    batches = [[f"{text} {number}" for text in TEXTS] for number in range(12)]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(encoder.encode, batches))
    for batch, vectors in zip(batches, together, strict=True):
        np.testing.assert_allclose(vectors, encoder.encode(batch), atol=1e-5, rtol=0)


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


def test_a_model_that_puts_a_prompt_before_every_text_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_encoder(tmp_path, ["card", "lost"])
    settings = folder / "config_sentence_transformers.json"
    prompts = {"prompts": {"query": "card "}, "default_prompt_name": "query"}
    settings.write_text(json.dumps(json.loads(settings.read_text()) | prompts))
    with pytest.raises(EncoderError, match="puts a prompt before every text"):
        Encoder.load(folder)


def test_bfloat16_is_used_only_where_it_is_asked_for_and_native(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    folder = write_tiny_encoder(tmp_path, ["card", "lost", "where"])
    plain = Encoder.load(folder, device="cpu")
    assert plain.precision == "float32"
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    fallen_back = Encoder.load(folder, device="cpu", precision="bfloat16")
    assert (fallen_back.precision, fallen_back.fingerprint) == ("float32", plain.fingerprint)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    narrow = Encoder.load(folder, device="cpu", precision="bfloat16")
    assert narrow.fingerprint == f"{plain.fingerprint}+bfloat16"
    texts = ["where lost card", "card", "lost lost"]
    vectors = narrow.encode(texts)
    assert vectors.dtype == np.float32
    cosines = (vectors * plain.encode(texts)).sum(axis=1)
    assert cosines.min() > 0.999
    with pytest.raises(EncoderError, match="it can be float32 or bfloat16"):
        Encoder.load(folder, device="cpu", precision="int8")
