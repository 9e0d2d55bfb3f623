"""What tests share: real data, real processes, and honest skipping."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.core.cache import cache
from django.db import connection

from tests.services import requires_all

ROOT = Path(__file__).resolve().parent.parent
DATA_VARIABLE = "COUNTERSIGN_DATA"


def require(available: object, reason: str) -> None:
    """Skip the test, naming what is missing; under REQUIRE_ALL=1 fail instead."""
    if available:
        return
    if requires_all():
        pytest.fail(f"REQUIRE_ALL=1, but {reason}", pytrace=False)
    pytest.skip(reason)


def data_path(*parts: str) -> Path:
    """A file or folder of the real data sets; the test is skipped where it is absent.

    Real data are not part of the repository, so this skip stands under REQUIRE_ALL too.
    """
    folder = Path(os.environ.get(DATA_VARIABLE) or ROOT.parent / "shared" / "data")
    path = folder.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no real data here: {'/'.join(parts)} is absent ({DATA_VARIABLE})")
    return path


def process_environment(**more: str) -> dict[str, str]:
    """The environment of a worker, beat or web process that shares this test's database and broker.

    Use it in a test with `transaction=True`, or the process sees none of the rows.
    """
    database: dict[str, Any] = connection.settings_dict
    environment = dict(os.environ)
    environment["DJANGO_SETTINGS_MODULE"] = "annotation_site.settings"
    if url := environment.get("DATABASE_URL"):
        environment["DATABASE_URL"] = f"{url.rpartition('/')[0]}/{database['NAME']}"
    return environment | more


def forget(pattern: str) -> None:
    """Delete the keys of Redis that match."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        for key in client.scan_iter(match=pattern, count=1000):
            client.delete(key)


def clear_cache() -> None:
    """Forget what this process has cached. The cache's own `clear` empties a Redis that other runs
    stand on, messages and all."""
    if os.environ.get("REDIS_URL"):
        forget(f"{settings.REDIS_PREFIX}:1:*")
    else:
        cache.clear()
