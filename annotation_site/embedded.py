"""What the embedded mode keeps in its folder: the secret key and the file broker."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

SECRET_LENGTH = 64


def install_secret(folder: Path) -> str:
    """The random key of this installation, made on first use and readable by its owner only.

    The key is written aside and then linked into place, so that of several processes which start
    together one wins and none reads half a key.
    """
    path = folder / "secret_key"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=folder, prefix="secret_key.")  # mode 0600
        try:
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_urlsafe(SECRET_LENGTH))
            os.link(aside, path)
        except FileExistsError:
            pass  # another process was first: its key is the one
        finally:
            os.unlink(aside)
    return path.read_text().strip()


def file_broker(folder: Path) -> dict[str, str | float | bool]:
    """Transport options for kombu's `filesystem://` broker, whose folders must exist."""
    messages, control, processed = (folder / name for name in ("messages", "control", "processed"))
    for path in (messages, control, processed):
        path.mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(messages),
        "data_folder_out": str(messages),
        "control_folder": str(control),
        "processed_folder": str(processed),
        "store_processed": False,
        "polling_interval": 0.2,  # seconds a worker sleeps after finding nothing
    }
