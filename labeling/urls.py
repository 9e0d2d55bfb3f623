"""Addresses of the pages."""

from __future__ import annotations

from django.urls import URLPattern, include, path

from labeling.views import (
    adjudicate,
    annotate,
    audit,
    benchmark,
    bulk,
    export,
    guidelines,
    history,
    imports,
    languages,
    marks,
    new_project,
    override,
    projects,
    quality,
    runs,
    settings,
    tasks,
    tokens,
)

app_name = "labeling"

project_pages: list[URLPattern] = [
    path("", projects.overview, name="overview"),
    path("annotate/", annotate.annotate, name="annotate"),
    path("annotate/undo/", annotate.take_back, name="undo"),
    path("annotate/hold/", annotate.hold, name="hold"),
    path("annotate/labels/", annotate.labels, name="labels"),
    path("annotate/helpful/", annotate.helpful, name="helpful"),
    path("annotate/skip/", annotate.skip, name="skip"),
    path("annotate/bring-back/", annotate.bring_back, name="bring_back"),
    path("annotate/keep/", annotate.keep, name="keep"),
    path("annotate/flag/", marks.flag, name="flag"),
    path("marks/", marks.marks, name="marks"),
    path("marks/<int:flag_id>/close/", marks.close, name="close_flag"),
    path("bulk/", bulk.bulk, name="bulk"),
    path("guidelines/", guidelines.guidelines, name="guidelines"),
    path("guidelines/read/", guidelines.read, name="guidelines_read"),
    path("guidelines/edit/", guidelines.edit, name="edit_guidelines"),
    path("guidelines/versions/", guidelines.versions, name="guideline_versions"),
    path("history/", history.history, name="history"),
    path("history/<int:annotation_id>/", history.change, name="change"),
    path("history/notes/read/", history.read, name="read_notes"),
    path("tasks/", tasks.tasks, name="tasks"),
    path("tasks/<int:task_id>/override/", override.override, name="override"),
    path("tasks/<int:task_id>/", tasks.task, name="task"),
    path("adjudicate/", adjudicate.adjudicate, name="adjudicate"),
    path("quality/", quality.quality, name="quality"),
    path("quality/classifier/", quality.classifier, name="classifier"),
    path("benchmark/", benchmark.benchmark, name="benchmark"),
    path("benchmark/draw/", benchmark.draw, name="benchmark_draw"),
    path("benchmark/<slug:part>/look/", benchmark.look, name="benchmark_look"),
    path("audit/", audit.audit, name="audit"),
    path("audit/act/", audit.act, name="audit_act"),
    path("export/", export.export, name="export"),
    path("import/", imports.choose, name="import"),
    path("import/<int:upload_id>/", imports.look, name="import_look"),
    path("settings/", settings.settings, name="settings"),
    path("archive/", settings.archive, name="archive"),
    path("runs/", runs.runs, name="runs"),
    path("runs/<int:run_id>/", runs.run, name="run"),
    path("runs/<int:run_id>/continue/", runs.go_on, name="continue_run"),
    path("runs/<int:run_id>/pause/", runs.pause, name="pause_run"),
    path("runs/<int:run_id>/resume/", runs.resume, name="resume_run"),
    path("runs/<int:run_id>/cancel/", runs.cancel, name="cancel_run"),
]

urlpatterns = [
    path("", projects.home, name="home"),
    path("projects/new/", new_project.new_project, name="new_project"),
    path("projects/<slug:slug>/restore/", projects.restore, name="restore"),
    path("p/<slug:slug>/", include(project_pages)),
    path("account/language/", languages.choose, name="set_language"),
    path("account/tokens/", tokens.tokens, name="tokens"),
    path("account/tokens/<int:token_id>/revoke/", tokens.revoke, name="revoke_token"),
]
