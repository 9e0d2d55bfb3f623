"""What beat calls every few seconds: find the work that a lost message left behind."""

from __future__ import annotations

from django.utils import timezone

from labeling import dispatch
from labeling.actions import runs
from labeling.models import Artifact, PlanRow, Project, TaskStatus


def sweep() -> None:
    """Close old runs, complete finished ones, and nudge the workers of every stage with due rows
    and of every project with unscored tasks."""
    runs.close_due_runs()
    runs.complete_runs()
    due = PlanRow.objects.unfinished().due(timezone.now())
    for stage in due.order_by().values_list("stage", flat=True).distinct():
        dispatch.nudge(stage)
    unscored = Project.objects.live().filter(
        tasks__prediction__isnull=True,
        tasks__status=TaskStatus.PROCESSING,
        artifacts__kind=Artifact.Kind.CLASSIFIER,
        artifacts__active=True,
    )
    for pk in unscored.order_by().values_list("pk", flat=True).distinct():
        dispatch.classify(pk)
