"""How an LLM validator is to ask: put together, and tried, when it is registered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused
from labeling.models import Project
from llm_worker.clients.passport import ServedModel
from llm_worker.clients.probe import QUESTION
from llm_worker.errors import UnsuitableServerError
from llm_worker.pipeline.shots import check_enough, fixed_shots, pool_of
from llm_worker.prompts.settings import Approach, Asking, ShotChoice
from llm_worker.validators import Validator


def asking_of(
    project: Project,
    *,
    bias: str,
    approach: str = Approach.PROB,
    instructions: str = "",
    shots: int = 0,
    choice: str = ShotChoice.FIXED,
    looks_alike: bool = True,
) -> tuple[Asking, dict[str, str] | None]:
    """The settings (`prompts.settings.Asking`), and which rows the solved examples come from: those
    that may train now, by their hash.

    Raises `InvalidRequestError` for what cannot be asked.
    """
    if approach == Approach.TEXT and bias != "none":
        raise ActionRefused(
            _(
                "An answer in words has no probability in which a bias could be treated: register "
                "without a remedy for the bias of options."
            )
        )
    asking = Asking(
        approach=Approach(approach),
        instructions=instructions.strip(),
        shots=shots,
        choice=ShotChoice.SIMILAR,
        looks_alike=looks_alike,
    )
    now = timezone.now()
    pool = pool_of(project, until=now) if shots else None
    if pool is not None:
        check_enough(pool, shots)
    if ShotChoice(choice) is ShotChoice.FIXED:
        fixed = fixed_shots(pool, shots) if pool is not None else ()
        asking = replace(asking, choice=ShotChoice.FIXED, fixed=fixed)
    return asking, {"until": now.isoformat(), "hash": pool.hash} if pool else None


def same_rows(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` of a validator without the moment at which the rows for examples were counted."""
    rows = (settings.get("shots_from") or {}).get("hash")
    return {**settings, "shots_from": rows}


def check_words(served: ServedModel, client: Validator) -> None:
    """Refuse a model for the text-approach that cannot keep to its form on a question of ours."""
    if served.asking.approach is not Approach.TEXT:
        return
    _results, failures = client.validate([QUESTION])
    for failure in failures:
        raise UnsuitableServerError(
            _("“%(model)s” was asked a question of our own in words. %(why)s")
            % {"model": served.model, "why": failure.message}
        )
