"""What every page of a project shows around its content."""

from __future__ import annotations

from functools import partial
from typing import Any

from django_htmx.middleware import HtmxDetails

from labeling.access import ProjectRequest, Right, has_right, sees_machine_output
from labeling.actions.notes import notes_to
from labeling.models import Member


class PageRequest(ProjectRequest):
    """A project request that knows whether htmx asks for a part of the page."""

    htmx: HtmxDetails


def shell(request: ProjectRequest, here: str, **content: Any) -> dict[str, Any]:
    """The template context of a project page; `here` names the entry of the menu it belongs to."""
    return {
        "project": request.project,
        "member": request.member,
        "can_review": has_right(request.member, Right.REVIEW),
        "can_manage": has_right(request.member, Right.MANAGE),
        "sees_machines": sees_machine_output(request.member),
        "here": here,
        # A template that shows the menu calls it; a fragment does not.
        "unread_notes": partial(unread_notes, request.member),
        **content,
    }


def unread_notes(member: Member) -> int:
    return notes_to(member).unread().count()
