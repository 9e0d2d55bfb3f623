"""Many tasks asked of one server at a time, each accounted for."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from llm_worker.clients.bias import Bias, combined, orders_of
from llm_worker.clients.json_server import JsonServer, Patience
from llm_worker.clients.meter import metered
from llm_worker.clients.passport import ServedModel
from llm_worker.errors import ServerAwayError, ValidatorError
from llm_worker.types import ValidationFailure, ValidationRequest, ValidationResult
from llm_worker.validators import Answers

CONNECTIONS = 32
PATIENCE = Patience()

Ask = Callable[[ValidationRequest], Awaitable[ValidationResult]]
"""One call about one task, with the candidates in the order in which they stand."""


class ServerValidator(ABC):
    """Asks `model` behind its server, within what its passport says.

    `api_key` is sent as a bearer token. `validate` runs an event loop of its own: call it from a
    thread that has none.
    """

    def __init__(
        self,
        model: ServedModel,
        *,
        api_key: str | None = None,
        connections: int = CONNECTIONS,
        patience: Patience | None = None,
    ) -> None:
        self.model = model
        self._api_key = api_key
        self._connections = connections
        self._patience = patience

    def validate(self, requests: Sequence[ValidationRequest]) -> Answers:
        """Answer every request, each by a call of its own, or by one for each order of its options.

        Raises `ValidatorUnavailableError` if the server is away, or for now not the one that was
        registered; what happens to one task later is its failure.
        """
        return asyncio.run(self._validate(requests))

    async def _validate(self, requests: Sequence[ValidationRequest]) -> Answers:
        started = time.perf_counter()
        async with self._server() as server:
            await self._check(server)

            async def ask(request: ValidationRequest) -> ValidationResult:
                return await self.ask(server, request)

            results, failures = await answer_all(server, requests, ask, bias=self.model.bias)
        share = (time.perf_counter() - started) * 1000.0 / max(len(requests), 1)
        return [replace(result, latency_ms=share) for result in results], failures

    def _server(self) -> JsonServer:
        return JsonServer(
            self.model.url,
            api_key=self._api_key,
            connections=self._connections,
            patience=self._patience or PATIENCE,
        )

    @abstractmethod
    async def _check(self, server: JsonServer) -> None:
        """Raise `ValidatorUnavailableError` if this is not the server that was registered."""

    @abstractmethod
    async def ask(self, server: JsonServer, request: ValidationRequest) -> ValidationResult:
        """One call about one task; its latency is filled in for the batch."""


async def answer_all(
    server: JsonServer, requests: Sequence[ValidationRequest], ask: Ask, *, bias: Bias
) -> Answers:
    """Every request answered, or its failure; as many at a time as `server` has connections.

    The calls of one task, if there are several, follow each other, so that a server that caches
    prefixes has read what they share. Once the server is away, nobody waits for it again.
    """
    batch = _Batch(server, ask, bias)
    # Tasks with the same candidates follow each other for the same reason.
    ordered = sorted(requests, key=shared_prefix)
    answers = await asyncio.gather(*(batch.answer(request) for request in ordered))
    results = [one for one in answers if isinstance(one, ValidationResult)]
    failures = [one for one in answers if isinstance(one, ValidationFailure)]
    return results, failures


def shared_prefix(request: ValidationRequest) -> tuple[str, tuple[int, ...]]:
    """What prompts that start alike have in common: the question, and the labels on cards."""
    if request.question == "binary":
        return request.question, (request.asked.label_id,)
    return request.question, tuple(sorted(one.label_id for one in request.candidates))


class _Batch:
    """One batch against one server."""

    def __init__(self, server: JsonServer, ask: Ask, bias: Bias) -> None:
        self._server = server
        self._ask = ask
        self._bias = bias
        self._away: ValidatorError | None = None

    async def answer(self, request: ValidationRequest) -> ValidationResult | ValidationFailure:
        with metered() as meter:
            try:
                async with self._server.turn:
                    answers = []
                    for one in orders_of(request, self._bias):
                        if self._away is not None:
                            raise self._away
                        answers.append(await self._ask(one))
                    return combined(request, self._bias, answers)
            except ValidatorError as error:
                if isinstance(error, ServerAwayError):
                    self._away = error
                return ValidationFailure(
                    request.task_id, error.reason, str(error), error.retryable, meter.spent
                )
