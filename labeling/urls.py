"""Addresses of the pages."""

from __future__ import annotations

from django.urls import URLPattern

app_name = "labeling"
urlpatterns: list[URLPattern] = []
