"""What beat calls every few seconds: find the work that a lost message left behind."""

from __future__ import annotations

from django.db.models import Exists, OuterRef
from django.utils import timezone

from labeling import dispatch
from labeling.actions import runs
from labeling.models import Artifact, PlanRow, Project, Task


def sweep() -> None:
    """Close old runs, complete finished ones, and nudge the workers of every stage with due rows
    and of every project with unscored tasks."""
    runs.close_due_runs()
    runs.complete_runs()
    due = PlanRow.objects.unfinished().due(timezone.now())
    for stage in due.order_by().values_list("stage", flat=True).distinct():
        dispatch.nudge(stage)
    unscored = Task.objects.unscored().filter(project=OuterRef("pk"))
    for project in Project.objects.live().filter(Exists(unscored)):
        if project.artifacts.filter(kind=Artifact.Kind.CLASSIFIER, active=True).exists():
            dispatch.classify(project.pk)
