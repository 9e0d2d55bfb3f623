"""Addresses of the REST interface, below /api/v1/."""

from __future__ import annotations

from django.urls import URLPattern, path

from labeling.api import schema  # noqa: F401  (tells the OpenAPI generator about tokens)
from labeling.api.views import ingest, runs

PROJECT = "projects/<slug:slug>"

urlpatterns: list[URLPattern] = [
    path(f"{PROJECT}/predictions/", ingest.PredictionsView.as_view()),
    path(f"{PROJECT}/runs/", runs.RunsView.as_view()),
    path(f"{PROJECT}/runs/<int:pk>/", runs.RunView.as_view()),
    path(f"{PROJECT}/runs/<int:pk>/close/", runs.CloseRunView.as_view()),
]
