"""LLM validators are asked behind the checks on where texts may go, with a key named by them."""

from __future__ import annotations

import datetime
import functools
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused
from labeling.models import Validator
from llm_worker.clients.decisions import DecisionsValidator
from llm_worker.clients.local_chat import model_folder
from llm_worker.clients.openai_server import OpenAiValidator
from llm_worker.clients.passport import ServedModel
from llm_worker.clients.transformers_local import TransformersValidator
from llm_worker.clients.vllm_offline import VllmOfflineValidator
from llm_worker.clients.vllm_server import VllmServerValidator
from llm_worker.errors import ArtifactError, ValidatorUnavailableError
from llm_worker.pipeline.hosts import check_host
from llm_worker.pipeline.shots import check_not_held_out, pool_of, with_similar
from llm_worker.prompts.settings import ShotChoice
from llm_worker.types import Reason, ValidationRequest
from llm_worker.validators import Answers

Client = VllmServerValidator | DecisionsValidator | TransformersValidator | VllmOfflineValidator
"""The clients there are; that of OpenAI's format is one of the first kind."""

VLLM = "vllm_server"
OPENAI = "openai_server"
DECISIONS = "decisions"
TRANSFORMERS = "transformers_local"
OFFLINE = "vllm_offline"
"""What the settings of a validator row say of the client that asks it."""
SERVERS: dict[str, type[VllmServerValidator | DecisionsValidator]] = {
    VLLM: VllmServerValidator,
    OPENAI: OpenAiValidator,
    DECISIONS: DecisionsValidator,
}
LOCAL: dict[str, type[TransformersValidator | VllmOfflineValidator]] = {
    TRANSFORMERS: TransformersValidator,
    OFFLINE: VllmOfflineValidator,
}
CLIENTS = (*SERVERS, *LOCAL)
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_OURS = frozenset({"SECRET_KEY", "SECRET_KEY_FALLBACKS", "DATABASE_URL", "REDIS_URL"})


class GuardedClient:
    """The client of a validator row. Before each batch it is checked that the project's texts may
    go to the host, for both the list of hosts and the project's switch may have changed."""

    def __init__(self, row: Validator) -> None:
        self._row = row

    def validate(self, requests: Sequence[ValidationRequest]) -> Answers:
        """Raises `HostRefusedError`, `ArtifactError` for settings that cannot be read or used or a
        model that is not there, and what the client's own `validate` raises."""
        return self._allowed().validate(self.shown(requests))

    def explain(self, requests: Sequence[ValidationRequest]) -> list[Reason]:
        """Reasons in words, task by task; none from clients that only read the probabilities of one
        token. Raises as `validate` does."""
        client = self._allowed()
        if not isinstance(client, VllmServerValidator):
            return []
        return client.explain(self.shown(requests))

    def shown(self, requests: Sequence[ValidationRequest]) -> Sequence[ValidationRequest]:
        """The requests with the solved examples that this validator shows with each."""
        asking = self.client.model.asking
        if asking.choice is ShotChoice.SIMILAR and asking.shots:
            pool = pool_of(self._row.project, until=_until(self._row.settings))
            return with_similar(requests, pool, asking.shots)
        check_not_held_out(self._row.project, asking.fixed)
        return requests

    @property
    def client(self) -> Client:
        """The client itself, whether or not it may be asked now."""
        settings = self._row.settings
        key = key_of(str(settings.get("api_key_env", "")))
        return _client(json.dumps(settings, sort_keys=True), key)

    def _allowed(self) -> Client:
        settings = self._row.settings
        if settings["client"] in SERVERS:
            check_host(str(settings.get("url")), project=self._row.project)
        return self.client


def _until(settings: Mapping[str, Any]) -> datetime.datetime:
    """When the rows were counted that solved examples are chosen from."""
    try:
        return datetime.datetime.fromisoformat(settings["shots_from"]["until"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            _("The settings of the LLM validator cannot be read (%(error)s): register it again.")
            % {"error": error}
        ) from error


@functools.lru_cache(maxsize=8)
def _client(settings: str, key: str | None) -> Client:
    """Kept between batches, for it remembers what it has checked of its server, or its weights."""
    content = json.loads(settings)
    return client_of(content["client"], ServedModel.from_json(content), key=key)


def client_of(client: str, model: ServedModel, *, key: str | None) -> Client:
    """The client of a kind in `CLIENTS`. Raises `ArtifactError` for a folder without a model."""
    if client in SERVERS:
        return SERVERS[client](model, api_key=key)
    return LOCAL[client](model, folder=folder_of(model.model))


def folder_of(model: str) -> Path:
    """The folder of a model of this machine. Raises `ArtifactError` where there is none."""
    return model_folder(Path(django_settings.LOCAL_MODELS_DIR), model)


def check_key_name(variable: str) -> None:
    """Refuse what cannot be the name of a variable made for a key: a key itself, or our own."""
    if variable and (not _VARIABLE.fullmatch(variable) or variable in _OURS):
        raise ActionRefused(
            _("“%(name)s” cannot be the name of an environment variable with a key.")
            % {"name": variable}
        )


def key_of(variable: str) -> str | None:
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
