"""The cards of a project's labels and the index to find them by, kept in memory while the label
set stays the same."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from labeling.label_index import LabelCard, LabelIndex
from labeling.models import Label, Project

LABEL_SETS = 16
"""How many label sets a process keeps; one of 5,000 labels takes some 30 MB."""


def cards(project: Project) -> Mapping[int, LabelCard]:
    """Active labels by id, in order of name."""
    return label_index(project).cards


def label_index(project: Project) -> LabelIndex:
    """The index of the labels that are active now. Every change of them is a new taxonomy
    version, so the newest one's identity is what the index is kept under."""
    newest = project.taxonomies.order_by("-number").values_list("pk", "created_at").first()
    return _index(project.pk, newest)


@lru_cache(maxsize=LABEL_SETS)
def _index(project_id: int, _taxonomy: tuple[int, datetime.datetime] | None) -> LabelIndex:
    labels = Label.objects.active().filter(project_id=project_id).order_by("name", "pk")
    return LabelIndex({label.pk: _card(label) for label in labels})


def _card(label: Label) -> LabelCard:
    return LabelCard(
        pk=label.pk,
        key=label.key,
        name=label.name,
        description=label.description,
        examples=tuple(_text(entry) for entry in label.examples),
        counter_examples=tuple(
            (_text(entry), str(entry.get("label") or "") if isinstance(entry, dict) else "")
            for entry in label.counter_examples
        ),
    )


def _text(entry: Any) -> str:
    return str(entry.get("text", "")) if isinstance(entry, dict) else str(entry)
