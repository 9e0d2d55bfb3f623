"""A sentence encoder small enough to be trained in a test, with random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def write_tiny_encoder(
    folder: Path, words: Sequence[str], *, width: int = 32, cased: bool = False
) -> Path:
    """A BERT of two layers that knows `words`, with mean pooling, as sentence-transformers saves
    it; returns the folder."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    raw = folder / "raw"
    raw.mkdir(parents=True)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: place for place, word in enumerate([*special, *sorted(set(words))])}
    tokenizer = BertTokenizer(vocab=vocabulary, model_max_length=64, do_lower_case=not cased)
    tokenizer.save_pretrained(raw)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * width,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config).save_pretrained(raw)
    transformer = Transformer(str(raw), max_seq_length=64)
    model = SentenceTransformer(
        modules=[transformer, Pooling(width, pooling_mode="mean"), Normalize()]
    )
    model.save(str(folder / "encoder"), create_model_card=False)
    return folder / "encoder"
