"""Which rows belong to a project, for actions that reach every table: no list of tables can be
forgotten when there is a new one."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import models

from labeling.models import Project


def path_to_project(model: type[models.Model], depth: int = 4) -> str | None:
    """How a row of the model is filtered by its project, the shortest way; None where it has
    none."""
    if model is Project:
        return "pk"
    ways: list[tuple[str, Any]] = [("", model)]
    for _step in range(depth):
        further = []
        for prefix, one in ways:
            for field in one._meta.concrete_fields:
                if not isinstance(field, models.ForeignKey):
                    continue
                if field.related_model is Project:
                    return f"{prefix}{field.name}"
                further.append((f"{prefix}{field.name}__", field.related_model))
        ways = [way for way in further if way[1]._meta.app_label == "labeling"]
    return None


def models_of_projects() -> list[type[models.Model]]:
    """Models whose rows belong to a project, tables between two of them too, in an order in which
    they can be deleted: who refers to others comes before them."""
    found = apps.get_app_config("labeling").get_models(include_auto_created=True)
    waiting = {model: _needs(model) for model in found if path_to_project(model) is not None}
    ordered: list[type[models.Model]] = []
    while waiting:
        needed = set().union(*waiting.values())
        free = [model for model in waiting if model not in needed]
        assert free, f"these refer to one another: {sorted(map(str, waiting))}"
        ordered += free
        for model in free:
            del waiting[model]
    return ordered


def _needs(model: type[models.Model]) -> set[type[models.Model]]:
    """The models that have to stay for as long as this one's rows do. A reference that may be
    emptied does not count, nor one to its own kind: newer rows refer to older ones."""
    return {
        field.related_model
        for field in model._meta.concrete_fields
        if isinstance(field, models.ForeignKey)
        and field.remote_field.on_delete is not models.SET_NULL
        and field.related_model is not model
    }
