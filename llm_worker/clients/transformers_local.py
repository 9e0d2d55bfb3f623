"""A causal language model in a folder of this machine, on its CPU or GPU.

One forward pass a prompt, and the probabilities of the digits are those of the model itself. What
a prompt shares with the one before it is not computed again: its keys and values are kept, so tasks
with the same candidates, and the orders of one task, cost little more than what differs.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from llm_worker.clients.asking import shared_prefix
from llm_worker.clients.bias import combined, orders_of
from llm_worker.clients.local_chat import LocalChat, context_of, fingerprint
from llm_worker.clients.option_routes import Route, probabilities
from llm_worker.clients.passport import Passport, RouteReport, ServedModel
from llm_worker.clients.probe import at_most, check_room, probe_prompt, warnings_of
from llm_worker.errors import (
    ArtifactError,
    BadReplyError,
    UnsuitableServerError,
    ValidatorError,
    ValidatorUnavailableError,
)
from llm_worker.options import Floats
from llm_worker.prompts.family import PromptFamily
from llm_worker.types import Call, ValidationFailure, ValidationRequest, ValidationResult
from llm_worker.validators import Answers

FAR_OFF = 0.05
"""In nats. In bfloat16 the two ways of computing differ by a few hundredths."""


class LocalModel:
    """A model loaded from `folder`, and what it computed of the last prompt.

    Raises `ArtifactError` where it cannot be loaded, and `ValidatorUnavailableError` where there is
    not enough memory.
    """

    def __init__(self, folder: Path) -> None:
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM

        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype="auto" if self.device == "cuda" else torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
            )
            self._model = model.to(self.device).eval()
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise ValidatorUnavailableError(f"{folder.name} does not fit: {error}") from error
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise ArtifactError(f"The model in {folder.name} cannot be loaded: {error}") from error
        self.dtype = str(self._model.dtype).removeprefix("torch.")
        accepted = inspect.signature(self._model.forward).parameters
        self._more = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
        self._ids: list[int] = []
        self._past: Any = None

    def first_token(self, ids: list[int]) -> tuple[Floats, int]:
        """Log-probabilities of every token after `ids`, shape (vocabulary,), in float64, and how
        many of `ids` did not have to be read again.

        Raises `BadReplyError` where they are no numbers, `ValidatorUnavailableError` where memory
        runs out.
        """
        import torch

        known = self._crop(ids)
        past, self._past, self._ids = self._past, None, []
        try:
            with torch.inference_mode():
                answer = self._model(
                    input_ids=torch.tensor([ids[known:]], device=self.device),
                    past_key_values=past,
                    use_cache=True,
                    **self._more,
                )
                logs = torch.log_softmax(answer.logits[0, -1].double(), dim=-1).cpu().numpy()
        except torch.OutOfMemoryError as error:
            raise ValidatorUnavailableError(f"Memory of the {self.device} ran out.") from error
        self._past, self._ids = answer.past_key_values, ids
        if np.isnan(logs).any():
            self._past, self._ids = None, []
            raise BadReplyError("The model gives numbers that are none (NaN).")
        return logs, known

    def _crop(self, ids: list[int]) -> int:
        """Cut what is kept back to what `ids` start with; its length, at least one token less.

        Only layers that keep keys and values token by token can be cut: a state that is summed up,
        or a window that has moved on, starts anew.
        """
        from transformers.cache_utils import DynamicLayer

        known = 0
        for kept, wanted in zip(self._ids, ids[:-1], strict=False):
            if kept != wanted:
                break
            known += 1
        layers = getattr(self._past, "layers", [])
        if known == 0 or not layers or not all(isinstance(one, DynamicLayer) for one in layers):
            self._past = None
            return 0
        try:
            self._past.crop(known - len(self._ids))
        except ValueError:  # a window that has moved on
            self._past = None
            return 0
        return known


class TransformersValidator:
    """Asks the model in `folder`, within what its passport says. It is loaded when first asked."""

    def __init__(self, model: ServedModel, *, folder: Path) -> None:
        self.model = model
        self._folder = folder
        self._loaded: tuple[LocalChat, LocalModel] | None = None

    def validate(self, requests: Sequence[ValidationRequest]) -> Answers:
        """Answer every request, one prompt after another.

        Raises `ValidatorUnavailableError` or `ArtifactError` if the model cannot be loaded or is
        not the one that was registered.
        """
        started = time.perf_counter()
        chat, network = self._load()
        answers = [self._answer(chat, network, one) for one in sorted(requests, key=shared_prefix)]
        share = (time.perf_counter() - started) * 1000.0 / max(len(requests), 1)
        results = [one for one in answers if isinstance(one, ValidationResult)]
        failures = [one for one in answers if isinstance(one, ValidationFailure)]
        return [replace(result, latency_ms=share) for result in results], failures

    def _load(self) -> tuple[LocalChat, LocalModel]:
        if self._loaded is None:
            if fingerprint(self._folder) != self.model.passport.root:
                raise ArtifactError(
                    f"The files of “{self.model.model}” are not those that were registered: "
                    "register it again."
                )
            self._loaded = LocalChat(self._folder), LocalModel(self._folder)
        return self._loaded

    def _answer(
        self, chat: LocalChat, network: LocalModel, request: ValidationRequest
    ) -> ValidationResult | ValidationFailure:
        try:
            bias = self.model.bias
            answers = [self._ask(chat, network, one) for one in orders_of(request, bias)]
            return combined(request, bias, answers)
        except ValidatorError as error:
            return ValidationFailure(request.task_id, error.reason, str(error), error.retryable)

    def _ask(
        self, chat: LocalChat, network: LocalModel, request: ValidationRequest
    ) -> ValidationResult:
        prompt, ids = chat.longest(self.model, request)
        logs, known = network.first_token(ids)
        tokens = self.model.passport.tokens
        weights = tuple(_weight(logs, list(tokens[symbol].values())) for symbol in prompt.symbols)
        call = Call(weights, weights, prompt.cut)
        return ValidationResult(
            task_id=request.task_id,
            question=request.question,
            probabilities=probabilities(Route.FORWARD, request.options, call),
            latency_ms=0.0,
            tokens=len(ids),
            prompt_hash=prompt.hash,
            route=Route.FORWARD.value,
            text_was_cut="text" in prompt.cut,
            calls=(call,),
            cached_tokens=known,
        )


def probe_local(
    folder: Path, *, family: PromptFamily, domain: str = "", context: int | None = None
) -> Passport:
    """The passport of the model in `folder`: one question of our own, with and without what was
    kept of another one.

    Raises `ArtifactError` or `UnsuitableServerError` with the reason where it cannot serve.
    """
    import transformers

    chat, network = LocalChat(folder), LocalModel(folder)
    prompt = probe_prompt(family, domain)
    tokens, length = chat.option_tokens(prompt)
    reads = context_of(folder, context)
    check_room(reads, length)
    ids = chat.ids(prompt.messages())
    whole, _none = network.first_token(ids)
    network.first_token([*ids[: len(ids) // 2], ids[0]])
    again, _some = network.first_token(ids)
    every = [token for own in tokens.values() for token in own.values()]
    noise = float(np.max(np.abs(whole[every] - again[every])))
    mass = math.fsum(math.exp(whole[token]) for token in every)
    if noise > FAR_OFF:
        raise UnsuitableServerError(
            f"With what was kept of another prompt the model answers otherwise (by {noise:.3f})."
        )
    return Passport(
        server=f"transformers {transformers.__version__}, {network.device}, {network.dtype}",
        root=fingerprint(folder),
        context_tokens=reads,
        overhead_tokens=0,
        tokens=tokens,
        routes={Route.FORWARD.value: RouteReport("", "raw", at_most(noise))},
        route=Route.FORWARD,
        mass=round(mass, 2),
        disagreement=0.0,
        warnings=tuple(warnings_of(Route.FORWARD, mass, 0.0)),
    )


def _weight(logs: Floats, own: list[int]) -> float:
    return min(math.fsum(math.exp(logs[token]) for token in own), 1.0)
