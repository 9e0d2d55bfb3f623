"""Descriptions for labels whose names say little, written by an LLM (LRSL section 5.3)."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused
from labeling.actions.taxonomy import current_taxonomy, describe_labels
from labeling.models import Label, Project, Validator
from llm_worker.clients.describe import describe
from llm_worker.errors import ValidatorError
from llm_worker.pipeline.hosts import check_host
from llm_worker.pipeline.llm_client import key_of
from llm_worker.pipeline.rerank import readable
from llm_worker.pipeline.training import labeled_texts
from llm_worker.prompts.describe import MAX_EXAMPLES, Undescribed

MOST_LABELS = 500
CHAT = frozenset({"vllm_server", "openai_server"})
"""Clients, as the settings of a validator name them, whose servers answer in words."""


def enrich_labels(
    project: Project, *, validator: str = "", only_show: bool = False
) -> dict[str, Any]:
    """Ask an LLM validator for a sentence about every label without a description, and store it.

    It reads the name and a few texts that may train. A description that stands is never changed.
    With `only_show` nothing is stored. Returns the validator, the descriptions by label name, and
    how many labels are `left` without one. Raises ActionRefused.
    """
    row = _llm(project, validator)
    labels = _undescribed(project)
    asked = labels[:MOST_LABELS]
    try:
        url = str(row.settings["url"])
        check_host(url, project=project)
        key = key_of(str(row.settings.get("api_key_env", "")))
        found = describe(asked, url=url, model=str(row.settings["model"]), api_key=key)
    except ValidatorError as error:
        raise ActionRefused(str(error)) from error
    if found and not only_show:
        describe_labels(project=project, descriptions=found, by=str(row))
    names = dict(Label.objects.filter(pk__in=found).values_list("pk", "name"))
    return {
        "validator": str(row),
        "descriptions": {names[pk]: text for pk, text in found.items()},
        "left": len(labels) - len(found),
    }


def _llm(project: Project, name: str) -> Validator:
    """The project's LLM validator of this name, or the only one."""
    rows = project.validators.filter(kind=Validator.Kind.LLM, active=True).order_by("pk")
    named = rows.filter(name=name) if name else rows
    found = [row for row in named if row.settings.get("client") in CHAT]
    if len(found) == 1:
        return found[0]
    if name:
        raise ActionRefused(
            _("The project has no LLM validator “%(name)s” in use that writes words.")
            % {"name": name}
        )
    if found:
        raise ActionRefused(
            _("Several LLM validators are in use; name one of them: %(names)s.")
            % {"names": ", ".join(row.name for row in found)}
        )
    raise ActionRefused(
        _("No LLM is connected that could write descriptions (register_validator SLUG).")
    )


def _undescribed(project: Project) -> list[Undescribed]:
    """The labels in force without a description, with texts that may train."""
    label_ids = current_taxonomy(project).label_ids
    texts: dict[int, list[str]] = {}
    for text, label_id in labeled_texts(project, label_ids).values():
        texts.setdefault(label_id, []).append(text)
    labels = project.labels.filter(pk__in=label_ids, description="").order_by("pk")
    return [
        Undescribed(label.pk, readable(label.name), texts.get(label.pk, [])[:MAX_EXAMPLES])
        for label in labels
    ]
