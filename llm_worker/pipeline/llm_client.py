"""LLM validators are asked behind the checks on where texts may go, with a key named by them."""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Sequence

from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused
from labeling.models import Validator
from llm_worker.clients.passport import ServedModel
from llm_worker.clients.vllm_server import VllmServerValidator
from llm_worker.errors import ValidatorUnavailableError
from llm_worker.pipeline.hosts import check_host
from llm_worker.types import ValidationRequest
from llm_worker.validators import Answers

CLIENT = "vllm_server"
"""What the settings of a validator row say of the client that asks it."""
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
        key = key_of(str(settings.get("api_key_env", "")))
        return _client(json.dumps(settings, sort_keys=True), key)


@functools.lru_cache(maxsize=8)
def _client(settings: str, key: str | None) -> VllmServerValidator:
    """Kept between batches, for it remembers what it has checked of its server."""
    return VllmServerValidator(ServedModel.from_json(json.loads(settings)), api_key=key)


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
