"""The Django project: settings, URLs, and the Celery application."""

import os

from annotation_site.celery import app as celery_app

__all__ = ["celery_app"]

# Models load from disk. Whoever wants one from a hub sets HF_HUB_OFFLINE=0.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Threads that share a core with another process wait for each other: measured on two busy cores,
# training on two threads was four times slower than on one. Half of the cores leaves the others to
# the web server and to a second worker.
os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 2) // 2)))
