"""Which services a test run stands on, and what it could not reach."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

import psycopg
import redis

POSTGRES = "postgres://postgres@127.0.0.1:5432/postgres"
REDIS = "redis://127.0.0.1:6379/15"

MISSING: list[str] = []


def reach_postgres(url: str) -> str | None:
    """None when the server answers, else why it does not."""
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.OperationalError as error:
        return str(error).strip().splitlines()[0]
    return None


def reach_redis(url: str) -> str | None:
    """None when the server answers, else why it does not."""
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=3) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        return str(error).strip().splitlines()[0]
    return None


def choose(environ: MutableMapping[str, str]) -> None:
    """Set DATABASE_URL and REDIS_URL for this run; what cannot be reached is noted in MISSING."""
    wanted = environ.get("TEST_ON", "")
    if wanted not in {"", "services", "embedded"}:
        raise ValueError(f"TEST_ON is {wanted!r}; it must be services or embedded.")
    for variable, url, reach, name in (
        ("DATABASE_URL", POSTGRES, reach_postgres, "PostgreSQL"),
        ("REDIS_URL", REDIS, reach_redis, "Redis"),
    ):
        if wanted == "embedded":
            environ.pop(variable, None)
        if wanted != "services":
            continue
        reason = reach(environ.setdefault(variable, url))
        if reason is not None:
            del environ[variable]
            MISSING.append(f"{name} ({reason})")


def requires_all() -> bool:
    return os.environ.get("REQUIRE_ALL") == "1"


def in_words() -> str:
    """One line for the head of a test run."""
    stands_on = [
        "PostgreSQL" if os.environ.get("DATABASE_URL") else "SQLite",
        "Redis" if os.environ.get("REDIS_URL") else "the file broker",
    ]
    line = f"runs on {' and '.join(stands_on)}"
    return f"{line}; not reached: {', '.join(MISSING)}" if MISSING else line
