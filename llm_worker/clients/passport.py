"""What was learned of a server when it was registered, and how a validator uses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from llm_worker.clients.bias import NO_REMEDY, Bias
from llm_worker.clients.option_routes import Route, Tokens
from llm_worker.errors import ArtifactError, InvalidRequestError
from llm_worker.prompts.families import family_of
from llm_worker.prompts.settings import Asking

Prefill = Literal["continued", "message", "none"]


@dataclass(frozen=True, slots=True)
class RouteReport:
    """What became of one route: why it does not work, or empty.

    `values` says whether its numbers are "raw", of the whole vocabulary, or "masked", of the
    options only. `noise` bounds how far a log-probability moved between two equal calls.
    """

    refusal: str
    values: str = ""
    noise: float = 0.0


@dataclass(frozen=True, slots=True)
class Passport:
    """What a server can do, as probed.

    `tokens` are the tokens of each digit after the begun answer, `context_tokens` what a prompt
    and its answer may hold, `overhead_tokens` what the chat template adds to a message, `mass` how
    much of the probability lay on the options of the probe's question (None where the route
    cannot know), `disagreement` the largest difference between the probabilities of two routes.
    `prefill` says how the answer is begun for the model: a last message of the assistant with the
    settings of vLLM and SGLang ("continued"), such a message alone ("message"), or not at all
    ("none"). `switch` is what every request carries to keep the model from thinking first.
    """

    server: str
    root: str
    context_tokens: int
    overhead_tokens: int
    tokens: Tokens
    routes: Mapping[str, RouteReport]
    route: Route
    mass: float | None
    disagreement: float
    warnings: tuple[str, ...] = ()
    prefill: Prefill = "continued"
    switch: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """Everything that shapes the answers of a model behind a server.

    `domain` is what the project says of its texts, as it was at registration: a prompt does not
    change under a validator. `family_digest` is that of the words (`PromptFamily.digest`), `bias`
    what is done about the model's likes for digits and places.
    """

    url: str
    model: str
    family: str
    family_digest: str
    domain: str
    reads_documents: bool
    passport: Passport
    bias: Bias = NO_REMEDY
    asking: Asking = field(default_factory=Asking)

    def as_json(self) -> dict[str, Any]:
        """Plain data, for `from_json`."""
        content = asdict(self)
        content["passport"]["warnings"] = list(self.passport.warnings)
        content["passport"]["route"] = self.passport.route.value
        content["bias"]["offsets"] = list(self.bias.offsets)
        content["asking"] = self.asking.as_json()
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ServedModel:
        """Read what `as_json` wrote.

        Raises `ArtifactError` where something is missing, or where this version's words of the
        prompt family are not those that were registered.
        """
        try:
            stored = dict(content["passport"])
            routes = {name: RouteReport(**report) for name, report in stored["routes"].items()}
            passport = Passport(
                **stored
                | {
                    "routes": routes,
                    "route": Route(stored["route"]),
                    "warnings": tuple(stored["warnings"]),
                }
            )
            names = ("url", "model", "family", "family_digest", "domain", "reads_documents")
            bias = Bias(**content.get("bias", {}))  # before there was any, it was not treated
            bias = replace(bias, offsets=tuple(bias.offsets))
            known = {name: content[name] for name in names}
            asking = Asking.from_json(content["asking"])
            served = cls(**known, passport=passport, bias=bias, asking=asking)
            digest = family_of(served.family).digest
        except (KeyError, TypeError, ValueError, AttributeError, InvalidRequestError) as error:
            raise ArtifactError(
                f"The settings of the LLM validator cannot be read ({error}): register it again."
            ) from error
        if digest != served.family_digest:
            raise ArtifactError(
                f"The prompt family {served.family} has other words than when the validator was "
                "registered: register it again."
            )
        return served
