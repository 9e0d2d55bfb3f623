"""Finding a text again where somebody or something quoted it, in any column of any table.

The tables are not listed: every text and JSON column of every model that belongs to a project is
looked at, but for those of `OF_OTHERS`, so a new model is covered from its first day.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

from django.apps import apps
from django.db import models
from django.db.models import F, Q, TextField
from django.db.models.functions import Cast

from labeling.actions.belonging import path_to_project
from labeling.models import Project

MARK = "[erased]"
LEAST_QUOTE = 20
"""Characters from which on a text is looked for inside of others. A shorter one, "yes" or the name
of a label, stands in many by chance: it goes only where it is the whole of an example."""
OF_OTHERS = frozenset({"task", "supersededtext", "document", "retrieved", "snapshot", "erasure"})
"""Texts of others that may say the same: other tasks, which go on request only, and documents."""
NAMES = frozenset(
    {
        ("label", "key"),
        ("label", "name"),
        ("labelalias", "name"),
        ("member", "name"),
        ("project", "slug"),
        ("project", "name"),
        ("validator", "name"),
        ("modelversion", "name"),
    }
)
"""What names things that others refer to."""
QUOTING_KEYS = frozenset({"text", "content"})
"""Keys of JSON objects whose values are texts, as in solved examples and prompts."""


def erase_quotes(project: Project, texts: Collection[str]) -> dict[type[models.Model], list[int]]:
    """Take `texts` out of every column of the project's rows that quotes one; a mark stays in its
    place, and an example in a list goes altogether. Returns the ids of the changed rows by model.

    Call inside a transaction.
    """
    found: dict[type[models.Model], list[int]] = {}
    wanted = sorted({text for text in texts if text.strip()}, key=len, reverse=True)
    for model in apps.get_app_config("labeling").get_models(include_auto_created=False):
        path = path_to_project(model)
        fields = list(text_fields(model))
        if path is None or not fields or model._meta.model_name in OF_OTHERS:
            continue
        rows = model._default_manager.filter(**{path: project.pk})
        for row in _quoting(rows, fields, wanted):
            changed = {
                field.name: value
                for field in fields
                if (value := without(getattr(row, field.name), wanted)) != getattr(row, field.name)
            }
            if changed:
                # Not `save`: frozen rows stay as they are in all but this.
                model._default_manager.filter(pk=row.pk).update(**changed)
                found.setdefault(model, []).append(row.pk)
    return found


def text_fields(model: type[models.Model]) -> Iterator[models.Field[Any, Any]]:
    """Columns that may quote: texts of people and machines, and JSON; no choices, no names."""
    name = str(model._meta.model_name)
    for field in model._meta.concrete_fields:
        is_text = isinstance(field, (models.CharField, TextField, models.JSONField))
        if is_text and not field.choices and (name, field.name) not in NAMES:
            yield field


def _quoting(
    rows: models.QuerySet[Any], fields: list[models.Field[Any, Any]], texts: list[str]
) -> Iterator[Any]:
    """Rows of which a column has one of the texts somewhere in it."""
    wanted = Q()
    casts = {}
    for field in fields:
        name = field.name
        if isinstance(field, models.JSONField):
            casts[f"{name}_as_text"] = Cast(F(name), TextField())
            for text in texts:
                # PostgreSQL keeps letters as they are, SQLite as Django wrote them.
                for ascii_only in (True, False):
                    quoted = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
                    wanted |= Q(**{f"{name}_as_text__contains": quoted})
        else:
            for text in texts:
                wanted |= Q(**{f"{name}__contains": text})
    if wanted:
        yield from rows.alias(**casts).filter(wanted).iterator(chunk_size=200)


def without(value: Any, texts: Collection[str]) -> Any:
    """`value` without the texts, longest first, whatever it is made of."""
    for text in texts:
        value = _without(value, text)
    return value


def _without(value: Any, text: str, *, quotes: bool = False) -> Any:
    if isinstance(value, str):
        if value.strip() == text.strip() and (quotes or len(text) >= LEAST_QUOTE):
            return MARK
        return value.replace(text, MARK) if len(text) >= LEAST_QUOTE else value
    if isinstance(value, list):
        plain = all(isinstance(one, str) for one in value)
        cut = [_without(one, text, quotes=plain) for one in value]
        if not plain:
            return cut
        return [new for old, new in zip(value, cut, strict=True) if new == old or new != MARK]
    if isinstance(value, dict):
        return {key: _without(one, text, quotes=key in QUOTING_KEYS) for key, one in value.items()}
    return value
