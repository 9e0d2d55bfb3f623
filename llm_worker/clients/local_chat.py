"""The folder of a model on this machine, and the tokens of a chat with it.

Weights are safetensors and no code that lies beside them is run (DESIGN 8.8).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llm_worker.clients.artifacts import file_hash
from llm_worker.clients.option_routes import Tokens
from llm_worker.clients.passport import ServedModel
from llm_worker.clients.probe import WRITTEN, tokens_from
from llm_worker.clients.prompting import prompts_of, too_long
from llm_worker.errors import ArtifactError, UnsuitableServerError
from llm_worker.prompts.build import PREFILL, Prompt
from llm_worker.types import ValidationRequest

_SHAPES_ANSWERS = (".json", ".safetensors", ".jinja", ".model", ".txt")


def model_folder(root: Path, name: str) -> Path:
    """The folder of the model `name` below `root`.

    Raises `ArtifactError` where it is none, lies elsewhere, or holds no safetensors.
    """
    folder = (root / name).resolve()
    if not name or folder == root.resolve() or not folder.is_relative_to(root.resolve()):
        raise ArtifactError(f"“{name}” is not the name of a folder in the folder of models.")
    if not (folder / "config.json").is_file():
        raise ArtifactError(f"The folder of models holds no model “{name}” (no config.json).")
    if not list(folder.glob("*.safetensors")):
        raise ArtifactError(
            f"The model “{name}” has no weights as safetensors; other files of weights can hold "
            "code and are not loaded."
        )
    return folder


def fingerprint(folder: Path) -> str:
    """SHA-256 of everything in `folder` that shapes answers: weights, settings, tokenizer."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in _SHAPES_ANSWERS:
            digest.update(f"{path.name} {file_hash(path)}\n".encode())
    return digest.hexdigest()


class LocalChat:
    """The tokenizer and the chat template of a model in a folder.

    Raises `ArtifactError` where they cannot be loaded.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(
                f"The tokenizer in {folder.name} cannot be loaded: {error}"
            ) from error
        if not self._tokenizer.chat_template:
            raise ArtifactError(f"The model in {folder.name} has no chat template.")

    def ids(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """The tokens of a chat whose last message, of the assistant, is to be continued."""
        found: list[int] = self._tokenizer.apply_chat_template(
            list(messages),
            add_generation_prompt=False,
            continue_final_message=True,
            tokenize=True,
            return_dict=False,
        )
        return found

    def option_tokens(self, prompt: Prompt) -> tuple[Tokens, int]:
        """The tokens of each digit after the begun answer, and how many tokens the prompt has.

        Raises `UnsuitableServerError` where the digits are not one token each.
        """
        begun = self.ids(prompt.messages())
        longer = {
            written: self.ids(prompt.messages(PREFILL + written))
            for own in WRITTEN
            for written in own
        }
        return tokens_from(begun, longer), len(begun)

    def longest(self, model: ServedModel, request: ValidationRequest) -> tuple[Prompt, list[int]]:
        """The longest prompt about `request` that `model` can read, and its tokens.

        Raises `RequestRefusedError` where even the shortest is too long.
        """
        room = model.passport.context_tokens - 1
        for prompt in prompts_of(model, request):
            ids = self.ids(prompt.messages())
            if len(ids) <= room:
                return prompt, ids
        raise too_long(room)


def context_of(folder: Path, stated: int | None) -> int:
    """How many tokens the model reads: as stated, else as its settings say.

    Raises `UnsuitableServerError` where neither says it.
    """
    from transformers import AutoConfig

    try:
        config: Any = AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"The settings in {folder.name} cannot be read: {error}") from error
    there = getattr(config.get_text_config(), "max_position_embeddings", None)
    if stated:
        return min(stated, there) if isinstance(there, int) else stated
    if not isinstance(there, int) or there <= 0:
        raise UnsuitableServerError(
            f"The model “{folder.name}” does not say how many tokens it reads: state it with "
            "--context."
        )
    return there
