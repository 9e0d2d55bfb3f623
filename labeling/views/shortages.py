"""What a project's members cannot serve, in sentences for its admins."""

from __future__ import annotations

from django.utils.translation import ngettext

from labeling.actions.shortages import experts_too_few, people_too_few
from labeling.models import Project, TaskStatus
from labeling.views.spoken import unread_in_words


def people(project: Project) -> list[str]:
    """That fewer people label than have to agree, and that no expert is there for some texts."""
    return [*_people(project), *experts(project)]


def experts(project: Project) -> list[str]:
    n = experts_too_few(project)
    if n is None:
        return []
    said = ngettext(
        "Texts that are kept for experts wait and need %(needed)d equal answers, and only "
        "%(n)d expert or admin is here to give them.",
        "Texts that are kept for experts wait and need %(needed)d equal answers, and only "
        "%(n)d experts and admins are here to give them.",
        n,
    )
    return [said % {"n": n, "needed": project.answers_needed}]


def languages(project: Project) -> list[str]:
    return list(unread_in_words(project))


def in_words(project: Project) -> list[str]:
    """All of it, while texts wait for people."""
    if not project.tasks.filter(status=TaskStatus.DEFERRED).exists():
        return []
    return [*people(project), *languages(project)]


def _people(project: Project) -> list[str]:
    n = people_too_few(project)
    if n is None:
        return []
    said = ngettext(
        "A text needs %(needed)d equal answers, and only %(n)d person labels here: people alone "
        "settle none.",
        "A text needs %(needed)d equal answers, and only %(n)d people label here: people alone "
        "settle none.",
        n,
    )
    return [said % {"n": n, "needed": project.answers_needed}]
