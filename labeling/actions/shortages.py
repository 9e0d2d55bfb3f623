"""Fewer people in a project than its tasks need. Queries only."""

from __future__ import annotations

from labeling.access import RIGHTS, Right
from labeling.models import Project, Task, TaskStatus


def people_too_few(project: Project) -> int | None:
    """How many people label, where these are fewer than the equal answers that a task needs."""
    people = project.members.present().filter(user__isnull=False, is_simulated=False).count()
    return people if people < project.answers_needed else None


def experts_too_few(project: Project) -> int | None:
    """How many may answer what is kept for experts, where such tasks wait and need more."""
    roles = [role for role, rights in RIGHTS.items() if Right.REVIEW in rights]
    people = project.members.present().filter(user__isnull=False, is_simulated=False)
    experts = people.filter(role__in=roles).count()
    kept = Task.objects.filter(project=project, status=TaskStatus.DEFERRED, expert_only=True)
    return experts if experts < project.answers_needed and kept.exists() else None
