"""System checks: `manage.py check` says what is missing and how to mend it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register


@register(Tags.files)
def folders_are_writable(**kwargs: Any) -> list[CheckMessage]:
    """The folders that jobs write to exist or can be made, and can be written."""
    problems: list[CheckMessage] = []
    for name in ("VAR_DIR", "ARTIFACTS_DIR"):
        folder = Path(getattr(settings, name))
        standing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        if not os.access(standing, os.W_OK):
            problems.append(
                Error(
                    f"{name} is {folder}, and {standing} cannot be written.",
                    hint=f"Give this process the right to write there, or set {name}.",
                    id="countersign.E001",
                )
            )
    return problems


@register(Tags.files)
def encoder_can_be_found(**kwargs: Any) -> list[CheckMessage]:
    """An encoder that is a folder stands where the setting says."""
    name = settings.ENCODER
    if name.startswith("builtin:") or Path(name).is_dir() or not name.startswith((".", "/")):
        return []
    return [
        Error(
            f"ENCODER names the folder {name}, which is not there.",
            hint="Put a sentence-transformers model there, or unset ENCODER for the builtin one.",
            id="countersign.E002",
        )
    ]


@register(Tags.compatibility, deploy=True)
def production_has_shared_services(**kwargs: Any) -> list[CheckMessage]:
    """Several processes on several machines need a database and a broker that they share."""
    problems: list[CheckMessage] = []
    if not settings.REDIS_URL:
        problems.append(
            Warning(
                "REDIS_URL is not set: the file broker works on one machine only.",
                hint="Set REDIS_URL, as docker-compose.yml does.",
                id="countersign.W001",
            )
        )
    if "sqlite" in settings.DATABASES["default"]["ENGINE"]:
        problems.append(
            Warning(
                "DATABASE_URL is not set: SQLite takes one writer at a time.",
                hint="Set DATABASE_URL to a PostgreSQL server, as docker-compose.yml does.",
                id="countersign.W002",
            )
        )
    return problems
