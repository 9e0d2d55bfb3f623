"""LLM validators: registered after a probe, asked behind the checks on where texts may go."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from labeling.actions.artifacts import register_validator
from labeling.actions.errors import ActionRefused
from labeling.models import Project, Validator
from llm_worker.clients.json_server import JsonServer
from llm_worker.clients.passport import Passport, ServedModel
from llm_worker.clients.probe import probe
from llm_worker.clients.vllm_server import VllmServerValidator
from llm_worker.errors import ValidatorError, ValidatorUnavailableError
from llm_worker.pipeline.hosts import check_host
from llm_worker.prompts.build import MAX_DOMAIN
from llm_worker.prompts.families import NEWEST, PromptFamily, family_of
from llm_worker.prompts.fence import shortened
from llm_worker.types import ValidationRequest
from llm_worker.validators import Answers

CLIENT = "vllm_server"
"""What the settings of a validator row say of the client that asks it."""
MEASURED = frozenset({"routes", "mass", "disagreement", "warnings"})
"""Parts of a passport that may differ between two probes of one server."""
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_OURS = frozenset({"SECRET_KEY", "SECRET_KEY_FALLBACKS", "DATABASE_URL", "REDIS_URL"})


class GuardedClient:
    """The client of a validator row. Before each batch it is checked that the project's texts may
    go to the host, for both the list of hosts and the project's switch may have changed."""

    def __init__(self, row: Validator) -> None:
        self._row = row

    def validate(self, requests: Sequence[ValidationRequest]) -> Answers:
        """Raises `HostRefusedError`, `ArtifactError` for settings that cannot be read, and what
        `VllmServerValidator.validate` raises."""
        return self._allowed().validate(requests)

    def explain(self, requests: Sequence[ValidationRequest]) -> dict[int, str]:
        """Reasons in words by task id. Raises as `validate` does."""
        return self._allowed().explain(requests)

    def _allowed(self) -> VllmServerValidator:
        settings = self._row.settings
        check_host(str(settings.get("url")), project=self._row.project)
        key = _key(str(settings.get("api_key_env", "")))
        return _client(json.dumps(settings, sort_keys=True), key)


@functools.lru_cache(maxsize=8)
def _client(settings: str, key: str | None) -> VllmServerValidator:
    """Kept between batches, for it remembers what it has checked of its server."""
    return VllmServerValidator(ServedModel.from_json(json.loads(settings)), api_key=key)


def register_llm(
    project: Project,
    *,
    name: str,
    url: str,
    model: str,
    language: str,
    reads_documents: bool,
    api_key_env: str,
) -> dict[str, Any]:
    """Probe the server and put `model` in use as a validator; the passport is kept with it.

    What the project says of its texts is copied into the validator, so that a prompt does not
    change under it. Nothing changes if everything was registered like this before.
    """
    family = family_of(NEWEST[language])
    domain, domain_was_cut = shortened(domain_of(project), MAX_DOMAIN)
    try:
        _check_key_name(api_key_env)
        check_host(url, project=project)
        passport = asyncio.run(_probed(url, _key(api_key_env), model, family, domain))
    except ValidatorError as error:
        raise ActionRefused(str(error)) from error
    served = ServedModel(url, model, family.key, family.digest, domain, reads_documents, passport)
    settings = {"client": CLIENT, "api_key_env": api_key_env, **served.as_json()}
    standing = project.validators.filter(name=name, active=True).first()
    is_new = standing is None or _identity(standing.settings) != _identity(settings)
    if standing is None or is_new:
        standing = register_validator(
            project=project,
            name=name,
            kind=Validator.Kind.LLM,
            settings=settings,
            artifact=None,
            uses_documents=reads_documents,
            by="command line",
        )
    return {
        "version": standing.version,
        "is_new": is_new,
        "passport": settings["passport"],
        "domain_was_cut": domain_was_cut,
    }


async def _probed(
    url: str, key: str | None, model: str, family: PromptFamily, domain: str
) -> Passport:
    async with JsonServer(url, api_key=key) as server:
        return await probe(server, model=model, family=family, domain=domain)


def _identity(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What makes it the same validator: everything but the figures of the probe, which vary."""
    passport = settings.get("passport", {})
    kept = {key: value for key, value in passport.items() if key not in MEASURED}
    return {**settings, "passport": kept}


def domain_of(project: Project) -> str:
    """What the project says of its texts, for the head of a prompt: introduction and guidelines."""
    parts = (project.introduction.strip(), project.guidelines.strip())
    return "\n".join(part for part in parts if part)


def _check_key_name(variable: str) -> None:
    """Refuse what cannot be the name of a variable made for a key: a key itself, or our own."""
    if variable and (not _VARIABLE.fullmatch(variable) or variable in _OURS):
        raise ActionRefused(
            _("“%(name)s” cannot be the name of an environment variable with a key.")
            % {"name": variable}
        )


def _key(variable: str) -> str | None:
    """The key that `variable` holds; None where the validator needs none."""
    if not variable:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ValidatorUnavailableError(
            _("The environment variable %(name)s, which holds the server's key, is not set here.")
            % {"name": variable}
        )
    return key
