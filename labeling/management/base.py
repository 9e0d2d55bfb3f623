"""What the commands share: finding a project, and refusals in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError

from labeling.actions.errors import ActionRefused
from labeling.models import Project

MAX_SHOWN = 10


def find_project(slug: str) -> Project:
    """The live project of this address, or CommandError naming those there are."""
    project = Project.objects.live().filter(slug=slug).first()
    if project is None:
        there = ", ".join(Project.objects.live().values_list("slug", flat=True)[:20])
        raise CommandError(f"There is no project “{slug}”. Projects here: {there or 'none yet'}.")
    return project


@contextmanager
def refusals_in_words() -> Iterator[None]:
    """Turn a refusal of an action into a CommandError with its first details."""
    try:
        yield
    except ActionRefused as error:
        lines = [error.message]
        for detail in error.details[:MAX_SHOWN]:
            where = f"row {detail.index}: " if detail.index is not None else ""
            lines.append(f"  {where}{detail.field + ': ' if detail.field else ''}{detail.message}")
        if len(error.details) > MAX_SHOWN:
            lines.append(f"  … and {len(error.details) - MAX_SHOWN} more.")
        raise CommandError("\n".join(lines)) from error
