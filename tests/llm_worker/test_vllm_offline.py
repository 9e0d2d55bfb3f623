"""vLLM's engine in this process: what it is asked, and what is read of it.

The engine here is a stand-in with the shapes of vLLM 0.32, and the rule about log-probabilities on
which the real one insists. The real one was run by hand (docs/decisions/0014).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llm_worker.clients.bias import NO_REMEDY, Bias
from llm_worker.clients.passport import ServedModel
from llm_worker.clients.transformers_local import LocalModel, TransformersValidator, probe_local
from llm_worker.clients.vllm_offline import (
    VllmOfflineValidator,
    load_engine,
    probe_offline,
    read_output,
)
from llm_worker.errors import ArtifactError, BadReplyError
from llm_worker.prompts.families import ENGLISH
from llm_worker.types import Candidate, ValidationRequest
from llm_worker.validators import validate_all
from tests.random_llm import make_random

NAN = SimpleNamespace(logprob=math.nan)
CARDS = tuple(Candidate(place, f"label {place}") for place in range(1, 6))


@dataclass
class SamplingParams:
    max_tokens: int
    temperature: float
    logprobs: int
    logprob_token_ids: list[int]
    detokenize: bool


class Engine:
    """Answers with the numbers of transformers on the same weights."""

    def __init__(self, folder: Path) -> None:
        self._network = LocalModel(folder)
        self.batches: list[int] = []
        self.broken = False

    def generate(
        self, prompts: Sequence[dict[str, list[int]]], sampling: SamplingParams, *, use_tqdm: bool
    ) -> list[Any]:
        if self.broken:
            raise RuntimeError("out of memory")
        if sampling.logprobs != len(sampling.logprob_token_ids):
            raise ValueError("logprobs must equal len(logprob_token_ids)")
        self.batches.append(len(prompts))
        return [self._answer(prompt["prompt_token_ids"], sampling) for prompt in prompts]

    def _answer(self, ids: list[int], sampling: SamplingParams) -> Any:
        logs, known = self._network.first_token(ids)
        told = {
            token: SimpleNamespace(logprob=float(logs[token]), rank=1)
            for token in {*sampling.logprob_token_ids, int(logs.argmax())}
        }
        return SimpleNamespace(
            outputs=[SimpleNamespace(logprobs=[told])],
            prompt_token_ids=ids,
            num_cached_tokens=known,
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_random(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def engine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    module = SimpleNamespace(SamplingParams=SamplingParams, __version__="0.32.0")
    monkeypatch.setitem(sys.modules, "vllm", module)
    return Engine(folder)


def served(folder: Path, engine: Engine, bias: Bias = NO_REMEDY) -> ServedModel:
    passport = probe_offline(folder, family=ENGLISH, load=lambda folder, context: engine)
    return ServedModel("", "tiny", ENGLISH.key, ENGLISH.digest, "A shop.", True, passport, bias)


def asked(task_id: int, text: str) -> ValidationRequest:
    return ValidationRequest(task_id, text, "multiclass", CARDS)


def test_all_orders_of_all_tasks_are_one_batch(folder: Path, engine: Engine) -> None:
    model = served(folder, engine, Bias("shifts", orders=2))
    client = VllmOfflineValidator(model, folder=folder, load=lambda folder, context: engine)
    requests = [asked(1, "where is it"), asked(2, "Ω" * 9000), asked(3, "money back")]
    results, failures = validate_all(client, requests)
    assert failures == []
    assert engine.batches[-1] == 6
    local = TransformersValidator(
        ServedModel(
            "",
            "tiny",
            ENGLISH.key,
            ENGLISH.digest,
            "A shop.",
            True,
            probe_local(folder, family=ENGLISH),
            Bias("shifts", orders=2),
        ),
        folder=folder,
    )
    expected, _failures = validate_all(local, requests)
    for one, own in zip(results, expected, strict=True):
        assert one.route == "logprob_token_ids"
        assert one.probabilities.as_dict() == pytest.approx(own.probabilities.as_dict(), abs=1e-5)
        assert (one.tokens, one.prompt_hash) == (own.tokens, own.prompt_hash)
        assert one.text_was_cut is (one.task_id == 2)


def test_an_engine_that_fails_may_be_asked_again(folder: Path, engine: Engine) -> None:
    client = VllmOfflineValidator(
        served(folder, engine), folder=folder, load=lambda folder, context: engine
    )
    engine.broken = True
    results, failures = validate_all(client, [asked(1, "a"), asked(2, "b")])
    assert results == []
    assert all("The engine failed: out of memory" in failure.message for failure in failures)
    assert all(failure.retryable for failure in failures)


@pytest.mark.parametrize(
    "output",
    [
        None,
        SimpleNamespace(outputs=[]),
        SimpleNamespace(outputs=[SimpleNamespace(logprobs=None)]),
        SimpleNamespace(
            outputs=[SimpleNamespace(logprobs=[{1: SimpleNamespace(logprob=math.nan)}])]
        ),
    ],
)
def test_an_output_of_another_shape_is_refused_in_words(output: Any) -> None:
    with pytest.raises(BadReplyError, match="no log-probabilities"):
        read_output(output)


def test_without_vllm_the_reason_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ArtifactError, match="vLLM is not installed in this environment"):
        load_engine(folder, 2048)
