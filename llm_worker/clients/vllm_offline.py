"""vLLM's engine inside this process, for bulk work on a GPU: no server between.

All prompts of a batch are handed over at once and the engine plans them. Written against vLLM 0.32
and run here with its CPU build; on a GPU it has not been run.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llm_worker.clients.asking import shared_prefix
from llm_worker.clients.bias import combined, orders_of
from llm_worker.clients.local_chat import LocalChat, context_of, fingerprint
from llm_worker.clients.option_routes import (
    Reading,
    Route,
    Tokens,
    call_of,
    log_probability,
    probabilities,
)
from llm_worker.clients.passport import Passport, RouteReport, ServedModel
from llm_worker.clients.probe import (
    QUESTION,
    at_most,
    check_room,
    noise_of,
    probe_prompt,
    warnings_of,
)
from llm_worker.errors import (
    ArtifactError,
    BadReplyError,
    UnsuitableServerError,
    ValidatorError,
    ValidatorUnavailableError,
)
from llm_worker.prompts.build import Prompt
from llm_worker.prompts.family import PromptFamily
from llm_worker.types import ValidationFailure, ValidationRequest, ValidationResult
from llm_worker.validators import Answers

Engine = Any
"""`vllm.LLM`, which is not installed where nobody needs it."""
Load = Callable[[Path, int], Engine]


@functools.lru_cache(maxsize=1)
def load_engine(folder: Path, context: int) -> Engine:
    """The engine for the model in `folder`, which takes most of the GPU: one a process.

    Raises `ArtifactError` where vLLM or the model cannot be loaded.
    """
    try:
        from vllm import LLM
    except ImportError as error:
        raise ArtifactError(
            "vLLM is not installed in this environment (requirements-gpu.txt)."
        ) from error
    try:
        return LLM(
            model=str(folder),
            max_model_len=context,
            enable_prefix_caching=True,
            load_format="safetensors",
            trust_remote_code=False,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ArtifactError(f"vLLM cannot load “{folder.name}”: {error}") from error


@dataclass(frozen=True, slots=True)
class _Asked:
    """One prompt, and its tokens."""

    request: ValidationRequest
    prompt: Prompt
    ids: list[int]


class VllmOfflineValidator:
    """Asks the model in `folder` through an engine in this process, loaded when first asked."""

    def __init__(self, model: ServedModel, *, folder: Path, load: Load = load_engine) -> None:
        self.model = model
        self._folder = folder
        self._load_engine = load
        self._loaded: tuple[LocalChat, Engine] | None = None

    def validate(self, requests: Sequence[ValidationRequest]) -> Answers:
        """Answer every request; all prompts of all orders go to the engine at once.

        Raises `ArtifactError` if the model cannot be loaded or is not the one that was registered,
        and `ValidatorUnavailableError` if the engine fails.
        """
        started = time.perf_counter()
        chat, engine = self._load()
        asked: dict[int, list[_Asked]] = {}
        failures = []
        for request in sorted(requests, key=shared_prefix):
            try:
                asked[request.task_id] = [
                    _Asked(one, *chat.longest(self.model, one))
                    for one in orders_of(request, self.model.bias)
                ]
            except ValidatorError as error:
                failures.append(_failure(request, error))
        every = [one for own in asked.values() for one in own]
        outputs = iter(generate(engine, [one.ids for one in every], self.model.passport.tokens))
        results = []
        for own in asked.values():
            request = own[0].request  # the first order is the request as it stands
            told = [(one, next(outputs)) for one in own]
            try:
                answers = [self._result(one, output) for one, output in told]
                results.append(combined(request, self.model.bias, answers))
            except ValidatorError as error:
                failures.append(_failure(request, error))
        share = (time.perf_counter() - started) * 1000.0 / max(len(requests), 1)
        return [replace(result, latency_ms=share) for result in results], failures

    def _load(self) -> tuple[LocalChat, Engine]:
        if self._loaded is None:
            if fingerprint(self._folder) != self.model.passport.root:
                raise ArtifactError(
                    f"The files of “{self.model.model}” are not those that were registered: "
                    "register it again."
                )
            engine = self._load_engine(self._folder, self.model.passport.context_tokens)
            self._loaded = LocalChat(self._folder), engine
        return self._loaded

    def _result(self, asked: _Asked, output: Any) -> ValidationResult:
        request, prompt = asked.request, asked.prompt
        reading = read_output(output)
        call = call_of(Route.TOKEN_IDS, reading, self.model.passport.tokens, prompt.symbols)
        return ValidationResult(
            task_id=request.task_id,
            question=request.question,
            probabilities=probabilities(Route.TOKEN_IDS, request.options, call),
            latency_ms=0.0,
            tokens=reading.prompt_tokens,
            prompt_hash=prompt.hash,
            route=Route.TOKEN_IDS.value,
            text_was_cut="text" in prompt.cut,
            calls=(replace(call, cut=prompt.cut),),
            cached_tokens=reading.cached_tokens,
        )


def generate(engine: Engine, prompts: Sequence[list[int]], tokens: Tokens) -> list[Any]:
    """One token after each prompt, with the log-probabilities of the digits' tokens.

    Raises `ValidatorUnavailableError` where the engine fails.
    """
    from vllm import SamplingParams

    if not prompts:
        return []
    wanted = [token for own in tokens.values() for token in own.values()]
    sampling = SamplingParams(
        max_tokens=1,
        temperature=0.0,
        logprobs=len(wanted),
        logprob_token_ids=wanted,
        detokenize=False,
    )
    asked = [{"prompt_token_ids": ids} for ids in prompts]
    try:
        return list(engine.generate(asked, sampling, use_tqdm=False))
    except (RuntimeError, ValueError) as error:
        raise ValidatorUnavailableError(f"The engine failed: {error}") from error


def read_output(output: Any) -> Reading:
    """The log-probabilities of the first token of a `vllm.RequestOutput`.

    Raises `BadReplyError` for any other shape.
    """
    try:
        told = output.outputs[0].logprobs[0]
        found = {int(token): log_probability(entry.logprob) for token, entry in told.items()}
        count, cached = len(output.prompt_token_ids), output.num_cached_tokens
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise BadReplyError(
            f"The engine gave no log-probabilities of a first token ({type(error).__name__}: "
            f"{error})."
        ) from error
    plausible = type(cached) is int and 0 <= cached <= count
    return Reading(found, count, cached if plausible else None)


def probe_offline(
    folder: Path,
    *,
    family: PromptFamily,
    domain: str = "",
    context: int | None = None,
    load: Load = load_engine,
) -> Passport:
    """The passport of the model in `folder` for this engine, which is asked our own question twice.

    Raises `ArtifactError` or `UnsuitableServerError` with the reason where it cannot serve.
    """
    chat = LocalChat(folder)
    prompt = probe_prompt(family, domain)
    tokens, length = chat.option_tokens(prompt)
    reads = context_of(folder, context)
    check_room(reads, length)
    engine = load(folder, reads)
    ids = chat.ids(prompt.messages())
    try:
        first, again = [read_output(generate(engine, [ids], tokens)[0]) for _ in range(2)]
        call = call_of(Route.TOKEN_IDS, first, tokens, prompt.symbols)
    except BadReplyError as error:
        raise UnsuitableServerError(str(error)) from error
    mass = probabilities(Route.TOKEN_IDS, QUESTION.options, call).mass
    return Passport(
        server=f"vllm {_version()}, in process",
        root=fingerprint(folder),
        context_tokens=reads,
        overhead_tokens=0,
        tokens=tokens,
        routes={Route.TOKEN_IDS.value: RouteReport("", "raw", at_most(noise_of(first, again)))},
        route=Route.TOKEN_IDS,
        mass=round(mass, 2),
        disagreement=0.0,
        warnings=tuple(warnings_of(Route.TOKEN_IDS, mass, 0.0)),
    )


def _version() -> str:
    import vllm

    return str(vllm.__version__)


def _failure(request: ValidationRequest, error: ValidatorError) -> ValidationFailure:
    return ValidationFailure(request.task_id, error.reason, str(error), error.retryable)
