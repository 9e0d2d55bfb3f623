"""The Django project: settings, URLs, and the Celery application."""

import os

from annotation_site.celery import app as celery_app

__all__ = ["celery_app"]

# Models load from disk. Whoever wants one from a hub sets HF_HUB_OFFLINE=0.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
