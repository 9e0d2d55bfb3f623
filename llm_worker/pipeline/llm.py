"""LLM validators are registered after a probe."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from labeling.actions.artifacts import register_validator
from labeling.actions.errors import ActionRefused
from labeling.actions.events import Actor
from labeling.models import Project, Validator
from llm_worker.clients.bias import NO_REMEDY, Bias
from llm_worker.clients.json_server import JsonServer
from llm_worker.clients.passport import Passport, ServedModel
from llm_worker.clients.probe import probe
from llm_worker.clients.vllm_server import VllmServerValidator
from llm_worker.errors import ValidatorError
from llm_worker.pipeline.hosts import check_host
from llm_worker.pipeline.llm_asking import asking_of, check_words, same_rows
from llm_worker.pipeline.llm_bias import PRIOR, bias_of, check_remedy
from llm_worker.pipeline.llm_client import CLIENT, check_key_name, key_of
from llm_worker.prompts.build import MAX_CANDIDATES, MAX_DOMAIN
from llm_worker.prompts.families import newest_family
from llm_worker.prompts.family import PromptFamily
from llm_worker.prompts.fence import shortened

MEASURED = frozenset({"routes", "mass", "disagreement", "warnings"})
"""Parts of a passport that may differ between two probes of one server."""


def register_llm(
    project: Project,
    *,
    name: str,
    url: str,
    model: str,
    language: str,
    reads_documents: bool,
    api_key_env: str,
    bias: str = "none",
    by: Actor = "command line",
    **asking: Any,
) -> dict[str, Any]:
    """Probe the server and put `model` in use as a validator; the passport is kept with it.

    What the project says of its texts, its instructions and fixed examples are copied into the
    validator, so that a prompt does not change under it; `asking` goes to `asking_of`. Nothing
    changes if everything was registered like this before. `bias` is one of `llm_bias.REMEDIES`; a
    prior of the digits is fitted on texts of the project, which are sent to the server for it,
    unless the same validator has one.
    """
    check_remedy(project, bias)
    domain, domain_was_cut = shortened(domain_of(project), MAX_DOMAIN)
    try:
        how, shots_from = asking_of(project, bias=bias, **asking)
        family = newest_family(how.approach, language)
        check_key_name(api_key_env)
        check_host(url, project=project)
        passport = asyncio.run(_probed(url, key_of(api_key_env), model, family, domain))
        served = ServedModel(
            *(url, model, family.key, family.digest, domain, reads_documents, passport),
            asking=how,
        )
        check_words(served, key_of(api_key_env))
    except ValidatorError as error:
        raise ActionRefused(str(error)) from error
    standing = project.validators.filter(name=name, active=True).first()
    more = {"client": CLIENT, "api_key_env": api_key_env, "shots_from": shots_from}
    fitted = _fitted_before(standing, {**more, **served.as_json()}) if bias == PRIOR else None
    try:
        chosen = fitted or bias_of(
            project, bias, VllmServerValidator(served, api_key=key_of(api_key_env))
        )
    except ValidatorError as error:
        raise ActionRefused(str(error)) from error
    settings = {**more, **replace(served, bias=chosen).as_json()}
    is_new = standing is None or _identity(standing.settings) != _identity(settings)
    if standing is None or is_new:
        standing = register_validator(
            project=project,
            name=name,
            kind=Validator.Kind.LLM,
            settings=settings,
            artifact=None,
            uses_documents=reads_documents,
            by=by,
        )
    return {
        "version": standing.version,
        "is_new": is_new,
        "passport": settings["passport"],
        "calls": chosen.calls(min(project.labels.count(), MAX_CANDIDATES)),
        "prior_rows": chosen.rows,
        "domain_was_cut": domain_was_cut,
    }


async def _probed(
    url: str, key: str | None, model: str, family: PromptFamily, domain: str
) -> Passport:
    async with JsonServer(url, api_key=key) as server:
        return await probe(server, model=model, family=family, domain=domain)


def _identity(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What makes it the same validator: everything but the figures of the probe, which vary, and
    when the rows for examples were counted."""
    passport = settings.get("passport", {})
    kept = {key: value for key, value in passport.items() if key not in MEASURED}
    before = {"bias": asdict(NO_REMEDY) | {"offsets": []}}
    return {**before, **same_rows(settings), "passport": kept}


def _fitted_before(standing: Validator | None, settings: Mapping[str, Any]) -> Bias | None:
    """The prior of the validator in use, if that is the same one but for its prior."""
    if standing is None or "bias" not in standing.settings:
        return None
    if _identity({**standing.settings, "bias": None}) != _identity({**settings, "bias": None}):
        return None
    bias = ServedModel.from_json(standing.settings).bias
    return bias if bias.remedy == PRIOR else None


def domain_of(project: Project) -> str:
    """What the project says of its texts, for the head of a prompt: introduction and guidelines."""
    parts = (project.introduction.strip(), project.guidelines.strip())
    return "\n".join(part for part in parts if part)
