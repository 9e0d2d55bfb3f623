"""What beat calls every few seconds: find the work that a lost message left behind."""

from __future__ import annotations

from django.db.models import Exists, OuterRef
from django.utils import timezone

from labeling import dispatch
from labeling.actions import runs
from labeling.actions.answered import drop_old_answers
from labeling.actions.erase import look_after_erasures
from labeling.actions.imports import look_after_imports
from labeling.actions.previews import look_after_previews
from labeling.actions.registration import give_up_registrations
from labeling.actions.snapshots import look_after_snapshots
from labeling.actions.tally import uncounted
from labeling.actions.uploads import drop_old_uploads
from labeling.actions.webhook_sending import look_after_webhooks
from labeling.models import Artifact, PlanRow, Policy, Project, Registration, Task


def sweep() -> None:
    """Close old runs, complete finished ones, and nudge the workers of every stage with due rows,
    of every project with unscored tasks, of every active policy with uncounted runs, and of prompts
    and snapshots that somebody waits for, and webhooks with something to tell. Drop files that
    nobody imported."""
    runs.close_due_runs()
    runs.complete_runs()
    due = PlanRow.objects.unfinished().due(timezone.now())
    for stage in due.order_by().values_list("stage", flat=True).distinct():
        dispatch.nudge(stage)
    unscored = Task.objects.unscored().filter(project=OuterRef("pk"))
    for project in Project.objects.live().filter(Exists(unscored)):
        if project.artifacts.filter(kind=Artifact.Kind.CLASSIFIER, active=True).exists():
            dispatch.classify(project.pk)
    for policy in Policy.objects.filter(
        status=Policy.Status.ACTIVE, project__archived_at__isnull=True
    ):
        if uncounted(policy).exists():
            dispatch.tally(policy.pk)
    give_up_registrations()
    for waiting in Registration.objects.filter(status=Registration.Status.WAITING):
        dispatch.register_validator(waiting.pk)
    look_after_previews()
    look_after_imports()
    drop_old_answers()
    drop_old_uploads()
    look_after_snapshots()
    look_after_erasures()
    look_after_webhooks()
