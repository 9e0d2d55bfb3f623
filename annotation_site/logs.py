"""Plain lines on standard error: whoever starts a process decides where they go."""

from __future__ import annotations

from typing import Any

# A sweep every few seconds and a request per task would drown what matters; failures stay.
TALKATIVE = ("celery.worker.strategy", "celery.app.trace", "celery.beat", "httpx2")


def log_config(level: str) -> dict[str, Any]:
    """`LOGGING` for Django, with everything at `level` but the loggers that repeat themselves."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Without handlers of its own, or Django would write every line twice.
            "django": {"handlers": [], "level": level, "propagate": True},
            **{name: {"level": "WARNING"} for name in TALKATIVE},
        },
    }
