"""Settings of a test run: a folder of its own, and the services that TEST_ON asks for.

TEST_ON=services takes PostgreSQL and Redis where they can be reached; TEST_ON=embedded, the
default of a bare `pytest`, takes SQLite and the file broker unless the URLs are given.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

from tests import services

FOLDER = tempfile.mkdtemp(prefix="countersign-test-")
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)

os.environ |= {
    "DEBUG": "0",
    "ENVIRONMENT": "embedded",
    "HF_HUB_OFFLINE": "1",
    "REDIS_PREFIX": f"test-{os.getpid()}",
    "VAR_DIR": FOLDER,
}
services.choose(os.environ)

from annotation_site.settings import *  # noqa: E402, F403
from annotation_site.settings import DATABASES, VAR_DIR  # noqa: E402

# Workers that a test starts take `annotation_site.settings` and must meet the same database.
DATABASES["default"]["TEST"] = {
    "NAME": (
        f"test_countersign_{os.getpid()}"
        if os.environ.get("DATABASE_URL")
        else VAR_DIR / "countersign.sqlite3"
    )
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
