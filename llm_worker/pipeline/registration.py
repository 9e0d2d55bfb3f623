"""Registrations asked for on the admin's page: the server is probed, and the row told the end."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused
from labeling.actions.registration import claim_registration, finish_registration
from llm_worker.pipeline.llm import register_llm


def work_on(registration_id: int) -> None:
    """Probe and register what the row asks for, if no other worker does."""
    registration = claim_registration(registration_id)
    if registration is None:
        return
    project = registration.project
    by = registration.asked_by or registration.actor
    try:
        result = register_llm(project, **registration.options, by=by)
    except ActionRefused as refusal:
        finish_registration(registration, said=refusal.message, validator=None)
        return
    validator = project.validators.filter(
        name=registration.options["name"], version=result["version"]
    ).first()
    finish_registration(registration, said=_in_words(result), validator=validator)


def _in_words(result: dict[str, Any]) -> str:
    sentences = [
        _("It is in use as version %(n)d.") % {"n": result["version"]}
        if result["is_new"]
        else _("Nothing has changed: version %(n)d was in use like this before.")
        % {"n": result["version"]}
    ]
    if result["is_new"]:
        sentences.append(
            _(
                "The active policy was made without it, so tasks go to people until run_pipeline "
                "has asked it about the benchmark and fit_policy has made a new policy."
            )
        )
    if result["domain_was_cut"]:
        sentences.append(_("Introduction and guidelines are long; their end is cut."))
    return " ".join(sentences)
