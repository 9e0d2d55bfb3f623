"""A model behind a vLLM server, asked for the probability of its first token (prob-approach).

Tsymbalov (2025), section 3.3.2: the probability of each option is that of its digit as the first
token after `[ANSWER]`. One request per task, one token out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from llm_worker.clients.asking import CONNECTIONS, ServerValidator, shared_prefix
from llm_worker.clients.json_server import JsonServer, Patience
from llm_worker.clients.meter import metered
from llm_worker.clients.option_routes import (
    Reading,
    call_of,
    probabilities,
    read_reply,
    request_body,
)
from llm_worker.clients.passport import ServedModel
from llm_worker.clients.probe import count, option_tokens, probe_prompt, served
from llm_worker.clients.prompting import prompts_of, too_long
from llm_worker.clients.text_approach import (
    REASONING_TOKENS,
    ROOM,
    ask_in_words,
    known_sum,
    read_reason,
    without_answer,
    written,
)
from llm_worker.errors import (
    BadReplyError,
    RequestRefusedError,
    ServerAwayError,
    UnsuitableServerError,
    ValidatorError,
    ValidatorUnavailableError,
)
from llm_worker.prompts.build import Prompt
from llm_worker.prompts.families import family_of
from llm_worker.prompts.settings import Approach
from llm_worker.types import Call, Reason, ValidationRequest, ValidationResult

ANSWER_TOKENS = 1
REASON_TOKENS = 256
"""What reasons may take, the sentence that asks for them included."""
PATIENT = Patience(answer_s=100.0)
"""With a model that writes hundreds of tokens before it answers."""


class VllmServerValidator(ServerValidator):
    """A model behind a vLLM server."""

    def __init__(
        self,
        model: ServedModel,
        *,
        api_key: str | None = None,
        connections: int = CONNECTIONS,
        patience: Patience | None = None,
    ) -> None:
        if patience is None and model.asking.approach is not Approach.PROB:
            patience = PATIENT
        super().__init__(model, api_key=api_key, connections=connections, patience=patience)
        self._family = family_of(model.family)
        self._knows_tokens = False

    async def _check(self, server: JsonServer) -> None:
        """Is this still the server that was probed? Another model under the same name would give
        other probabilities, and other tokens would be other options. The tokens are asked for
        once, the model before each batch."""
        passport, tokens = self.model.passport, self.model.passport.tokens
        try:
            root, context = await served(server, self.model.model)
            if not self._knows_tokens:
                prompt = probe_prompt(self._family)
                tokens, _length = await option_tokens(
                    server, model=self.model.model, prompt=prompt, switch=self._switch
                )
        except (UnsuitableServerError, RequestRefusedError, BadReplyError) as error:
            raise ValidatorUnavailableError(str(error)) from error
        now = (root, context, tokens)
        if now != (passport.root, passport.context_tokens, passport.tokens):
            raise ValidatorUnavailableError(
                f"{self.model.url} serves another model as “{self.model.model}” than when the "
                "validator was registered (other weights, context length or tokenizer): register "
                "it again."
            )
        self._knows_tokens = True

    def explain(self, requests: Sequence[ValidationRequest]) -> list[Reason]:
        """Reasons in words, or why there are none, for each task.

        A call of its own for each task, up to `REASON_TOKENS` tokens out: for the tasks that people
        will read, after the options were asked for. Raises `ValidatorUnavailableError` if the
        server is away, or not the one that was registered; what happens to one task later is why
        there are none for it, and once the server is away nobody waits for it again.
        """
        return asyncio.run(self._explain(requests))

    async def _explain(self, requests: Sequence[ValidationRequest]) -> list[Reason]:
        async with self._server() as server:
            await self._check(server)
            ordered = sorted(requests, key=shared_prefix)
            away: list[ServerAwayError] = []
            return await asyncio.gather(*(self._reason(server, one, away) for one in ordered))

    async def _reason(
        self, server: JsonServer, request: ValidationRequest, away: list[ServerAwayError]
    ) -> Reason:
        """One task's reasons; `away` holds what kept the server from answering another."""
        with metered() as meter:
            try:
                async with server.turn:
                    if away:
                        raise away[0]
                    text = await self._why(server, request)
                failure = "" if text else "The model said nothing."
            except ValidatorError as error:
                if isinstance(error, ServerAwayError):
                    away.append(error)
                text, failure = "", str(error)
        return Reason(request.task_id, text, meter.spent, failure)

    async def _why(self, server: JsonServer, request: ValidationRequest) -> str:
        prompt = await self.prompt_for(server, request, answer_tokens=REASON_TOKENS)
        body = {
            "model": self.model.model,
            "messages": prompt.asking_why(self._family.explain),
            "max_tokens": REASON_TOKENS,
            "temperature": 0.0,
            **self._switch,
        }
        return read_reason(await server.ask("/v1/chat/completions", body))

    async def prompt_for(
        self,
        server: JsonServer,
        request: ValidationRequest,
        *,
        answer_tokens: int = ANSWER_TOKENS,
        notes: str = "",
    ) -> Prompt:
        """The longest prompt about `request` that the model can read.

        A token stands for at least one byte, so a prompt with few enough bytes need not be counted.
        Raises `RequestRefusedError` where even the shortest is too long.
        """
        room = self.model.passport.context_tokens - answer_tokens
        for prompt in prompts_of(self.model, request, notes=notes):
            size = len(prompt.text.encode()) + self.model.passport.overhead_tokens
            if size <= room or await self._counted(server, prompt) <= room:
                return prompt
        raise too_long(room)

    def measured(self, request: ValidationRequest) -> tuple[Prompt, int]:
        """The prompt about `request` as it is sent first, and its tokens as the server counts them.

        Raises `RequestRefusedError` where even the shortest is too long, and as `validate` does.
        """
        return asyncio.run(self._measured(request))

    async def _measured(self, request: ValidationRequest) -> tuple[Prompt, int]:
        answer = ANSWER_TOKENS if self.model.asking.approach is Approach.PROB else ROOM
        async with self._server() as server:
            await self._check(server)
            prompt = await self.prompt_for(server, request, answer_tokens=answer)
            return prompt, await self._sent(server, prompt)

    async def _sent(self, server: JsonServer, prompt: Prompt) -> int:
        """Tokens of a prompt before an answer is begun, by the server's own tokenizer."""
        return len(await count(server, self.model.model, prompt, None, switch=self._switch))

    async def _counted(self, server: JsonServer, prompt: Prompt) -> int:
        """Tokens of a prompt with its answer begun, by the server's own tokenizer."""
        return len(await count(server, self.model.model, prompt, switch=self._switch))

    async def ask(self, server: JsonServer, request: ValidationRequest) -> ValidationResult:
        """One answer about one task; its latency is filled in for the batch."""
        approach = self.model.asking.approach
        if approach is Approach.PROB:
            return await self._ask_options(server, await self.prompt_for(server, request), request)
        before = await self.prompt_for(server, request, answer_tokens=ROOM)
        if approach is Approach.TEXT:
            return await ask_in_words(
                server,
                request,
                model=self.model.model,
                prompt=before,
                family=self._family,
                switch=self._switch,
            )
        # Tsymbalov (2025), section 6.3: what was written, without an answer it may have come to.
        messages = before.asking_why(self._family.reason)
        reply = await written(
            server,
            self.model.model,
            messages,
            at_most=REASONING_TOKENS,
            switch=self._switch,
        )
        notes = without_answer(reply.text)
        prompt = await self.prompt_for(server, request, notes=notes)
        result = await self._ask_options(server, prompt, request)
        return replace(
            result,
            tokens=result.tokens + reply.prompt_tokens,
            cached_tokens=known_sum(result.cached_tokens, reply.cached_tokens),
            written_tokens=known_sum(reply.written_tokens, ANSWER_TOKENS),
            reasoning=notes,
        )

    async def _ask_options(
        self, server: JsonServer, prompt: Prompt, request: ValidationRequest
    ) -> ValidationResult:
        """The probabilities of the options as the first token after `prompt`."""
        route = self.model.passport.route
        call, reading = await self._call(server, prompt)
        return ValidationResult(
            task_id=request.task_id,
            question=request.question,
            probabilities=probabilities(route, request.options, call),
            latency_ms=0.0,
            tokens=reading.prompt_tokens,
            prompt_hash=prompt.hash,
            route=route.value,
            text_was_cut="text" in prompt.cut,
            calls=(replace(call, cut=prompt.cut),),
            cached_tokens=reading.cached_tokens,
        )

    async def _call(self, server: JsonServer, prompt: Prompt) -> tuple[Call, Reading]:
        """The bounds on each digit of `prompt`, in order, and what else the reply says."""
        route, tokens = self.model.passport.route, self.model.passport.tokens
        offered = {symbol: tokens[symbol] for symbol in prompt.symbols}
        body = request_body(
            route, model=self.model.model, messages=prompt.messages(), tokens=offered
        )
        reading = read_reply(await server.ask("/v1/chat/completions", body | self._switch))
        return call_of(route, reading, offered, prompt.symbols), reading

    @property
    def _switch(self) -> dict[str, Any]:
        """What every request carries to keep the model from thinking first."""
        return dict(self.model.passport.switch)
