"""Writing history. Call inside the transaction of the change (never from a signal)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import models

from labeling.actions.notices import give_notice
from labeling.models import Event, Member, Project

Actor = Member | str
"""A member, or the name of the machine that acts ("ingest", "policy v3", ...)."""


def record(
    project: Project,
    actor: Actor,
    verb: str,
    target: models.Model,
    *,
    old: dict[str, Any] | None = None,
    new: dict[str, Any] | None = None,
) -> Event:
    """One row of history. `old` and `new` hold ids, names and numbers, never texts."""
    event = Event.objects.create(**event_fields(project, actor, verb, target, old=old, new=new))
    give_notice(project, [event])
    return event


def record_all(project: Project, events: Iterable[dict[str, Any]]) -> None:
    """Many rows of history at once, each of `event_fields`."""
    give_notice(project, Event.objects.bulk_create(Event(**fields) for fields in events))


def event_fields(
    project: Project,
    actor: Actor,
    verb: str,
    target: models.Model,
    *,
    old: dict[str, Any] | None = None,
    new: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The fields of one event, for callers that create many at once."""
    return {
        "project": project,
        "member": actor if isinstance(actor, Member) else None,
        "actor": actor.name if isinstance(actor, Member) else actor,
        "verb": verb,
        "object_type": target._meta.model_name or "",
        "object_id": target.pk,
        "old": old,
        "new": new,
    }
