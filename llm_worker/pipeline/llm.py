"""LLM validators are registered after a probe."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from django.utils.translation import gettext as _

from labeling.actions.artifacts import register_validator
from labeling.actions.errors import ActionRefused
from labeling.actions.events import Actor
from labeling.models import Project, Validator
from llm_worker.clients.bias import NO_REMEDY, Bias
from llm_worker.clients.decisions import probe_decisions
from llm_worker.clients.json_server import JsonServer
from llm_worker.clients.openai_server import probe_openai
from llm_worker.clients.passport import Passport, ServedModel
from llm_worker.clients.probe import probe
from llm_worker.clients.transformers_local import probe_local
from llm_worker.clients.vllm_offline import probe_offline
from llm_worker.errors import ValidatorError
from llm_worker.pipeline.hosts import check_host
from llm_worker.pipeline.llm_asking import asking_of, check_words, same_rows
from llm_worker.pipeline.llm_bias import PRIOR, bias_of, check_remedy
from llm_worker.pipeline.llm_client import (
    DECISIONS,
    LOCAL,
    OFFLINE,
    OPENAI,
    SERVERS,
    TRANSFORMERS,
    VLLM,
    check_key_name,
    client_of,
    folder_of,
    key_of,
)
from llm_worker.prompts.build import MAX_CANDIDATES, MAX_DOMAIN
from llm_worker.prompts.families import newest_family
from llm_worker.prompts.fence import shortened
from llm_worker.prompts.settings import Approach

KINDS = {
    "vllm": VLLM,
    "openai": OPENAI,
    "decisions": DECISIONS,
    "transformers": TRANSFORMERS,
    "vllm_offline": OFFLINE,
}
"""What `register_validator --kind` takes, and the client it stands for."""
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
    kind: str = "vllm",
    context: int | None = None,
    **asking: Any,
) -> dict[str, Any]:
    """Probe the server, or the model in a folder of this machine, and put `model` in use as a
    validator; the passport is kept with it. `kind` is one of `KINDS`, `context` how many tokens the
    model reads where nothing else says so.

    What the project says of its texts, its instructions and fixed examples are copied into the
    validator, so that a prompt does not change under it; `asking` goes to `asking_of`. Nothing
    changes if everything was registered like this before. `bias` is one of `llm_bias.REMEDIES`; a
    prior of the digits is fitted on texts of the project, which are sent to the server for it,
    unless the same validator has one.
    """
    check_remedy(project, bias)
    client = _client_of_kind(kind, url)
    domain, domain_was_cut = shortened(domain_of(project), MAX_DOMAIN)
    try:
        how, shots_from = asking_of(project, bias=bias, **asking)
        if how.approach is not Approach.PROB and client not in (VLLM, OPENAI):
            raise ActionRefused(_("This kind of LLM validator gives no answers in words."))
        family = newest_family(how.approach, language)
        check_key_name(api_key_env)
        if client in SERVERS:
            check_host(url, project=project)
        key = key_of(api_key_env)
        asks = {"family": family, "domain": domain, "context": context}
        passport = _probed(client, url, key, model, asks)
        served = ServedModel(
            *(url, model, family.key, family.digest, domain, reads_documents, passport),
            asking=how,
        )
        check_words(served, client_of(client, served, key=key))
    except ValidatorError as error:
        raise ActionRefused(str(error)) from error
    standing = project.validators.filter(name=name, active=True).first()
    more = {
        "client": client,
        "api_key_env": api_key_env,
        "shots_from": shots_from,
        "context": context,
    }
    fitted = _fitted_before(standing, {**more, **served.as_json()}) if bias == PRIOR else None
    try:
        chosen = fitted or bias_of(project, bias, client_of(client, served, key=key))
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


def _client_of_kind(kind: str, url: str) -> str:
    """The client of a kind. Refuses an unknown one, and an address that is missing or too many."""
    if kind not in KINDS:
        refusal = _("There is no kind of LLM validator “%(kind)s”; here are %(known)s.")
        raise ActionRefused(refusal % {"kind": kind, "known": ", ".join(KINDS)})
    client = KINDS[kind]
    if client in SERVERS and not url:
        raise ActionRefused(_("A model behind a server needs the server's address (--url)."))
    if client in LOCAL and url:
        raise ActionRefused(_("A model in a folder of this machine has no address (--url)."))
    return client


def _probed(client: str, url: str, key: str | None, model: str, how: Mapping[str, Any]) -> Passport:
    """The passport of `model`, by the probe of its kind; `how` is what all probes take."""
    if client in LOCAL:
        folder = folder_of(model)
        return (probe_local if client == TRANSFORMERS else probe_offline)(folder, **how)

    async def ask() -> Passport:
        async with JsonServer(url, api_key=key) as server:
            if client == OPENAI:
                return await probe_openai(server, model=model, **how)
            if client == DECISIONS:
                return await probe_decisions(server, model=model, **how)
            return await probe(server, model=model, family=how["family"], domain=how["domain"])

    return asyncio.run(ask())


def _identity(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What makes it the same validator: everything but the figures of the probe, which vary, when
    the rows for examples were counted, and the stated context, which is part of the passport."""
    passport = settings.get("passport", {})
    kept = {key: value for key, value in passport.items() if key not in MEASURED}
    before = {"prefill": "continued", "switch": {}}  # validators from before had no other
    bias = asdict(NO_REMEDY) | {"offsets": []}
    same = {"bias": bias, **same_rows(settings), "passport": before | kept}
    same.pop("context", None)
    return same


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
