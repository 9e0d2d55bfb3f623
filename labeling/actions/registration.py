"""Validators put in use from a page: asked for here, probed by a job, ended with a sentence."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling import dispatch
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.events import Actor, record
from labeling.models import Member, Project, Registration, Validator

KINDS = {
    "vllm_server": "vllm",
    "openai_server": "openai",
    "decisions": "decisions",
    "transformers_local": "transformers",
    "vllm_offline": "vllm_offline",
}
"""The client that the settings of a validator name, to what `register_validator --kind` takes."""
PATIENCE = datetime.timedelta(minutes=10)
"""After which a probe that has not ended is given up: its worker died."""


def ask_registration(*, project: Project, options: dict[str, Any], by: Actor) -> Registration:
    """Have a worker probe a model and put it in use. Refuses while another one is open."""
    try:
        with transaction.atomic():
            registration = Registration.objects.create(
                project=project,
                options=options,
                asked_by=by if isinstance(by, Member) else None,
                actor=str(by)[:150],
            )
            wanted: dict[str, Any] = {
                name: options[name] for name in ("name", "url", "model") if name in options
            }
            record(project, by, "registration_asked", registration, new=wanted)
            dispatch.register_validator(registration.pk)
    except IntegrityError as error:
        if project.registrations.filter(finished_at__isnull=True).exists():
            raise Conflict(
                _("A server is being probed for this project already; wait until that has ended.")
            ) from error
        raise
    return registration


def ask_again(*, validator: Validator, by: Actor) -> Registration:
    """Probe the server of `validator` again, or its model, with what it was registered with."""
    options = options_of(validator)
    if options is None:
        raise ActionRefused(
            _(
                "The settings of “%(name)s” do not say how it was registered: fill in the form, "
                "under the same name."
            )
            % {"name": validator.name}
        )
    return ask_registration(project=validator.project, options=options, by=by)


def options_of(validator: Validator) -> dict[str, Any] | None:
    """What an LLM validator was registered with, on a page or by a command, read from its settings;
    None where they do not say it."""
    settings = validator.settings
    try:
        kind = KINDS[settings["client"]]
        asking = settings["asking"]
        bias = settings.get("bias", {"remedy": "none"})  # before there was any
        context = None if kind == "vllm" else settings["passport"]["context_tokens"]
        return {
            "name": validator.name,
            "kind": kind,
            "url": settings["url"],
            "model": settings["model"],
            # Before it was kept, what was read at a time is the most that may be read now.
            "context": settings.get("context", context),
            "language": settings["family"].split("-")[1],  # prob-en-1
            "approach": asking["approach"],
            "shots": asking["shots"],
            "choice": asking["choice"],
            "looks_alike": asking["looks_alike"],
            "instructions": asking["instructions"],
            "bias": _remedy(bias),
            "api_key_env": settings["api_key_env"],
            "reads_documents": settings["reads_documents"],
        }
    except (KeyError, TypeError, IndexError, AttributeError):
        return None


def _remedy(bias: Mapping[str, Any]) -> str:
    """As `register_validator` takes it: two orders, or one for each candidate."""
    if bias["remedy"] != "shifts":
        return str(bias["remedy"])
    return "shifts-2" if bias["orders"] == 2 else "shifts-5"


def claim_registration(registration_id: int) -> Registration | None:
    """Take a waiting registration for this worker; None where another one has it."""
    waiting = Registration.objects.filter(pk=registration_id, status=Registration.Status.WAITING)
    if not waiting.update(status=Registration.Status.RUNNING, started_at=timezone.now()):
        return None
    return Registration.objects.select_related("project", "asked_by").get(pk=registration_id)


def finish_registration(
    registration: Registration, *, said: str, validator: Validator | None
) -> None:
    """End it, as done where there is a validator and else as refused. Harmless to repeat."""
    status = Registration.Status.DONE if validator else Registration.Status.REFUSED
    Registration.objects.filter(pk=registration.pk, finished_at__isnull=True).update(
        status=status, said=said[:2000], validator=validator, finished_at=timezone.now()
    )


def give_up_registrations() -> None:
    """Refuse those whose worker died on the way."""
    for registration in Registration.objects.filter(
        status=Registration.Status.RUNNING, started_at__lt=timezone.now() - PATIENCE
    ):
        sentence = _("The worker stopped before the server had answered everything. Try again.")
        finish_registration(registration, said=sentence, validator=None)
