"""What the real server answers means something: a tiny model that can do a made option task."""

from __future__ import annotations

import asyncio

import pytest

from llm_worker.clients.json_server import JsonServer
from llm_worker.clients.passport import ServedModel
from llm_worker.clients.probe import probe
from llm_worker.clients.vllm_server import VllmServerValidator
from llm_worker.prompts.families import NEWEST
from llm_worker.types import Question
from llm_worker.validators import validate_all
from tests.made_task import made
from tests.vllm import MODEL, VllmServer

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(900)]

TASKS = 40


@pytest.fixture(scope="module")
def validator(vllm_server: VllmServer) -> VllmServerValidator:
    family = NEWEST["prob"]["en"]

    async def probed() -> ServedModel:
        async with JsonServer(vllm_server.url) as server:
            passport = await probe(server, model=MODEL, family=family)
        return ServedModel(
            vllm_server.url,
            MODEL,
            family.key,
            family.digest,
            "",
            reads_documents=False,
            passport=passport,
        )

    return VllmServerValidator(asyncio.run(probed()))


@pytest.mark.parametrize(
    ("question", "chance"), [("multiclass", 1 / 6), ("binary", 1 / 2)], ids=["multiclass", "binary"]
)
@pytest.mark.parametrize("hidden", [False, True], ids=["in the name", "on the card"])
def test_the_tiny_model_beats_chance_by_far(
    validator: VllmServerValidator, question: Question, chance: float, hidden: bool
) -> None:
    tasks = [made(seed, question, hidden=hidden) for seed in range(TASKS)]
    results, failures = validate_all(validator, [one.request for one in tasks])
    assert failures == []
    right = [
        result.probabilities.best == one.right for one, result in zip(tasks, results, strict=True)
    ]
    # Half of the way from chance to certainty.
    assert sum(right) / TASKS > (1.0 + chance) / 2.0
    assert min(result.probabilities.mass for result in results) > 0.5


def test_the_tiny_model_is_surer_where_it_is_right(validator: VllmServerValidator) -> None:
    """What accepting above a threshold rests on."""
    tasks = [made(seed, "multiclass", hidden=True) for seed in range(100)]
    results, _failures = validate_all(validator, [one.request for one in tasks])
    sure: dict[bool, list[float]] = {True: [], False: []}
    for one, result in zip(tasks, results, strict=True):
        best = result.probabilities.best
        sure[best == one.right].append(result.probabilities.of(best))
    mean = {right: sum(values) / len(values) for right, values in sure.items()}
    assert mean[True] > mean[False]
