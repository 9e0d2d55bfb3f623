"""What every page of a project shows around its content."""

from __future__ import annotations

from typing import Any

from django_htmx.middleware import HtmxDetails

from labeling.access import ProjectRequest, Right, has_right, sees_machine_output


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
        **content,
    }
