"""Addresses of the REST interface, below /api/v1/."""

from __future__ import annotations

from django.urls import URLPattern, path, re_path

from labeling.api import schema  # noqa: F401  (tells the OpenAPI generator about tokens)
from labeling.api.views import (
    annotate,
    audit,
    benchmark,
    erasures,
    export,
    ingest,
    many,
    marks,
    metrics,
    policies,
    pools,
    projects,
    runs,
    snapshots,
    tasks,
    webhooks,
)
from labeling.api.views.nothing import nothing_here

PROJECT = "projects/<slug:slug>"

urlpatterns: list[URLPattern] = [
    path("projects/", projects.ProjectsView.as_view()),
    path(f"{PROJECT}/", projects.ProjectView.as_view()),
    path(f"{PROJECT}/labels/", projects.LabelsView.as_view()),
    path(f"{PROJECT}/predictions/", ingest.PredictionsView.as_view()),
    path(f"{PROJECT}/documents/", ingest.DocumentsView.as_view()),
    path(f"{PROJECT}/benchmark/", ingest.BenchmarkView.as_view()),
    path(f"{PROJECT}/benchmark/draws/", benchmark.DrawsView.as_view()),
    path(f"{PROJECT}/benchmark/parts/", benchmark.PartsView.as_view()),
    path(f"{PROJECT}/audit/", audit.AuditView.as_view()),
    path(f"{PROJECT}/audit/alarms/", audit.AlarmsView.as_view()),
    path(f"{PROJECT}/audit/alarms/<int:pk>/close/", audit.CloseAlarmView.as_view()),
    path(f"{PROJECT}/audit/sent-back/", audit.SendBacksView.as_view()),
    path(f"{PROJECT}/audit/sent-back/<int:pk>/undo/", audit.UndoSendBackView.as_view()),
    path(f"{PROJECT}/pools/", pools.PoolsView.as_view()),
    path(f"{PROJECT}/pools/<int:pk>/", pools.PoolView.as_view()),
    path(f"{PROJECT}/runs/", runs.RunsView.as_view()),
    path(f"{PROJECT}/runs/<int:pk>/", runs.RunView.as_view()),
    path(f"{PROJECT}/runs/<int:pk>/close/", runs.CloseRunView.as_view()),
    path(f"{PROJECT}/runs/<int:pk>/continue/", runs.ContinueRunView.as_view()),
    path(f"{PROJECT}/runs/<int:pk>/pause/", runs.PauseRunView.as_view()),
    path(f"{PROJECT}/runs/<int:pk>/resume/", runs.ResumeRunView.as_view()),
    path(f"{PROJECT}/runs/<int:pk>/cancel/", runs.CancelRunView.as_view()),
    path(f"{PROJECT}/tasks/", tasks.TasksView.as_view()),
    path(f"{PROJECT}/tasks/<path:external_id>/", tasks.TaskView.as_view()),
    path(f"{PROJECT}/review/", many.ReviewView.as_view()),
    path(f"{PROJECT}/expert-only/", many.ExpertOnlyView.as_view()),
    path(f"{PROJECT}/assignments/", many.AssignmentsView.as_view()),
    path(f"{PROJECT}/assignments/<int:pk>/release/", many.ReleaseView.as_view()),
    path(f"{PROJECT}/skips/", marks.SkipsView.as_view()),
    path(f"{PROJECT}/flags/", marks.FlagsView.as_view()),
    path(f"{PROJECT}/flags/<int:pk>/close/", marks.CloseFlagView.as_view()),
    path(f"{PROJECT}/annotations/", annotate.AnnotationsView.as_view()),
    path(f"{PROJECT}/policies/", policies.PoliciesView.as_view()),
    path(f"{PROJECT}/policies/preview/", policies.PreviewView.as_view()),
    path(f"{PROJECT}/policies/<int:version>/activate/", policies.ActivateView.as_view()),
    path(f"{PROJECT}/policies/<int:version>/pause/", audit.PauseView.as_view()),
    path(f"{PROJECT}/policies/<int:version>/resume/", audit.ResumeView.as_view()),
    path(f"{PROJECT}/metrics/", metrics.MetricsView.as_view()),
    path(f"{PROJECT}/erasures/", erasures.ErasuresView.as_view()),
    path(f"{PROJECT}/export/", export.ExportView.as_view()),
    path(f"{PROJECT}/snapshots/", snapshots.SnapshotsView.as_view()),
    path(f"{PROJECT}/snapshots/<int:number>/", snapshots.SnapshotView.as_view()),
    path(f"{PROJECT}/snapshots/<int:number>/download/", snapshots.SnapshotDownloadView.as_view()),
    path(f"{PROJECT}/snapshots/<int:number>/changes/", snapshots.SnapshotChangesView.as_view()),
    path(f"{PROJECT}/webhooks/", webhooks.WebhooksView.as_view()),
    path(f"{PROJECT}/webhooks/<int:pk>/", webhooks.WebhookView.as_view()),
    path(f"{PROJECT}/webhooks/<int:pk>/test/", webhooks.WebhookTestView.as_view()),
    path(f"{PROJECT}/webhooks/<int:pk>/deliveries/", webhooks.DeliveriesView.as_view()),
    path(
        f"{PROJECT}/webhooks/<int:pk>/deliveries/<int:number>/replay/",
        webhooks.ReplayView.as_view(),
    ),
    re_path("", nothing_here),
]
